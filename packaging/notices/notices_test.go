package main

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const program = "./cmd/o2n-milter"

func ours(t *testing.T) []module {
	t.Helper()
	list, err := linked("../..", program)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// linkedModules asks in another way than linked does.
func linkedModules(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", program)
	cmd.Dir = "../.."
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			found[line] = true
		}
	}
	if len(found) < 10 {
		t.Fatalf("%d modules: %v; want all that are linked", len(found), found)
	}
	return slices.Sorted(maps.Keys(found))
}

// Every module that is linked has its licence in the copyright file, and is in the bill.
func TestNothingIsForgotten(t *testing.T) {
	modules := ours(t)
	text := string(copyrightFile(modules))
	var sum bill
	if err := json.Unmarshal(billOf(modules, "1"), &sum); err != nil {
		t.Fatal(err)
	}
	var billed []string
	for _, c := range sum.Components {
		if len(c.Licenses) == 0 {
			t.Errorf("%s: no licence in the bill", c.Name)
		}
		if c.Name != "std" {
			billed = append(billed, c.Name+" "+c.Version)
		}
	}
	want := linkedModules(t)
	if diff := cmp.Diff(want, billed); diff != "" {
		t.Errorf("the bill: -linked +there\n%s", diff)
	}
	for _, m := range append(want, "std 1") {
		name, _, _ := strings.Cut(m, " ")
		if !strings.Contains(text, " vendor/"+name+"/*\n") {
			t.Errorf("copyright file: nothing of %s", name)
		}
	}
	for _, m := range modules {
		for _, f := range m.Legal {
			// The last line is below what every Debian system has.
			lines := strings.Split(strings.TrimSpace(shortened(f.Text)), "\n")
			if last := strings.TrimSpace(lines[len(lines)-1]); !strings.Contains(text, last) {
				t.Errorf("copyright file: %s of %s is not there to its end: %q", f.Name, f.Dir, last)
			}
		}
	}
}

// Debian's checks go by the form: fields in each stanza, a licence's name once.
func TestCopyrightForm(t *testing.T) {
	names := map[string]bool{}
	for i, stanza := range strings.Split(string(copyrightFile(ours(t))), "\n\n") {
		var fields []string
		for line := range strings.Lines(stanza) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && line[0] != ' ' {
				fields = append(fields, name)
				if name == "License" {
					if names[value] {
						t.Errorf("licence %s is there twice", value)
					}
					names[value] = true
				}
			}
		}
		if want := []string{"Files", "Copyright", "License"}; i > 0 && !slices.Equal(fields, want) {
			t.Errorf("stanza %d has %v; want %v:\n%.300s", i, fields, want, stanza)
		}
	}
}

func TestLicences(t *testing.T) {
	const redistribute = "Redistribution and use in source and\nbinary forms, with or without"
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"do what you like", nil},
		{"Apache License\n   Version 2.0, January 2004", []string{"Apache-2.0"}},
		{"Permission is hereby granted, free of charge, to any person obtaining a\ncopy of this", []string{"MIT"}},
		{redistribute, []string{"BSD-2-Clause"}},
		{redistribute + " * Neither the name of X", []string{"BSD-3-Clause"}},
		{redistribute + "\nApache License Version 2.0, January 2004", []string{"Apache-2.0", "BSD-2-Clause"}},
	} {
		if got := licencesIn(tt.text, false); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
		}
	}
}

func TestHolders(t *testing.T) {
	const text = "Copyright (c) 2013 TOML authors\n * Copyright © 2012 Others.  \n// Copyright 2009 The Go Authors.\nCopyright [yyyy] [name]\n" +
		"Copyright {yyyy} {name}\nthe above copyright notice\nCopyright (c) 2013 TOML authors\n"
	want := []string{"2013 TOML authors", "2012 Others.", "2009 The Go Authors."}
	if diff := cmp.Diff(want, holders(text)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestUnknownLicence(t *testing.T) {
	err := checkKnown([]module{{"example.org/good", "v1", []legal{{"example.org/good", "LICENSE", "Mozilla Public License Version 2.0"}}},
		{"example.org/own", "v2", []legal{{"example.org/own", "LICENSE", "mine"}}}, {Path: "example.org/none", Version: "v3"}})
	want := []string{
		"example.org/own v2: no licence that is known among its 1 files; want one of [Apache-2.0 MIT BSD MPL-2.0 ISC]",
		"example.org/none v3: no licence that is known among its 0 files; want one of [Apache-2.0 MIT BSD MPL-2.0 ISC]",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got %v, want %q", err, want)
	}
}

// The same sources give the same bytes.
func TestSameAgain(t *testing.T) {
	a, b := ours(t), ours(t)
	if string(copyrightFile(a)) != string(copyrightFile(b)) || string(billOf(a, "1")) != string(billOf(b, "1")) {
		t.Error("two runs differ")
	}
	if abs, err := filepath.Abs("../.."); err != nil || strings.Contains(string(copyrightFile(a)), abs) {
		t.Errorf("the folder %s stands in the copyright file (%v)", abs, err)
	}
}
