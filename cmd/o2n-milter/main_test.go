package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary stand in for o2n-milter in scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"o2n-milter": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/*.txt: what an operator types and what comes of it.
func TestScripts(t *testing.T) {
	s := &scripts{daemons: map[string]*exec.Cmd{}}
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: s.cmds()})
}
