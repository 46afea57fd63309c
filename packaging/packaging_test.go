// Package packaging has tests only: that what the package ships is good.
package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"o2n-milter/config"
)

// need skips, loudly, where a program is not there.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("SKIPPED: %s is missing", program)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Each example is a file of conf.d as it is, but for files that it names.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("examples/*.toml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v; want the examples", files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		etc := t.TempDir()
		if err := os.WriteFile(etc+"/redis.password", []byte("secret\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		text, main := strings.ReplaceAll(string(raw), "/etc/o2n-milter", etc), etc+"/o2n-milter.toml"
		name := main
		if filepath.Base(file) == "accounts.toml" { // which the main file names
			name = etc + "/accounts.toml"
			if err := os.WriteFile(main, []byte("[accounts]\nfile = \"accounts.toml\"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if cfg, faults := config.Load(main, true); len(faults) > 0 || len(cfg.Notes) > 0 {
			t.Errorf("%s: faults %v, notes %v", file, faults, cfg.Notes)
		}
	}
}

// The postinst's hosts.toml is one that the daemon reads.
func TestHosts(t *testing.T) {
	script, err := os.ReadFile("deb/o2n-milter.postinst")
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(script), "\n# renew puts")
	if !ok {
		t.Fatal("postinst: no comment of renew; want what stands before it")
	}
	for _, tt := range []struct {
		mailname, host, want string // of host only "hostname" knows
	}{
		{"Provider.example\n", "web1.provider.example", `"mail.example", "provider.example", "web1.provider.example"`},
		{"web1.provider.example", "web1.provider.example", `"mail.example", "web1.provider.example"`},
		{"localhost", "web1", `"mail.example", "web1"`},
		{"", "localhost", `"mail.example"`},
		{"x\"]\nevil.example; rm", "a_b.example", `"mail.example"`},
	} {
		etc := t.TempDir()
		text := strings.NewReplacer("etc=/etc/o2n-milter", "etc="+etc, "/etc/mailname", etc+"/mailname").Replace(head)
		if tt.mailname != "" { // else there is no such file
			if err := os.WriteFile(etc+"/mailname", []byte(tt.mailname), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(etc+"/conf.d", 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "sh", "-c", text+"\nhostname() { [ $# = 0 ] && echo "+tt.host+"; }\npostconf() { printf 'Mail.example\\n/etc/mailname\\n'; }\nown() { chmod $1 $2; }\numask 077\nname_hosts\n")
		main := etc + "/o2n-milter.toml"
		if err := os.WriteFile(main, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, faults := config.Load(main, true)
		if len(faults) > 0 {
			t.Fatalf("%q, %q: %v", tt.mailname, tt.host, faults)
		}
		if got := strings.Trim(strings.ReplaceAll(fmt.Sprintf("%q", cfg.Rules.Hosts), " ", ", "), "[]"); got != tt.want {
			t.Errorf("%q, %q: hosts %s, want %s", tt.mailname, tt.host, got, tt.want)
		}
	}
}

// functions are those of the postinst, with etc in the place of its folder.
func functions(t *testing.T, etc string) string {
	t.Helper()
	script, err := os.ReadFile("deb/o2n-milter.postinst")
	if err != nil {
		t.Fatal(err)
	}
	text, _, ok := strings.Cut(string(script), "\nif [ \"$1\" = configure ]")
	if !ok {
		t.Fatal("postinst: no step configure; want functions in front of it")
	}
	if err := os.Mkdir(etc+"/conf.d", 0o755); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(text, "etc=/etc/o2n-milter", "etc="+etc) + "\n"
}

// What cannot be made whole is not there, fails the installation, and is made by the next.
func TestHalfMade(t *testing.T) {
	for _, tt := range []struct{ what, fault, file string }{
		{"make_key", "od() { return 1; }", "/link.key"},
		{"make_key", "tr() { command tr \"$@\" | head -c 10; return 1; }", "/link.key"},
		{"name_hosts", "cat() { [ $# = 1 ] || { head -c 10; return 1; }; }", "/conf.d/hosts.toml"},
	} {
		etc := t.TempDir()
		text := functions(t, etc) + "chown() { :; }\nown() { :; }\npostconf() { echo mail.example; }\n"
		if out, err := exec.Command("sh", "-c", text+tt.fault+"\n"+tt.what).CombinedOutput(); err == nil {
			t.Errorf("%s with %s: no failure, %q", tt.what, tt.fault, out)
		}
		if _, err := os.Stat(etc + tt.file); !os.IsNotExist(err) {
			t.Errorf("%s with %s: %s: %v; want none", tt.what, tt.fault, tt.file, err)
		}
		run(t, "sh", "-c", text+tt.what)
		if made, err := os.ReadFile(etc + tt.file); err != nil || len(made) < 64 {
			t.Errorf("%s again: %q, %v", tt.what, made, err)
		}
	}
}

// An upgrade leaves the old daemon alone where its user cannot read what root can.
func TestRenew(t *testing.T) {
	for _, answer := range []string{"0", "78"} {
		dir := t.TempDir()
		for name, body := range map[string]string{
			"o2n-milter":         "exit 0", // as root
			"setpriv":            "[ \"$*\" = '--reuid o2n-milter --regid o2n-milter --init-groups o2n-milter configtest' ] && exit " + answer,
			"deb-systemd-invoke": "touch " + dir + "/restarted",
		} {
			if err := os.WriteFile(dir+"/"+name, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		run(t, "sh", "-c", functions(t, dir)+"PATH="+dir+":$PATH\nrenew")
		_, err := os.Stat(dir + "/restarted")
		if (err == nil) != (answer == "0") {
			t.Errorf("configtest ends with %s: %v", answer, err)
		}
	}
}

// The state's folder may be a file system of its own, or a link to where there is room.
func TestPurge(t *testing.T) {
	script, err := os.ReadFile("deb/o2n-milter.postrm")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ made, left string }{
		{"mkdir var/lib/o2n-milter", ""},
		{"mkdir srv; touch srv/alien; ln -s ../../srv var/lib/o2n-milter", "srv/alien\n"},
		{"mkdir var/lib/o2n-milter; mount -t tmpfs none var/lib/o2n-milter", "var/lib/o2n-milter\n"},
	} {
		root := t.TempDir()
		text := strings.NewReplacer(" /etc/", " "+root+"/etc/", " /run/", " "+root+"/run/", " /var/", " "+root+"/var/").Replace(string(script))
		made := "set -e; cd " + root + "; mkdir -p etc/o2n-milter/conf.d run var/lib; touch etc/o2n-milter/link.key; " + tt.made
		if strings.Contains(tt.made, "mkdir var") {
			made += "; touch var/lib/o2n-milter/000001.sst"
		}
		command := made + "\nset -- purge\n" + text + "\nfind srv var/lib -mindepth 1 -name '[ao]*' 2>/dev/null || true"
		in := []string{"sh", "-c", command}
		if strings.Contains(tt.made, "mount") {
			if exec.Command("unshare", "-m", "true").Run() != nil {
				t.Log("SKIPPED: no file system can be mounted")
				continue
			}
			in = append([]string{"unshare", "-m"}, in...)
		}
		if got := run(t, in[0], in[1:]...); !strings.HasSuffix(got, tt.left) || tt.left == "" && got != "" {
			t.Errorf("%s: %q is left, want %q", tt.made, got, tt.left)
		}
	}
}

// The exposure that systemd computes is 1.0 at most; 9 and more is what other milters have.
func TestSandbox(t *testing.T) {
	need(t, "systemd-analyze")
	unit, err := filepath.Abs("../systemd/o2n-milter.service")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=10", unit)
}

// No unit leaves a core file, which would hold people's mail and keys.
func TestNoCoreFiles(t *testing.T) {
	units, err := filepath.Glob("../systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatalf("units %q, %v; want two", units, err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\nLimitCORE=0\n") {
			t.Errorf("%s has no LimitCORE=0", unit)
		}
	}
}

func TestScriptsParse(t *testing.T) {
	for _, script := range []string{"deb/o2n-milter.postinst", "deb/o2n-milter.postrm"} {
		run(t, "sh", "-n", script)
	}
	for _, script := range []string{"build-deb", "check-deb", "install", "deb/tests/mail"} {
		run(t, "bash", "-n", script)
	}
}

func TestPlaybook(t *testing.T) {
	need(t, "python3")
	if exec.Command("python3", "-c", "import yaml").Run() != nil {
		t.Skip("SKIPPED: python3 has no yaml (package python3-yaml)")
	}
	const count = `import sys, yaml; plays = yaml.safe_load(open(sys.argv[1])); print(len(plays), all("name" in t for t in plays[0]["tasks"]))`
	if got := run(t, "python3", "-c", count, "../docs/ansible.yml"); got != "1 True\n" {
		t.Errorf("ansible.yml: %q; want one play, each task with a name", got)
	}
}
