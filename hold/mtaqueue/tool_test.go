package mtaqueue

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/hold/wire"
)

// fake makes a tool that notes how it was called (a line for each argument, "<" and
// its standard input, its environment), and then does what script says.
func fake(t *testing.T, dir, name, script string) {
	t.Helper()
	text := "#!/bin/sh\n{ echo NAME; for a; do echo \"[$a]\"; done; /bin/sed 's/^/</'; /usr/bin/env | /bin/grep -v '^PWD=\\|^_=\\|^SHLVL=' | /bin/sed 's/^/env: /'; } >>DIR/calls\n" + script + "\n"
	text = strings.NewReplacer("DIR", dir, "NAME", name).Replace(text)
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// calls is what was noted since the last time.
func calls(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "calls")
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err := errors.Join(err, os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(string(raw), " ", "_")), " ")
}

// fakePostfix has a queue of plain files in folders; its postsuper moves nothing.
func fakePostfix(t *testing.T) (p *postfix, dir string) {
	t.Helper()
	dir = t.TempDir()
	fake(t, dir, "postconf", "echo 'hash_queue_depth = 1'; echo 'myhostname = mx.host.example'; echo 'queue_directory = DIR/queue'")
	fake(t, dir, "postsuper", "[ ! -e DIR/fails ] || { echo 'postsuper: fatal: no' >&2; echo 'line two' >&2; exit 1; }")
	fake(t, dir, "postqueue", `case " $* " in *" -j "*) cat DIR/list;; *) [ ! -e DIR/fails ] || exit 69;; esac`)
	for _, d := range []string{"hold", "deferred/3", "deferred/A", "active", "incoming"} {
		if err := os.MkdirAll(filepath.Join(dir, "queue", d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p, err := openPostfix(t.Context(), folders{"/nonexistent", dir}, "/etc/postfix-out")
	if err != nil {
		t.Fatal(err)
	}
	if got := calls(t, dir); got != "postconf [-c] [/etc/postfix-out] [-x] [myhostname] [queue_directory] [hash_queue_depth]" {
		t.Errorf("opened by %s", got)
	}
	return p, dir
}

func TestPostfixTools(t *testing.T) {
	t.Setenv("MAIL_CONFIG", "/tmp/evil") // our environment is not the tools'
	p, dir := fakePostfix(t)
	if got := p.Host(); got != (wire.Host{MTA: "postfix", Name: "mx.host.example"}) {
		t.Errorf("host %+v", got)
	}
	put(t, filepath.Join(dir, "queue/hold/3434E9B9651"), "")
	put(t, filepath.Join(dir, "queue/deferred/3/3434E9B9652"), "")
	put(t, filepath.Join(dir, "queue/active/3434E9B9653"), "")
	ids := []string{"3434E9B9651", "3434E9B9652", "3434E9B9653"}
	const c = "[-c] [/etc/postfix-out] "
	for _, v := range []struct {
		do   func(context.Context, []string) error
		want string
	}{
		{p.Hold, "postsuper " + c + "[-h] [-] <3434E9B9651 <3434E9B9652 <3434E9B9653"},
		{p.Delete, "postsuper " + c + "[-d] [-] <3434E9B9651 <3434E9B9652 <3434E9B9653"},
		// Only what is on hold is taken off, only what is deferred is sent.
		{p.Release, "postsuper " + c + "[-H] [-] <3434E9B9651 postqueue " + c + "[-i] [3434E9B9652]"},
	} {
		if err := v.do(t.Context(), ids); err != nil {
			t.Error(err)
		}
		if got := calls(t, dir); got != v.want {
			t.Errorf("called\n%s, want\n%s", got, v.want)
		}
	}
	put(t, filepath.Join(dir, "fails"), "")
	if err := p.Hold(t.Context(), ids); err == nil || err.Error() != "postsuper: exit status 1: postsuper: fatal: no; line two" {
		t.Errorf("hold: %v", err)
	}
	if err := p.Release(t.Context(), ids[1:2]); err == nil || !strings.Contains(err.Error(), "postqueue: exit status 69") {
		t.Errorf("release: %v", err)
	}
}

func TestPostfixFind(t *testing.T) {
	p, dir := fakePostfix(t)
	for path, want := range map[string]wire.Queue{
		"hold/0000AB":                wire.QueueHold,
		"deferred/A/A000AB":          wire.QueueDeferred,
		"deferred/3000AB":            wire.QueueDeferred, // the depth was changed
		"incoming/1/2/3/4/1234AB":    wire.QueueIncoming,
		"active/4VdC8H75plz3kMn":     wire.QueueActive,
		"hold/F/4/2/3/4VdC8H75plz3k": wire.QueueHold,
		"hold/1/2/3/4/5/123456":      wire.QueueNone, // deeper than maxHashDepth
	} {
		full := filepath.Join(dir, "queue", path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, full, "")
		if got, err := p.Find(filepath.Base(path)); got != want || err != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	p.queue = "/proc/self/environ" // a file where a folder should be
	if got, err := p.Find("0000AB"); err == nil {
		t.Errorf("no queue: %q; want an error, not that the mail is gone", got)
	}
}

func TestPostfixList(t *testing.T) {
	p, dir := fakePostfix(t)
	put(t, filepath.Join(dir, "list"), postqueueOutput)
	var got []string
	yield := func(q wire.Queued) error { got = append(got, q.ID); return nil }
	if err := p.List(t.Context(), func(q wire.Queue) bool { return q == wire.QueueHold }, yield); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"3434E9B9651"}, got); diff != "" {
		t.Error(diff)
	}
	put(t, filepath.Join(dir, "list"), `{"queue_name": "hold"`)
	if err := p.List(t.Context(), func(wire.Queue) bool { return true }, yield); err == nil {
		t.Error("a list cut off: no error")
	}
}

func TestPostfixConfigure(t *testing.T) {
	for out, want := range map[string]string{
		"queue_directory = /q\nhash_queue_depth = 1\n":                   "no myhostname",
		"myhostname = x\nhash_queue_depth = 1\n":                         "queue_directory",
		"myhostname = x\nqueue_directory = q\nhash_queue_depth = 1\n":    "queue_directory",
		"myhostname = x\nqueue_directory = /q\nhash_queue_depth = 5\n":   "hash_queue_depth",
		"myhostname = x\nqueue_directory = /q\nhash_queue_depth =\n":     "hash_queue_depth",
		"myhostname = x\nqueue_directory = /q\nhash_queue_depth = 4\n\n": "",
	} {
		err := (&postfix{}).configure(out)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", out, err, want)
		}
	}
}

func TestSendmailTools(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"queue", "etc"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cf := filepath.Join(dir, "etc/sendmail.cf")
	put(t, cf, "O QueueDirectory="+dir+"/queue\n")
	fake(t, dir, "sendmail", `case "$*" in *-bt) echo '  (canonical domain name) $j = mx.host.example';; *-qf*) exit 75;; esac`)
	s, err := openSendmail(t.Context(), folders{dir}, cf)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Host(); got != (wire.Host{MTA: "sendmail", Name: "mx.host.example"}) {
		t.Errorf("host %+v", got)
	}
	c := "sendmail [-C] [" + cf + "] "
	if got := calls(t, dir); got != c+"[-d0.4] [-bt]" {
		t.Errorf("opened by %s", got)
	}
	for _, v := range []struct {
		do   func(context.Context, []string) error
		ids  []string
		want string
	}{
		{s.Hold, []string{id1, id2}, c + "[-qI" + id1 + "] [-qI" + id2 + "] [-Qheld_by_o2n-milter]"},
		{s.Release, []string{id1}, c + "[-qQ] [-qI" + id1 + "] [-Q] " + c + "[-qf] [-qI" + id1 + "]"},
		{s.Delete, []string{id1, id2}, ""},
	} {
		if err := v.do(t.Context(), v.ids); err != nil {
			t.Error(err)
		}
		if got := calls(t, dir); got != v.want {
			t.Errorf("called\n%s, want\n%s", got, v.want)
		}
	}
	if _, err := openSendmail(t.Context(), folders{dir}, cf+"x"); err == nil {
		t.Error("no .cf file: no error")
	}
	fake(t, dir, "sendmail", "echo 'sendmail: fatal: unsupported: -d' >&2; exit 64")
	if _, err := openSendmail(t.Context(), folders{dir}, cf); err == nil || !strings.Contains(err.Error(), "should be Sendmail's") {
		t.Errorf("another MTA's sendmail: %v", err)
	}
}

// Deliveries that take long are left alone, and there are not too many of them.
func TestSendmailSenders(t *testing.T) {
	dir := t.TempDir()
	s := &sendmail{tool: tool{path: filepath.Join(dir, "sendmail")}, senders: make(chan struct{}, 2), sendWait: 100 * time.Millisecond}
	// A delivery ends when there is a file.
	fake(t, dir, "sendmail", "while [ ! -e DIR/end ]; do sleep 0.01; done; echo one >>DIR/ended; exit 75")
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.send(ctx, []string{id1, id2}); err != nil {
		t.Error(err)
	}
	cancel() // the request is over: a delivery that is cut off may happen twice
	if err := s.send(t.Context(), []string{id3}); err == nil || !strings.Contains(err.Error(), "off hold, but not sent: 2 deliveries") {
		t.Errorf("full: %v", err)
	}
	put(t, filepath.Join(dir, "end"), "")
	s.sendWait = 10 * time.Second
	if err := s.send(t.Context(), []string{id1, id2, id3}); err != nil { // the places are free again
		t.Error(err)
	}
	if ended, err := os.ReadFile(filepath.Join(dir, "ended")); err != nil || strings.Count(string(ended), "one") != 5 {
		t.Errorf("of 5 deliveries these ended by themselves: %q, %v", ended, err)
	}
	s.tool.path = "/nonexistent"
	for range 3 { // and stay so
		if err := s.send(t.Context(), []string{id1}); err == nil || !strings.Contains(err.Error(), "off hold, but not sent: fork/exec") {
			t.Errorf("no program: %v", err)
		}
	}
}

func TestFindTool(t *testing.T) {
	dir := t.TempDir()
	fake(t, dir, "good", "")
	for name, mode := range map[string]os.FileMode{"group": 0o770, "others": 0o702, "plain": 0o600} {
		fake(t, dir, name, "")
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("good", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"good": "", "link": "", "group": "others may write it", "others": "others may write it", "plain": "is no program",
		"folder": "is no program", "none": "not found in",
	} {
		path, err := folders{dir}.find(name)
		if want == "" && (err != nil || filepath.Base(path) != "good") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %s, %v; want %q", name, path, err, want)
		}
	}
}

func TestToolEnds(t *testing.T) {
	sleep := tool{path: "/bin/sleep"}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := sleep.run(ctx, "", "60"); err == nil {
		t.Error("a tool that hangs: no error")
	}
	enough := errors.New("enough")
	err := tool{path: "/bin/yes"}.stream(t.Context(), func(r io.Reader) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("read gives up: %v", err)
	}
	out, err := tool{path: "/usr/bin/head"}.run(t.Context(), "", "-c", "200000", "/dev/zero")
	if err != nil || len(out) != maxTalk {
		t.Errorf("%d octets, %v; want %d", len(out), err, maxTalk)
	}
}

func TestGuess(t *testing.T) {
	dir := t.TempDir()
	cf := filepath.Join(dir, "x.cf")
	put(t, cf, "")
	for config, want := range map[string]string{dir: "postfix", cf: "sendmail", dir + "/none": ""} {
		if got, err := guess(config); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", config, got, err)
		}
	}
	if _, err := Open(t.Context(), "exim", ""); err == nil {
		t.Error("an MTA that we do not know")
	}
}
