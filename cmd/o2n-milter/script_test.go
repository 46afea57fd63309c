package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/emersion/go-milter"
	"github.com/rogpeppe/go-internal/testscript"
)

// scripts holds the daemons that scripts started, by script and name.
type scripts struct {
	mu      sync.Mutex
	daemons map[string]*exec.Cmd
}

func (s *scripts) cmds() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": cmdExits, "await": cmdAwait, "freetcp": cmdFreeTCP, "expand": cmdExpand, "setid": cmdSetID, "holdmail": cmdHoldMail, "holdagent": cmdHoldAgent,
		"milter": cmdMilter, "httpget": cmdHTTPGet, "awaitmetric": cmdAwaitMetric,
		"awaitlines": cmdAwaitLines, "awaitoutput": cmdAwaitOutput,
		"daemon": s.daemon, "handover": s.handover, "signal": s.signal, "reap": s.reap,
	}
}

// command prepares a program of the script's PATH, run in its work folder.
func command(ctx context.Context, ts *testscript.TestScript, args []string) *exec.Cmd {
	path := ts.Getenv("PATH")
	for _, dir := range filepath.SplitList(path) {
		bin := filepath.Join(dir, args[0])
		if _, err := os.Stat(bin); err == nil {
			cmd := exec.CommandContext(ctx, bin, args[1:]...)
			cmd.Dir = ts.MkAbs(".")
			cmd.Env = append(os.Environ(), "PATH="+path)
			return cmd
		}
	}
	ts.Fatalf("%s: not in PATH", args[0])
	return nil
}

// cmdExits runs a command and wants its exit code: "exits 78 o2n-milter configtest".
// What it printed is there for the commands stdout and stderr.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := command(ctx, ts, args[1:])
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	got := cmd.ProcessState.ExitCode()
	_, err1 := ts.Stdout().Write(out.Bytes())
	_, err2 := ts.Stderr().Write(errOut.Bytes())
	ts.Check(errors.Join(err1, err2))
	if got != want {
		ts.Fatalf("exit code %d, want %d (%v)", got, want, err)
	}
}

// daemon starts a program that goes on running: "daemon NAME o2n-milter serve".
// It is killed at the end of the script. What it says goes to the file NAME.log.
func (s *scripts) daemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: daemon NAME COMMAND [ARG...]")
	}
	s.start(ts, args[0], command(context.Background(), ts, args[1:]))
}

// handover starts a daemon with listening sockets as systemd does (sd_listen_fds(3)):
// "handover NAME milter=ADDR web=ADDR o2n-milter serve".
func (s *scripts) handover(ts *testscript.TestScript, _ bool, args []string) {
	var names []string
	var files []*os.File
	rest := args[1:]
	for ; strings.Contains(rest[0], "="); rest = rest[1:] {
		name, addr, _ := strings.Cut(rest[0], "=")
		ln, err := net.Listen("tcp", addr)
		ts.Check(err)
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		ts.Check(err)
		defer f.Close()
		names, files = append(names, name), append(files, f)
	}
	// LISTEN_PID is the daemon's own, which only a shell in its place can know.
	script := fmt.Sprintf("LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s exec \"$@\"", len(names), strings.Join(names, ":"))
	plain := command(context.Background(), ts, rest)
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh", plain.Path}, rest[1:]...)...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = plain.Dir, plain.Env, files
	s.start(ts, args[0], cmd)
}

func (s *scripts) start(ts *testscript.TestScript, name string, cmd *exec.Cmd) {
	log, err := os.OpenFile(ts.MkAbs(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.daemons[s.key(ts, name)] = cmd
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		said, _ := os.ReadFile(log.Name())
		ts.Logf("[%s]\n%s", filepath.Base(log.Name()), said)
	})
}

func (s *scripts) key(ts *testscript.TestScript, name string) string { return ts.Name() + "/" + name }

func (s *scripts) find(ts *testscript.TestScript, name string) *exec.Cmd {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := s.daemons[s.key(ts, name)]
	if cmd == nil {
		ts.Fatalf("no daemon %s", name)
	}
	return cmd
}

// signal sends HUP, INT, TERM or KILL: "signal NAME HUP".
func (s *scripts) signal(ts *testscript.TestScript, _ bool, args []string) {
	sig := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[1]]
	ts.Check(s.find(ts, args[0]).Process.Signal(sig))
}

// reap waits for a daemon's end: "reap NAME"; "! reap NAME" wants it to have failed,
// or to have been killed.
func (s *scripts) reap(ts *testscript.TestScript, neg bool, args []string) {
	cmd := s.find(ts, args[0])
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if (err != nil) != neg {
			ts.Fatalf("%s: %v", args[0], cmd.ProcessState)
		}
	case <-time.After(20 * time.Second):
		ts.Fatalf("%s does not end", args[0])
	}
}

