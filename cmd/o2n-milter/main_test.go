package main

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// raceOptions are for programs that tests start: a race ends them, as nobody reads
// what they say, and they do not wait a second for more at their end, as the race
// detector's programs do else. It was most of the time of these tests.
const raceOptions = "halt_on_error=1 atexit_sleep_ms=0"

// TestMain lets the test binary stand in for o2n-milter in scripts.
func TestMain(m *testing.M) {
	if err := os.Setenv("GORACE", raceOptions); err != nil {
		panic(err)
	}
	redisBudget = 10 * time.Second
	testscript.Main(leakless{m}, map[string]func(){
		"o2n-milter": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// leakless are tests after which no goroutine may be left.
type leakless struct{ *testing.M }

func (m leakless) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs testdata/*.txt: what an operator types and what comes of it.
func TestScripts(t *testing.T) { runScripts(t, "testdata") }

func runScripts(t *testing.T, dir string) {
	t.Helper()
	s := &scripts{daemons: map[string]*exec.Cmd{}}
	testscript.Run(t, testscript.Params{Dir: dir, Cmds: s.cmds(), Setup: func(env *testscript.Env) error {
		env.Setenv("GORACE", raceOptions)
		return nil
	}})
}
