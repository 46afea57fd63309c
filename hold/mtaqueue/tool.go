package mtaqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// folders are where tools may be. PATH has no say.
type folders []string

// system is where Postfix and Sendmail install their tools. Sendmail's own folder
// comes first: sendmail in the others may be the one of another MTA.
var system = folders{"/usr/libexec/sendmail", "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/lib"}

// find gives the real path of a tool that only root, or whoever runs us, can change.
func (f folders) find(name string) (string, error) {
	for _, dir := range f {
		path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return path, trusted(path)
	}
	return "", fmt.Errorf("%s: not found in %s", name, strings.Join(f, ", "))
}

// trusted wants a program that nobody else could have put there.
func trusted(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s: is no program", path)
	case owner != 0 && int(owner) != os.Geteuid():
		return fmt.Errorf("%s: belongs to user %d; want root's", path, owner)
	case info.Mode()&0o022 != 0:
		return fmt.Errorf("%s: others may write it (mode %04o)", path, info.Mode().Perm())
	}
	return nil
}

const (
	// toolTimeout ends a tool that hangs. postsuper takes hold of 500 messages in
	// less than a second.
	toolTimeout = time.Minute
	// maxTalk is what is kept of what a tool prints. What Sendmail says of itself
	// takes 2 kB.
	maxTalk = 64 << 10
)

// tool is a program with the arguments that go first.
type tool struct {
	path  string
	first []string
}

// command has an empty environment: what a tool does hangs on nothing but its
// arguments and the MTA's configuration.
func (t tool) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.path, append(t.first[:len(t.first):len(t.first)], args...)...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs the tool to its end and gives what it printed; input may be empty.
func (t tool) run(ctx context.Context, input string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	cmd := t.command(ctx, args...)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	var out, talk bounded
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return nil, t.complaint(err, talk.text())
	}
	return out.buf.Bytes(), nil
}

// stream runs the tool and has read take what it prints as it comes. That read
// gives up ends the tool.
func (t tool) stream(ctx context.Context, read func(io.Reader) error, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := t.command(ctx, args...)
	var talk bounded
	cmd.Stderr = &talk
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return t.complaint(err, "")
	}
	if err := read(out); err != nil {
		cancel()
		_ = cmd.Wait()         // ended by us
		if talk.text() != "" { // why there was nothing right to read
			return t.complaint(err, talk.text())
		}
		return err
	}
	if err := cmd.Wait(); err != nil {
		return t.complaint(err, talk.text())
	}
	return nil
}

// complaint is one line: what the tool said, or else how it ended.
func (t tool) complaint(err error, talk string) error {
	name := filepath.Base(t.path)
	if talk == "" {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s: %w: %s", name, err, talk)
}

// bounded keeps the first maxTalk octets of what is written to it.
type bounded struct{ buf bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.buf.Write(p[:min(len(p), maxTalk-b.buf.Len())])
	return len(p), nil
}

func (b *bounded) text() string {
	return strings.Join(strings.FieldsFunc(clip(b.buf.String()), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