// until tries for at most 20 seconds; nothing here can be waited for otherwise.
func until(ts *testscript.TestScript, what string, try func() error) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cmdAwait waits until a socket takes connections: "await unix admin.sock".
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	addr := args[1]
	if args[0] == "unix" {
		addr = ts.MkAbs(addr)
	}
	until(ts, "await "+addr, func() error {
		c, err := net.DialTimeout(args[0], addr, time.Second)
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

// nextPort counts through ports that no outgoing connection takes: those start at
// 32768 (ip(7), ip_local_port_range). No two scripts get the same one.
var nextPort atomic.Int32

// ownHost is a loopback address of this process alone: all of 127/8 is the host's, and
// a process id has 22 bits at the most (proc(5), pid_max). On 127.0.0.1 two runs of
// the tests at one moment would take each other's ports between freetcp and daemon.
func ownHost() string {
	pid := os.Getpid()
	return net.IPv4(127, byte(1+pid>>16), byte(pid>>8), byte(pid)).String()
}

// cmdFreeTCP finds a free loopback port: "freetcp WEB" sets $WEB to address and port.
func cmdFreeTCP(ts *testscript.TestScript, _ bool, args []string) {
	nextPort.CompareAndSwap(0, 20000)
	for range 1000 {
		addr := net.JoinHostPort(ownHost(), strconv.Itoa(int(nextPort.Add(1))))
		if ln, err := net.Listen("tcp", addr); err == nil {
			ts.Check(ln.Close())
			ts.Setenv(args[0], addr)
			return
		}
	}
	ts.Fatalf("no free port")
}

// cmdExpand replaces $NAME in files by the script's variables.
func cmdExpand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// cmdSetID sets a variable to the first word of the last command's output.
func cmdSetID(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.Fields(ts.ReadFile("stdout"))[0])
}

func get(url string) (int, string, error) {
	c := http.Client{Timeout: 5 * time.Second}
	defer c.CloseIdleConnections()
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// cmdMilter gives the filter one message and wants its reply to hold a text, or
// "passes": "milter ADDR LOGIN FROM TEXT".
func cmdMilter(ts *testscript.TestScript, _ bool, args []string) {
	client := milter.NewClientWithOptions("tcp", args[0], milter.ClientOptions{})
	session, err := client.Session()
	ts.Check(err)
	defer session.Close()
	_, err = session.Conn("client.example", milter.FamilyInet, 40000, "192.0.2.7")
	ts.Check(err)
	ts.Check(session.Macros(milter.CodeMail, "{auth_authen}", args[1]))
	_, err = session.Mail(args[1], nil)
	ts.Check(err)
	_, err = session.Rcpt("x@remote.example", nil)
	ts.Check(err)
	_, err = session.HeaderField("From", args[2])
	ts.Check(err)
	_, err = session.HeaderEnd()
	ts.Check(err)
	_, action, err := session.End()
	ts.Check(err)
	got := "passes"
	if action.Code != milter.ActContinue {
		got = action.SMTPText
	}
	if !strings.Contains(got, args[3]) {
		ts.Fatalf("from %s: %q, want %q in it", args[2], got, args[3])
	}
}

// cmdHTTPGet wants a status and leaves the answer in the file body: "httpget URL 200".
func cmdHTTPGet(ts *testscript.TestScript, _ bool, args []string) {
	var code int
	var body string
	until(ts, args[0], func() (err error) { code, body, err = get(args[0]); return err })
	ts.Check(os.WriteFile(ts.MkAbs("body"), []byte(body), 0o600))
	if strconv.Itoa(code) != args[1] {
		ts.Fatalf("%s: status %d, want %s\n%s", args[0], code, args[1], body)
	}
}

// cmdAwaitMetric waits until a metric has a value: "awaitmetric URL NAME VALUE".
func cmdAwaitMetric(ts *testscript.TestScript, _ bool, args []string) {
	want := "\n" + args[1] + " " + args[2] + "\n"
	until(ts, args[1], func() error {
		_, body, err := get(args[0])
		if err == nil && !strings.Contains(body, want) {
			err = io.ErrNoProgress
		}
		return err
	})
}

// wantLines is nil where so many lines of text match.
func wantLines(text []byte, count, pattern string) error {
	want, err := strconv.Atoi(count)
	re, err2 := regexp.Compile(pattern)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	got := 0
	for line := range bytes.Lines(text) {
		if re.Match(line) {
			got++
		}
	}
	if got != want {
		return fmt.Errorf("%d lines match %s, want %d", got, pattern, want)
	}
	return nil
}

// cmdAwaitLines waits until so many lines of a file match: "awaitlines 1 PATTERN daemon.log".
func cmdAwaitLines(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, "awaitlines "+args[2], func() error {
		text, err := os.ReadFile(ts.MkAbs(args[2]))
		return errors.Join(err, wantLines(text, args[0], args[1]))
	})
}

// cmdAwaitOutput runs a command until so many lines of its output match:
// "awaitoutput 2 PATTERN o2n-milter history". The output is there for stdout then.
func cmdAwaitOutput(ts *testscript.TestScript, _ bool, args []string) {
	var out []byte
	until(ts, "awaitoutput "+args[0]+" "+args[1], func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		out, err = command(ctx, ts, args[2:]).Output()
		return errors.Join(err, wantLines(out, args[0], args[1]))
	})
	_, err := ts.Stdout().Write(out)
	ts.Check(err)
}
