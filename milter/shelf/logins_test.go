package shelf_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"o2n-milter/milter"
	"o2n-milter/milter/shelf"
	"o2n-milter/milter/shelf/shelftest"
	"o2n-milter/rules"
)

// clerk notes of each message all that it is judged by.
type clerk struct{ judged []string }

func (*clerk) WantsBody(*rules.Mail) bool                                        { return true }
func (*clerk) TurnsAway(*rules.Mail, time.Duration) (v rules.Verdict, away bool) { return v, false }

func (c *clerk) Decide(_ context.Context, m *rules.Mail) rules.Verdict {
	c.judged = append(c.judged, fmt.Sprintf("%v %q <%s> %v %v %d %v", m.Client, m.Login, m.Sender, m.Recipients, m.Header, len(m.Body), m.Faults))
	return rules.Verdict{Action: rules.Reject, Rule: "a.rule", ID: "ID", Code: 550, Enhanced: "5.7.1", Text: "no [a.rule ID]", Judged: true}
}

// mixed is a session in which nothing stays as it was: logins come and go, a message is
// forgotten by RSET or EHLO, another is begun with what the one before ended with.
func mixed() []step {
	offer := "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"
	mail := func(login, from string) string {
		return packet('D', "Mi\x00Q0\x00{auth_authen}\x00"+login+"\x00{mail_addr}\x00"+from+"\x00") + packet('M', "<"+from+">\x00")
	}
	rcpt := func(to string) string {
		return packet('D', "R{rcpt_addr}\x00"+to+"\x00") + packet('R', "<"+to+">\x00")
	}
	content := func(subject string) string {
		return packet('L', "Subject\x00"+subject+"\x00") + packet('N', "") + packet('B', subject+strings.Repeat(" text", 2000)) // more than is read at once
	}
	hello, reset, end := packet('D', "H{tls_version}\x00TLSv1.3\x00")+packet('H', "h.example\x00"), packet('A', ""), packet('E', "")
	return []step{
		{packet('O', offer), 1},
		{packet('D', "C{client_addr}\x00192.0.2.7\x00") + packet('C', "h.example\x004\x10\x00192.0.2.7\x00") + hello, 0},
		{hello + mail("alice", "a@a.example") + rcpt("1@r.example"), 1},
		{content("one"), 0},
		{end, 1},
		// The end of one message, EHLO and the next MAIL at once.
		{reset + hello + mail("bob", "b@b.example") + rcpt("2@r.example"), 1},
		{reset, 0}, // RSET
		{packet('M', "<none@c.example>\x00"), 0},
		{rcpt("3@r.example"), 1},
		{rcpt("4@r.example"), 1},
		{content("two"), 0},
		{end, 1},
		{mail("carol", "c@c.example"), 0}, // as Sendmail, which sends no ABORT
		{mail("dave", "d@d.example") + rcpt("5@r.example") + content("three"), 1},
		{reset + hello, 0}, // EHLO in mid-message
		{packet('D', "M{auth_authen}\x00eve\x00") + reset, 0}, // a MAIL that never came
		{packet('D', "Mi\x00Q9\x00{auth_authen}\x00gina\x00") + packet('M', "<>\x00") + rcpt("6@r.example") + content("four"), 1},
		{end, 1},
		// No ABORT and no macros: no login.
		{packet('M', "<f@f.example>\x00") + rcpt("7@r.example") + content("five"), 1},
		{end, 1},
		{reset + packet('Q', ""), 0},
	}
}

// life is what one process made of a session.
type life struct {
	judged  []string
	moments []moment
	answers []string
	failed  error // nil: the session came to its end
}

