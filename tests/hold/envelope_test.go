//go:build mta

package hold

import (
	"bytes"
	"fmt"
	"mime"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// What is held for too long goes back to its sender with the reason.
func TestExpiryPostfix(t *testing.T) {
	t.Parallel()
	exerciseExpiry(t, postfix(t))
}

func TestExpirySendmail(t *testing.T) {
	t.Parallel()
	exerciseExpiry(t, sendmail(t))
}

func exerciseExpiry(t *testing.T, p *place) {
	d := p.startDaemon(t, "[limit.hour]\nsubject = \"script\"\nunit = \"messages\"\nmax = 1\nwindow = \"1h\"\naction = \"quarantine\"\n[hold]\nmax_age = \"1m\"\n")
	p.burst(t, 2)
	mta.Poll(t, "the second is held", func() bool { return len(heldList(t, d)) == 1 })
	held := heldList(t, d)[0]
	// A minute, and the round after it.
	for end := time.Now().Add(150 * time.Second); len(p.sink.All()) < 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no report has come")
		}
	}
	report := p.sink.All()[1]
	if report.From != "" || !slices.Equal(report.To, []string{local}) {
		t.Errorf("report from %q to %q", report.From, report.To)
	}
	for _, want := range []string{"multipart/report", "report-type=delivery-status", "Status: 5.7.1", "[limit.hour " + held.ID + "]", "Subject: mail 2"} {
		if !bytes.Contains(report.Data, []byte(want)) {
			t.Errorf("the report does not hold %q:\n%s", want, report.Data)
		}
	}
	if bytes.Contains(report.Data, []byte("number 2")) {
		t.Errorf("the report holds the body:\n%s", report.Data)
	}
	mta.Poll(t, "nothing is on hold", func() bool { return p.Held(t) == 0 })
	if n := len(heldList(t, d)); n != 0 {
		t.Errorf("the daemon holds %d", n)
	}
	p.Drain(t)
	if n := len(p.sink.All()); n != 2 {
		t.Errorf("%d mails have come", n)
	}
}

// Addresses that mean something to shells, tools and logs are mail like any other.
func TestOddEnvelopePostfix(t *testing.T) {
	t.Parallel()
	exerciseOddEnvelopes(t, postfix(t))
}

func TestOddEnvelopeSendmail(t *testing.T) {
	t.Parallel()
	exerciseOddEnvelopes(t, sendmail(t))
}

func exerciseOddEnvelopes(t *testing.T, p *place) {
	// Whose they are is not the question here.
	const identity = "[identity]\nheader_from = \"off\"\nenvelope_from = \"off\"\nmalformed = \"off\"\n"
	d := p.startDaemon(t, identity+"[limit.odd]\nsubject = \"host\"\nunit = \"messages\"\nmax = 1\nwindow = \"1s\"\naction = \"quarantine\"\n")
	trap := filepath.Join(p.dir, "trap")
	locals := []string{
		`"a b"`, `"-x"`, `-x`, `--config=/tmp/x`, `-d`, `"ALL"`, `100%s%n`, `"quo\"te"`, `"back\\slash"`, "`touch" + trap + "`", `$(touch${IFS}` + trap + `)`,
		`"; touch ` + trap + `;"`, `a'b`, `"<x>"`, `"a@b"`, `{}`, `*`, `"x, y"`, strings.Repeat("l", 64),
	}
	c := mta.Dial(t, p.Loopback())
	c.Must(250, "EHLO script.example")
	var sent []string // senders, in order
	for i, l := range append([]string{"first"}, locals...) {
		sender, rcpt := l+"@"+mta.Host, l+"@remote.example"
		if r := c.Cmd("MAIL FROM:<" + sender + ">"); r.Code != 250 {
			t.Logf("%s refuses the sender %s: %v", p.mta, sender, r)
			continue
		}
		if r := c.Cmd("RCPT TO:<" + rcpt + ">"); r.Code != 250 {
			t.Logf("%s refuses the recipient %s: %v", p.mta, rcpt, r)
			c.Must(250, "RSET")
			continue
		}
		c.Must(354, "DATA")
		subject := mime.QEncoding.Encode("utf-8", "odd "+l)
		text := fmt.Sprintf("From: root@%s\r\nTo: someone@remote.example\r\nSubject: %s\r\nX-Number: %d\r\n\r\ntext\r\n", mta.Host, subject, i)
		if r := c.Data([]byte(text)); r.Code != 250 {
			t.Fatalf("%s: %v", sender, r)
		}
		sent = append(sent, l)
	}
	c.Quit()
	if len(sent) < 10 {
		t.Fatalf("only %q were taken", sent)
	}
	t.Logf("%s takes %d of %d odd addresses", p.mta, len(sent), len(locals)+1)
	// An operator asks for two of them by their ids; the others leave by themselves.
	list := heldList(t, d)
	if len(list) < 2 {
		t.Fatalf("held: %+v", list)
	}
	d.Command(t, "held", "release", list[len(list)-1].ID)
	d.Command(t, "held", "delete", list[len(list)-2].ID)
	p.await(t, len(sent)-1)
	mta.Poll(t, "nothing is on hold", func() bool { return p.Held(t) == 0 && len(heldList(t, d)) == 0 })
	var got []string
	for _, a := range p.sink.All() {
		l, _ := strings.CutSuffix(a.From, "@"+mta.Host)
		got = append(got, l)
	}
	if len(got) != len(sent)-1 {
		t.Errorf("%d sent and one deleted, %d arrived: %q", len(sent), len(got), got)
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("an address was run by a shell")
	}
	if log := p.agentLog(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") {
		t.Errorf("the agent's log:\n%s", log)
	}
}
