//go:build mta

package tests

import (
	"path/filepath"
	"strings"
	"testing"

	"o2n-milter/tests/mta"
)

// testOverTheCap: a session over the cap may log in, and is refused at MAIL, with our words and a code that says "later". A
// local submission is deferred as well. It returns when there is room again.
func testOverTheCap(t *testing.T, s mta.Server, listen string) {
	t.Helper()
	startDaemon(t, "[milter]\nmax_sessions = 1\n", listen)
	first := mta.Login(t, s.Submission(), "alice@client-a.example")
	first.Must(250, "MAIL FROM:<alice@client-a.example>")
	second := mta.Login(t, s.Submission(), "alice@client-a.example")
	for range 2 {
		wantOverload(t, "over the cap", second.Cmd("MAIL FROM:<alice@client-a.example>"))
		second.Must(250, "RSET")
	}
	second.Quit()
	wantOverload(t, "local submission", submitLocal(t, s))
	first.Quit()
}

func wantOverload(t *testing.T, what string, r mta.Reply) {
	t.Helper()
	if r.Code != 451 || r.Enhanced != "4.3.2" || !strings.Contains(r.Text, "Too much mail at once, please try again later. [internal.overload ") {
		t.Errorf("%s: %v", what, r)
	}
}

func submitLocal(t *testing.T, s mta.Server) mta.Reply {
	t.Helper()
	return s.Submit(t, "www-data@submit.host.example", []string{"friend@remote.example"},
		[]byte("From: www-data@submit.host.example\r\nTo: friend@remote.example\r\nSubject: cron\r\n\r\nDone.\r\n"))
}

// With Postfix, what was deferred comes again with the next local submission, if not before.
func TestOverTheCapPostfix(t *testing.T) {
	sink := mta.NewSink(t)
	p := mta.NewPostfix(t, sink)
	testOverTheCap(t, p, "unix:"+p.Milter)
	if r := submitLocal(t, p); r.Code != 0 {
		t.Errorf("when there is room: %v", r)
	}
	p.Drain(t)
	got := sink.All()
	if len(got) != 2 {
		t.Errorf("%d letters arrived, want both:\n%s", len(got), p.Log())
	}
	for _, d := range got {
		if d.From != "www-data@submit.host.example" || len(d.To) != 1 || d.To[0] != "friend@remote.example" {
			t.Errorf("arrived: from %q to %q", d.From, d.To)
		}
	}
}

// Sendmail keeps it in the queue of its submission program, which has its own time to try again.
func TestOverTheCapSendmail(t *testing.T) {
	sink := mta.NewSink(t)
	s := mta.NewSendmail(t, sink)
	testOverTheCap(t, s, "unix:"+s.Milter)
	waiting, err := filepath.Glob(filepath.Join(s.Dir, "mspqueue", "qf*"))
	if err != nil || len(waiting) != 1 || len(sink.All()) != 0 {
		t.Errorf("%q waits, %d arrived, want one that waits and no report: %v", waiting, len(sink.All()), err)
	}
	s.Purge(t)
}