// live runs a process from a moment on; zero: from a session's start.
func live(t *testing.T, from *moment, steps []step, had []string) (l life) {
	t.Helper()
	conn, peer := shelftest.Pair(t)
	defer conn.Close()
	defer peer.Close()
	var files []*os.File
	var err error
	var start moment
	if from != nil {
		start = *from
		if files, err = shelf.Kept(from.memory, conn); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	c, came, sent := &clerk{}, start.came, start.sent
	log := slog.New(slog.DiscardHandler)
	f := &filter{ended: make(chan error, 1)}
	f.Server = &milter.Server{
		Judge: func() milter.Judge { return c }, Recorder: f, Log: log,
		Shelf: shelf.Open(files, milter.TapeFormat, log),
	}
	defer f.Shelf.Close()
	f.Shelf.Watch(func(memory []byte, read, written int) {
		came, sent = came+read, sent+written
		l.moments = append(l.moments, moment{memory, came, sent})
	})
	if from == nil {
		go f.Serve(&given{conns: []net.Conn{conn}, done: make(chan struct{})})
	} else {
		f.Resume()
	}
	had = had[:answersIn(had, start.sent)]
	rest, err := talk(peer, steps, 1<<20, start.came, finalsIn(had, start.sent))
	l.answers, l.failed = append(slices.Clone(had), rest...), err
	f.stop(t)
	l.judged = c.judged
	return l
}

// given is a listener that has its connections already.
type given struct {
	conns []net.Conn
	done  chan struct{}
	once  sync.Once
}

func (g *given) Accept() (net.Conn, error) {
	if len(g.conns) > 0 {
		c := g.conns[0]
		g.conns = g.conns[1:]
		return c, nil
	}
	<-g.done
	return nil, net.ErrClosed
}
func (g *given) Close() error   { g.once.Do(func() { close(g.done) }); return nil }
func (g *given) Addr() net.Addr { return &net.UnixAddr{Name: "given", Net: "unix"} }

// Whenever the process is killed, and the next one too, each message is judged by its
// own login, sender and recipients, and none whose verdict is out is judged again. A
// session that ended two processes is closed, with nothing answered that was not judged.
func TestKilledTwiceAmongLogins(t *testing.T) {
	systemd := shelftest.New(t, 3)
	t.Setenv("NOTIFY_SOCKET", systemd.Socket)
	t.Setenv("FDSTORE", "3") // one slot
	steps := mixed()
	want := live(t, nil, steps, nil)
	if want.failed != nil {
		t.Fatal(want.failed)
	}
	if !slices.Equal(want.judged, []string{
		`192.0.2.7 "alice" <a@a.example> [{1@r.example false}] [{Subject one}] 10003 []`,
		`192.0.2.7 "" <none@c.example> [{3@r.example false} {4@r.example false}] [{Subject two}] 10003 []`,
		`192.0.2.7 "gina" <> [{6@r.example false}] [{Subject four}] 10004 []`,
		`192.0.2.7 "" <f@f.example> [{7@r.example false}] [{Subject five}] 10004 []`,
	}) {
		t.Fatalf("judged %q", want.judged)
	}
	closed := 0
	check := func(at string, m moment, got life) {
		t.Helper()
		out := verdictsIn(steps, finalsIn(want.answers, m.sent))
		switch {
		case got.failed == nil:
			if same(got.answers) != same(want.answers) || !slices.Equal(got.judged, want.judged[out:]) {
				t.Fatalf("%s: answers\n%q\njudged\n%q\nwant\n%q\n%q", at, got.answers, got.judged, want.answers, want.judged[out:])
			}
		case (errors.Is(got.failed, io.EOF) || errors.Is(got.failed, syscall.EPIPE)) && strings.HasPrefix(at, "twice"):
			closed++
			if len(got.judged) > 0 {
				t.Fatalf("%s: judged %q, and closed", at, got.judged)
			}
		default:
			t.Fatalf("%s: %v", at, got.failed)
		}
	}
	second := 0
	for i, m := range want.moments {
		once := live(t, &m, steps, want.answers)
		check(fmt.Sprintf("once at %d", i), m, once)
		for j, n := range once.moments {
			second++
			check(fmt.Sprintf("twice at %d, %d", i, j), n, live(t, &n, steps, want.answers))
		}
	}
	t.Logf("%d moments, %d of the next process, %d closed", len(want.moments), second, closed)
}
