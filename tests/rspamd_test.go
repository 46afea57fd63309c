//go:build mta

package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// gtube is what every spam filter takes for spam: rspamd, at its score for "reject".
const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

// letter is alice's, dated now, with these lines for a text.
func letter(lines ...string) []byte {
	head := []string{"From: Alice <alice@client-a.example>", "To: friend@remote.example", "Subject: Lunch on Tuesday",
		"Date: " + time.Now().Format(time.RFC1123Z), "Message-ID: <1@client-a.example>",
		"MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii", ""}
	return []byte(strings.Join(append(head, lines...), "\r\n") + "\r\n")
}

var ordinary = letter("Shall we meet for lunch on Tuesday?", "I will bring the plans for the garden.")

// withRspamd is a daemon behind Postfix that asks rspamd.
type withRspamd struct {
	postfix *mta.Postfix
	sink    *mta.Sink
	daemon  *daemon.Daemon
}

// configure writes [content] and waits until it is in force.
func (w *withRspamd) configure(t *testing.T, lines ...string) {
	t.Helper()
	w.write(t, lines...)
	w.daemon.Reload(t)
}

// write puts [content] where the daemon reads it.
func (w *withRspamd) write(t *testing.T, lines ...string) {
	t.Helper()
	text := "[content]\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(w.daemon.Dir, "conf.d", "content.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// send is one message of alice's.
func (w *withRspamd) send(t *testing.T, text []byte) mta.Reply {
	t.Helper()
	c := mta.Login(t, w.postfix.Submission(), "alice@client-a.example")
	defer c.Quit()
	c.Must(250, "MAIL FROM:<alice@client-a.example>")
	c.Must(250, "RCPT TO:<friend@remote.example>")
	c.Must(354, "DATA")
	return c.Data(text)
}

// want sends a message and wants this reply: its beginning, and "[RULE" where it is refused.
func (w *withRspamd) want(t *testing.T, what string, text []byte, reply, rule string) {
	t.Helper()
	if r := w.send(t, text); !strings.HasPrefix(r.String(), reply) || rule != "" && !strings.Contains(r.Text, "["+rule+" ") {
		t.Errorf("%s: got %v, want %s [%s", what, r, reply, rule)
	}
}

// TestRspamd: mail through Postfix and the daemon to a real rspamd, by each way to ask
// it, and what is done when it has gone.
func TestRspamd(t *testing.T) {
	engine := mta.NewRspamd(t)
	sink := mta.NewSink(t)
	p := mta.NewPostfix(t, sink)
	const rule = `score = "reject"` + "\nsteps = { tag = 2.0 }\n"
	w := &withRspamd{p, sink, startDaemon(t, "[content]\n", "unix:"+p.Milter)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("rspamd:\n%s\nmail log:\n%s", engine.Log(), p.Log())
		}
	})
	w.want(t, "without an engine", letter(gtube), "250", "")

	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte(mta.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]string{
		"normal worker": fmt.Sprintf("url = %q", engine.Normal), "unix socket": fmt.Sprintf("url = %q", engine.Socket),
		"controller": fmt.Sprintf("url = %q\npassword_file = %q", engine.Controller, secret),
	} {
		w.configure(t, rule, ask)
		asked := w.daemon.Metric(t, "o2n_milter_content_seconds_count")
		w.want(t, name+", GTUBE", letter(gtube), "550 5.7.1 This message looks like spam", "content.score")
		w.want(t, name+", a letter", ordinary, "250", "")
		if n := w.daemon.Metric(t, "o2n_milter_content_seconds_count") - asked; n != 2 {
			t.Errorf("%s: asked %v times; want 2", name, n)
		}
	}
	if !strings.Contains(w.daemon.Log(), "15 of 15 (reject) by GTUBE") {
		t.Error("the log does not say what rspamd found")
	}
	p.Drain(t) // the letters before
	sink.Clear()
	w.want(t, "a letter without Date", []byte("From: alice@client-a.example\r\nTo: friend@remote.example\r\n\r\nHello.\r\n"), "250", "")
	p.Drain(t)
	if got := sink.All(); len(got) != 1 || !strings.Contains(string(got[0].Data), "X-O2N-Milter: content.score ") {
		t.Errorf("not tagged: %q", got)
	}
	for _, reason := range []string{"timeout", "connection", "status", "answer", "busy", "resting"} {
		if n := w.daemon.Metric(t, fmt.Sprintf("o2n_milter_content_errors_total{reason=%q}", reason)); n != 0 {
			t.Errorf("%v errors of %s", n, reason)
		}
	}

	if err := os.WriteFile(secret, []byte("résumé\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.write(t, rule, fmt.Sprintf("url = %q\npassword_file = %q", engine.Controller, secret)) // no field can hold that
	w.daemon.RefusedReload(t)
	w.want(t, "after a refused reload", letter(gtube), "550 5.7.1", "content.score")

	w.configure(t, rule, fmt.Sprintf("url = %q", engine.Controller)) // without its password
	w.want(t, "no password", letter(gtube), "250", "")
	if n := w.daemon.Metric(t, `o2n_milter_content_errors_total{reason="status"}`); n != 1 {
		t.Errorf("%v errors of status; want 1", n)
	}
	w.configure(t, rule, fmt.Sprintf("url = %q", engine.Normal))
	engine.Stop()
	w.want(t, "rspamd is away", letter(gtube), "250", "")
	if n := w.daemon.Metric(t, `o2n_milter_content_errors_total{reason="connection"}`); n != 1 {
		t.Errorf("%v errors of connection; want 1", n)
	}
	w.configure(t, rule, fmt.Sprintf("url = %q", engine.Normal), `unavailable = "tempfail"`)
	w.want(t, "rspamd is away and mail must wait", ordinary, "451 4.3.0", "content.unavailable")
}
