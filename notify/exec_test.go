package notify

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"o2n-milter/state/memory"
)

// script writes a program and gives its path.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestProgram(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DAEMON", "x")
	dir := t.TempDir()
	hook := script(t, `
cat >"$1/stdin"; env >"$1/env"; pwd >"$1/pwd"
printf '%s\n' "$#" "$2" >"$1/args"
echo out; echo 'err  x' >&2
`)
	h := start(t, memory.New(), "mx1", Settings{Exec: map[string][]string{Block: {hook, dir, "$(id) `id`; *"}}})
	e := hostileEvent(Block, hostile)
	e.Block.ID, e.Block.Until = "B7K3QF2M9", t0.Add(time.Hour)
	h.Notify(t.Context(), t0, e)
	h.settleAt(t, t0)
	if len(h.left(t)) != 0 {
		t.Fatal(h.log)
	}
	var body payload
	if err := json.Unmarshal([]byte(content(t, dir+"/stdin")), &body); err != nil || body.Block == nil || body.Block.ID != "B7K3QF2M9" || body.Event != Block {
		t.Errorf("standard input %+v, %v", body, err)
	}
	if got := content(t, dir+"/args"); got != "2\n$(id) `id`; *\n" {
		t.Errorf("arguments %q", got)
	}
	if got := content(t, dir+"/pwd"); got != "/\n" {
		t.Errorf("run in %q", got)
	}
	env := map[string]string{}
	for line := range strings.Lines(content(t, dir+"/env")) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			t.Errorf("variable with a line break: %q", line)
		}
		env[name] = value
	}
	for name, want := range map[string]string{
		"O2N_EVENT": "block", "O2N_BLOCK": "B7K3QF2M9", "O2N_ACCOUNT": "alice@client-a.example", "O2N_UNTIL": "2026-01-05T11:00:00Z",
		"O2N_HOST": "mx1", "O2N_AT": "2026-01-05T10:00:00Z", "O2N_ID": body.ID, "SECRET_OF_THE_DAEMON": "",
	} {
		if env[name] != want {
			t.Errorf("%s=%q; want %q", name, env[name], want)
		}
	}
	if !strings.HasPrefix(env["O2N_REASON"], "x  Bcc: victim@bank.example") || strings.ContainsAny(env["O2N_REASON"], "\x1b\x00\r") {
		t.Errorf("O2N_REASON=%q", env["O2N_REASON"])
	}
	wantParts(t, h.log.String(), `output="out err  x`)
}

func TestProgramFails(t *testing.T) {
	for name, tt := range map[string]struct{ program, why string }{
		"status 1":  {script(t, "exit 1"), "exit status 1"},
		"killed":    {script(t, "kill -9 $$"), "killed"},
		"not there": {"/nonexistent/hook", "no such file"},
	} {
		h := start(t, memory.New(), "mx1", Settings{Exec: map[string][]string{Block: {tt.program}}})
		h.Notify(t.Context(), t0, blockOf(alice))
		next := h.settleAt(t, t0)
		if len(h.left(t)) != 1 || !next.Equal(t0.Add(firstPause)) || h.Stats().Channels[toExec].Retried != 1 {
			t.Errorf("%s: left %d, next %s", name, len(h.left(t)), next)
		}
		wantParts(t, h.log.String(), tt.why)
	}
}

// TestProgramReadsNothing: the event is longer than a pipe holds, and it succeeds.
func TestProgramReadsNothing(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Exec: map[string][]string{Block: {"/bin/true"}}})
	h.Notify(t.Context(), t0, hostileEvent(Block, strings.Repeat("\x01", mostText)))
	h.settleAt(t, t0)
	if len(h.left(t)) != 0 {
		t.Error(h.log)
	}
}

// TestProgramTakesTooLong: it is killed with all that it has started.
func TestProgramTakesTooLong(t *testing.T) {
	dir := t.TempDir()
	h := start(t, memory.New(), "mx1", Settings{Exec: map[string][]string{Block: {script(t, `sleep 1000 & echo $! >"$1/new"; mv "$1/new" "$1/pid"; wait`), dir}}})
	quick := *h.set.Load()
	quick.Timeout = time.Second
	h.set.Store(&quick)
	h.Notify(t.Context(), t0, blockOf(alice))
	h.settleAt(t, t0)
	if len(h.left(t)) != 1 {
		t.Error("it counts as done")
	}
	wantParts(t, h.log.String(), "not done within 1s")
	pid, err := strconv.Atoi(strings.TrimSpace(content(t, dir+"/pid")))
	if err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
}

// waitGone polls: a killed process is there until its parent has looked at it.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d is there still: %s", pid, stat)
		}
	}
}

// TestProgramLeavesSomethingBehind that holds its output open: it is done itself.
func TestProgramLeavesSomethingBehind(t *testing.T) {
	dir := t.TempDir()
	h := start(t, memory.New(), "mx1", Settings{Exec: map[string][]string{Block: {script(t, `sleep 1000 & echo $! >"$1/pid"`), dir}}})
	h.Notify(t.Context(), t0, blockOf(alice))
	h.settleAt(t, t0)
	if len(h.left(t)) != 0 {
		t.Error(h.log)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(content(t, dir+"/pid")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	waitGone(t, pid)
}

func TestOutputIsBounded(t *testing.T) {
	for _, n := range []int{mostOutput - 1, mostOutput, mostOutput + 1} {
		var out output
		for range n {
			if wrote, err := out.Write([]byte("x")); wrote != 1 || err != nil {
				t.Fatal(wrote, err)
			}
		}
		want := strings.Repeat("x", min(n, mostOutput))
		if n > mostOutput {
			want += "... and 1 octets more"
		}
		if out.String() != want {
			t.Errorf("%d octets: %q", n, out.String())
		}
	}
	h := start(t, memory.New(), "mx1", Settings{Exec: map[string][]string{Block: {script(t, `yes | head -c 1000000`)}}})
	h.Notify(t.Context(), t0, blockOf(alice))
	h.settleAt(t, t0)
	if got := len(h.log.String()); got > mostOutput+1000 {
		t.Errorf("%d octets in the log", got)
	}
	wantParts(t, h.log.String(), "and 998000 octets more")
}
