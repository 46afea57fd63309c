package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Bounds of a program's output in the log and of one of its variables, in octets.
const (
	mostOutput   = 2000
	mostVariable = 1000
)

// runHook runs the operator's program: no shell, an environment of our own making,
// the event in JSON on its standard input. Exit status 0 means done.
func (n *Notifier) runHook(ctx context.Context, _ time.Time, j job) error {
	argv := n.set.Load().Exec[j.Event.What]
	if len(argv) == 0 {
		return errGone
	}
	input, err := json.Marshal(payloadOf(j.notice))
	if err != nil {
		return permanent{err}
	}
	var out output
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = environment(j.notice)
	cmd.Stdin = bytes.NewReader(append(input, '\n'))
	cmd.Stdout, cmd.Stderr = &out, &out
	// Whatever it has started dies with it when its time is up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// What it leaves behind may hold its output open.
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has exited with 0 itself
	}
	n.opts.Log.Info("program run", "id", j.id, "event", j.Event.What, "program", argv[0], "output", clean(out.String(), mostOutput+100))
	if err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}

// environment holds the event's words once more, for scripts that read no JSON.
func environment(v notice) []string {
	e := v.Event
	until := ""
	if !e.Block.Until.IsZero() {
		until = e.Block.Until.UTC().Format(time.RFC3339)
	}
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	for _, kv := range [][2]string{
		{"ID", v.id}, {"EVENT", e.What}, {"AT", e.At.UTC().Format(time.RFC3339)}, {"HOST", v.Host},
		{"SUBJECT", e.subject()}, {"ACCOUNT", e.account()}, {"CUSTOMER", e.Block.Customer},
		{"BLOCK", e.block()}, {"RULE", e.Block.Rule}, {"REASON", e.Block.Reason}, {"UNTIL", until},
		{"REQUEST", e.Request.ID}, {"TEXT", e.Text},
	} {
		env = append(env, "O2N_"+kv[0]+"="+clean(kv[1], mostVariable))
	}
	return env
}

// output keeps the beginning of what a program says and counts the rest.
type output struct {
	kept bytes.Buffer
	more int
}

func (o *output) Write(p []byte) (int, error) {
	n := min(len(p), mostOutput-o.kept.Len())
	o.kept.Write(p[:n])
	o.more += len(p) - n
	return len(p), nil
}

func (o *output) String() string {
	if o.more == 0 {
		return o.kept.String()
	}
	return fmt.Sprintf("%s... and %d octets more", o.kept.String(), o.more)
}
