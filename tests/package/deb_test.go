//go:build nspawn

package pkgtest

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	debFile     = flag.String("deb", "", "the package that is tried")
	earlierFile = flag.String("earlier", "", "the package of the previous commit; without it no upgrade from there is tried")
)

// deb is the package that is tried.
func deb(t *testing.T) string {
	t.Helper()
	if *debFile == "" {
		t.Fatal("no -deb FILE: the package that is tried")
	}
	return *debFile
}

// later makes the same package again with a later version, name at its end.
func later(t *testing.T, file, name string) string {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	output(t, "dpkg-deb", "--raw-extract", file, tree)
	control := filepath.Join(tree, "DEBIAN/control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAll(text, []byte("${0}+"+name))
	if err := os.WriteFile(control, text, 0o644); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(dir, "o2n-milter_"+name+".deb")
	// Nobody keeps it, so it need not be small.
	output(t, "dpkg-deb", "--build", "-Zgzip", "-z1", tree, made)
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	return made
}

// version of a package file.
func version(t *testing.T, file string) string {
	t.Helper()
	return output(t, "dpkg-deb", "--field", file, "Version")
}

// loadProgram builds the program that sends mail.
func loadProgram(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "load")
	cmd := exec.Command("go", "build", "-o", file, "./load")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // for any release of Debian
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build load: %v\n%s", err, out)
	}
	return file
}

// output of a command of this machine.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
