package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"o2n-milter/demo"
)

// program is this program as a process of its own: TestMain puts it into PATH.
func program(t *testing.T) string {
	t.Helper()
	file, err := exec.LookPath("o2n-milter")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// shown is what a demo says first.
type shown struct {
	SMTP, Web, Console, Folder, Config string
	Customer                           string `json:"customer_page"`
}

// watched is a demo that runs in this process, its daemon in one of its own.
type watched struct {
	t     *testing.T
	shown shown
	lines chan string // closed when it says no more
}

// watchDemo runs a demo in a hurry until the test ends.
func watchDemo(t *testing.T) *watched {
	dir, err := os.MkdirTemp("", "o2n-demo-") // short: socket paths end at 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	in, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- demo.Run(ctx, demo.Options{
			Program: program(t), Dir: dir, Out: out, JSON: true, Hurry: true,
			Ask: func(socket, path string, in, out any) error { return newClient(socket).call(path, in, out) },
		})
		out.Close()
	}()
	// Read at once: the demo answers nobody before it has told of his mail.
	w := &watched{t: t, lines: make(chan string, 1000)}
	go func() {
		defer close(w.lines)
		for lines := bufio.NewScanner(in); lines.Scan(); {
			w.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("demo: %v", err)
		}
		os.RemoveAll(dir)
	})
	w.next(&w.shown)
	return w
}

// next reads a line.
func (w *watched) next(v any) string {
	w.t.Helper()
	line, more := <-w.lines
	if !more {
		w.t.Fatal("the demo says no more")
	}
	if err := json.Unmarshal([]byte(line), v); err != nil {
		w.t.Fatalf("%v in %s", err, line)
	}
	return line
}

// until reads on to a line that holds a text.
func (w *watched) until(text string) string {
	w.t.Helper()
	for {
		if line := w.next(&struct{}{}); strings.Contains(line, text) {
			return line
		}
	}
}

func TestDemo(t *testing.T) {
	w := watchDemo(t)
	w.until(`"summary"`)
	t.Run("curl", w.curl)
	t.Run("customer", w.customer)
	t.Run("console", w.console)
	t.Run("command", w.command)
}

// curl sends the two messages of the demo as its first lines say.
func (w *watched) curl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: curl is not there, so the lines that are printed for it are not tried")
	}
	for file, want := range map[string]string{
		"passes.eml":  "< 250 2.0.0 Ok: queued as D0",
		"refused.eml": "< 550 5.7.1 The From address does not belong to your account",
	} {
		args := "-v smtp://" + w.shown.SMTP + " --mail-from you@acme.example --mail-rcpt jo@remote.example -u you@acme.example:x -T " + filepath.Join(w.shown.Folder, file)
		out, err := exec.Command("curl", strings.Fields(args)...).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("curl %s: %v, want %s in\n%s", args, err, want, out)
		}
		w.until(`"who":"you@acme.example"`)
	}
}

// customer opens the page of the hijacked site's owner.
func (w *watched) customer(t *testing.T) {
	code, page, err := get(w.shown.Customer)
	if err != nil || code != http.StatusOK || !strings.Contains(page, "Sending is blocked") || !strings.Contains(page, "service@bank.example") {
		t.Errorf("customer page: %d, %v\n%s", code, err, page)
	}
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// console goes in by the link, and sees the block.
func (w *watched) console(t *testing.T) {
	cookies := map[string]string{}
	do := func(method, at string, form url.Values) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, at, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		for name, value := range cookies { // a cookie jar keeps no secure ones for loopback, as browsers do
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range resp.Cookies() {
			cookies[c.Name] = c.Value
		}
		return resp, string(page)
	}
	_, page := do(http.MethodGet, w.shown.Console, nil)
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], m[2])
	}
	resp, page := do(http.MethodPost, "http://"+w.shown.Web+"/admin/login", form)
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("login: %s with %v\n%s", resp.Status, form, page)
	}
	_, page = do(http.MethodGet, "http://"+w.shown.Web+"/admin/blocks", nil)
	if !strings.Contains(page, "script:voyage@web1.example/wp-mailer.php") {
		t.Errorf("the console shows no block:\n%s", page)
	}
}

// command asks the demo's daemon as from another terminal.
func (w *watched) command(t *testing.T) {
	out, err := exec.Command(program(t), "--config", w.shown.Config, "block", "list").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "script:voyage@web1.example/wp-mailer.php") {
		t.Errorf("block list: %v\n%s", err, out)
	}
}

// TestDemoFindsOtherPorts: two demos at once are in nobody's way.
func TestDemoFindsOtherPorts(t *testing.T) {
	one, other := watchDemo(t), watchDemo(t)
	if one.shown.SMTP == other.shown.SMTP || one.shown.Web == other.shown.Web {
		t.Errorf("both are at %+v", one.shown)
	}
	one.until(`"summary"`)
	other.until(`"summary"`)
}

// TestDemoLeavesNothing: however it is ended, by a signal in mid-day or by a pipe that
// nobody reads any more, its folder is gone, and nobody listens where it was.
func TestDemoLeavesNothing(t *testing.T) {
	// Who finds this port taken takes ports that nobody takes after him.
	if ln, err := net.Listen("tcp", "127.0.0.1:2525"); err == nil {
		t.Cleanup(func() { ln.Close() }) // after the parallel ones
	}
	for name, end := range map[string]func(*exec.Cmd, io.Closer) error{
		"SIGINT":  func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(syscall.SIGINT) },
		"SIGHUP":  func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(syscall.SIGHUP) },
		"SIGTERM": func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(syscall.SIGTERM) },
		"pipe":    func(_ *exec.Cmd, out io.Closer) error { return out.Close() }, // seen with the next line
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			temp, err := os.MkdirTemp("", "o2n-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(temp)
			cmd := exec.Command(program(t), "demo", "--json")
			cmd.Env = append(os.Environ(), "TMPDIR="+temp)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var talk strings.Builder
			cmd.Stderr = &talk
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer stuck.Stop()
			line, err := bufio.NewReader(out).ReadString('\n')
			var s shown
			if err := errors.Join(err, json.Unmarshal([]byte(line), &s)); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			if filepath.Dir(s.Folder) != temp {
				t.Errorf("its folder is %s, want it in %s", s.Folder, temp)
			}
			if err := end(cmd, out); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil || talk.Len() > 0 {
				t.Errorf("ended with %v, said %q", err, talk.String())
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			for _, addr := range []string{s.SMTP, s.Web} {
				if c, err := net.Dial("tcp", addr); err == nil {
					c.Close()
					t.Errorf("%s still listens", addr)
				}
			}
		})
	}
}
