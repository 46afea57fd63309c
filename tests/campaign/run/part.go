package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	tests "o2n-milter/tests/campaign"
)

// result is what came of a part.
type result struct {
	part
	took           time.Duration
	fault          string // empty when all held
	passed, failed int    // tests and their parts
	skipped        []string
	fuzzed         fuzzed
}

// fuzzed is what a fuzz target says at its end.
type fuzzed struct{ inputs, found, corpus int }

// run runs a part to its end, or for as long as it may take. Its processes end with it.
func (p part) run(ctx context.Context, tally string) result {
	if _, err := os.Stat(p.folder); err != nil {
		return result{part: p, fault: p.folder + " is not there"}
	}
	if ctx.Err() != nil {
		return result{part: p, fault: "did not run"}
	}
	ctx, cancel := context.WithTimeout(ctx, p.most)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	cmd.Env = append(os.Environ(), tests.EnvLong+"=long", tests.EnvTally+"="+tally)
	if p.short {
		cmd.Env = append(cmd.Env, tests.EnvLong+"=", tests.EnvTally+"=")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// First as an operator would: servers that tests have started end with them.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	start := time.Now()
	out, err := cmd.CombinedOutput()
	r := p.read(out)
	r.took = time.Since(start)
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		r.fault = fmt.Sprintf("did not end within %v", p.most)
	case err != nil && r.fault == "":
		r.fault = err.Error()
	}
	file := filepath.Join(logs, strings.NewReplacer("/", "-", " ", "-").Replace(p.name)+".log")
	if err := os.WriteFile(file, out, 0o600); err != nil && r.fault == "" {
		r.fault = err.Error()
	}
	if r.fault != "" {
		r.fault += "; see " + file
	}
	return r
}

var (
	passLine = regexp.MustCompile(`(?m)^\s*--- PASS: `)
	failLine = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	// Whoever wants what is not there says so with this word. A test that is meant for
	// another place does not.
	skipLine = regexp.MustCompile(`(?m)SKIPPED: (.*)$`)
	// "fuzz: elapsed: 5s, execs: 208 (69/sec), new interesting: 0 (total: 204)"
	fuzzLine = regexp.MustCompile(`execs: (\d+) .*new interesting: (\d+) \(total: (\d+)\)`)
)

// read finds in what a part has said how it went.
func (p part) read(out []byte) result {
	r := result{part: p, passed: len(passLine.FindAll(out, -1)), failed: len(failLine.FindAll(out, -1))}
	if r.failed > 0 {
		r.fault = string(failLine.FindSubmatch(out)[1])
	}
	for _, m := range skipLine.FindAllSubmatch(out, -1) {
		r.skipped = append(r.skipped, string(m[1]))
	}
	slices.Sort(r.skipped)
	r.skipped = slices.Compact(r.skipped)
	if m := fuzzLine.FindAllSubmatch(out, -1); m != nil {
		last := m[len(m)-1]
		r.fuzzed = fuzzed{number(last[1]), number(last[2]), number(last[3])}
	}
	switch {
	case r.fault != "":
	case p.fuzz && !bytes.Contains(out, []byte("gathering baseline coverage")):
		r.fault = "nothing was fuzzed"
	case len(r.skipped) > 0 && os.Getenv("CI") == "true":
		r.fault = "skipped: " + strings.Join(r.skipped, "; ")
	case p.command[0] != "make" && !p.fuzz && r.passed == 0 && len(r.skipped) == 0:
		r.fault = "no test ran"
	}
	return r
}

// number of digits that a pattern has found.
func number(digits []byte) int {
	n, _ := strconv.Atoi(string(digits))
	return n
}

func (r result) oneLine() string {
	took := r.took.Round(time.Second)
	switch {
	case r.fault != "":
		return fmt.Sprintf("FAILED after %v: %s", took, r.fault)
	case len(r.skipped) > 0:
		return fmt.Sprintf("held, %v; SKIPPED: %s", took, strings.Join(r.skipped, "; "))
	}
	return fmt.Sprintf("held, %v", took)
}
