package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is something linked that others have written.
type module struct {
	Path, Version string // the standard library's path is "std"
	Legal         []legal
}

// legal is a file that says by whom and on what terms.
type legal struct {
	Dir  string // what it covers, as an import path; "std" for Go's own
	Name string
	Text string
}

// legalName are the names of such files. PATENTS grants rights beside the licence.
var legalName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)(\.(txt|md))?$`)

// linkedPackage is what "go list" says of one package.
type linkedPackage struct {
	ImportPath, Dir string
	Standard        bool
	Module          *struct {
		Path, Version string
		Main          bool
	}
}

// linked lists the modules of a program's packages, by path, and Go itself.
func linked(dir, program string) ([]module, error) {
	packages, err := list(dir, program)
	if err != nil {
		return nil, err
	}
	byPath := map[string]*module{}
	seen := map[string]bool{}
	for _, p := range packages {
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		m := byPath[p.Module.Path]
		if m == nil {
			m = &module{Path: p.Module.Path, Version: p.Module.Version}
			byPath[m.Path] = m
		}
		if err := m.collect(p, seen); err != nil {
			return nil, err
		}
	}
	std, err := standard(dir)
	if err != nil {
		return nil, err
	}
	list := []module{std}
	for _, name := range slices.Sorted(maps.Keys(byPath)) {
		m := byPath[name]
		slices.SortFunc(m.Legal, func(a, b legal) int { return strings.Compare(a.Dir+"/"+a.Name, b.Dir+"/"+b.Name) })
		list = append(list, *m)
	}
	return list, checkKnown(list)
}

// checkKnown wants each module under a licence that we know.
func checkKnown(list []module) error {
	var errs []error
	for _, m := range list {
		if len(m.licences()) == 0 {
			errs = append(errs, fmt.Errorf("%s %s: no licence that is known among its %d files; want one of %v", m.Path, m.Version, len(m.Legal), known()))
		}
	}
	return errors.Join(errs...)
}

// collect takes the legal files beside a package and above it, up to its module's root.
func (m *module) collect(p linkedPackage, seen map[string]bool) error {
	at, dir := p.ImportPath, p.Dir
	for !seen[at] {
		seen[at] = true
		files, err := legalFiles(at, dir)
		if err != nil {
			return err
		}
		m.Legal = append(m.Legal, files...)
		if at == m.Path {
			break
		}
		at, dir = path.Dir(at), filepath.Dir(dir)
	}
	return nil
}

func legalFiles(at, dir string) ([]legal, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []legal
	for _, e := range entries {
		if e.IsDir() || !legalName.MatchString(e.Name()) {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, legal{at, e.Name(), strings.ReplaceAll(string(raw), "\r\n", "\n")})
	}
	return files, nil
}

// standard is Go's runtime and standard library.
func standard(dir string) (module, error) {
	out, err := output(dir, "env", "GOROOT", "GOVERSION")
	if err != nil {
		return module{}, err
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	files, err := legalFiles("std", root)
	return module{"std", strings.TrimPrefix(version, "go"), files}, err
}

func list(dir, program string) ([]linkedPackage, error) {
	out, err := output(dir, "list", "-deps", "-json=ImportPath,Dir,Standard,Module", program)
	if err != nil {
		return nil, err
	}
	var packages []linkedPackage
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p linkedPackage
		err := in.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

func output(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	// What is linked is asked for the machine of the package, Linux, without cgo.
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}
