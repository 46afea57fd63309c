package mta

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// stopTimeout is what a server gets between SIGTERM and SIGKILL.
const stopTimeout = 5 * time.Second

// Proc is a child process in a process group of its own.
type Proc struct {
	Cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; valid once done is closed
}

// Start runs cmd in a new process group and ends the whole group with the test.
func Start(t testing.TB, cmd *exec.Cmd) *Proc {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true,
		// A test binary that is killed takes its servers with it.
		Pdeathsig: syscall.SIGTERM,
	}
	// Wait must not hang on output pipes that grandchildren hold open.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	p := &Proc{Cmd: cmd, done: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	t.Cleanup(p.Stop)
	return p
}

// Running says whether the first process of the group still lives.
func (p *Proc) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stop ends the group: SIGTERM, then SIGKILL for what is left. Twice is fine.
func (p *Proc) Stop() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
	}
	p.Kill()
}

// Kill is kill -9 for the whole group.
func (p *Proc) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

func (p *Proc) signal(sig syscall.Signal) {
	if err := syscall.Kill(-p.Cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		panic("signal to a process group of ours: " + err.Error())
	}
}

// Err is what the process ended with, once it is not Running.
func (p *Proc) Err() error { return p.err }

// scratch is a folder with a short name, because socket paths end at 108 bytes.
func scratch(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "o2n-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// The servers' unprivileged users must get through.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
