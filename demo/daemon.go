package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	startTime = 30 * time.Second // it opens a store
	// stopTime is over the configured milter.shutdown_timeout of everybody who uses this.
	stopTime = 40 * time.Second
)

// Daemon is an o2n-milter that serves in a process of its own.
type Daemon struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
	err   error         // why, from then on
}

// StartDaemon starts program with a configuration file. What it says goes to log.
func StartDaemon(program, config string, log *os.File) (*Daemon, error) {
	d := &Daemon{cmd: exec.Command(program, "serve", "--config", config), ended: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// Ctrl-C is for us; the daemon is told when we are done, or dead.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	return d, nil
}

// Await waits until something listens on addr. The daemon opens its web listener
// last.
func (d *Daemon) Await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("nobody listens on %s after %v", addr, startTime))
	defer cancel()
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-d.ended:
			return d.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Ended is closed when the daemon has ended; Err says why.
func (d *Daemon) Ended() <-chan struct{} { return d.ended }

// Err says how the daemon ended.
func (d *Daemon) Err() error {
	if d.err == nil {
		return errors.New("the daemon ended by itself")
	}
	return fmt.Errorf("the daemon ended: %w", d.err)
}

// Stop ends the daemon, and waits until it has.
func (d *Daemon) Stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-d.ended:
	case <-time.After(stopTime):
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
}
