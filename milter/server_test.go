package milter

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	gomilter "github.com/emersion/go-milter"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"o2n-milter/rules"
)

// Running out of descriptors must not end the filter.
func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass))
		start := time.Now()
		for range 20 {
			f.ln.in <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		}
		f.ln.in <- syscall.ENFILE
		f.ln.in <- syscall.ECONNABORTED
		f.ln.in <- errors.New("something else")
		m := f.session()
		if got := m.run(helloA, mailA, "R <r@r.example>", "E"); got[1] != "c" {
			t.Errorf("answers %q", got)
		}
		// 5 ms doubled eight times, then a second each.
		if took := time.Since(start); took < 15*time.Second || took > 17*time.Second {
			t.Errorf("23 failures took %v", took)
		}
		start = time.Now()
		f.ln.in <- syscall.EMFILE
		f.session()
		if took := time.Since(start); took != 5*time.Millisecond {
			t.Errorf("the first failure after a success took %v", took)
		}
		f.stop()
	})
}

func TestListenerClosedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass))
		f.ln.Close()
		if err := <-f.ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestServeAfterShutdown(t *testing.T) {
	s := &Server{Judge: func() Judge { return always(pass) }, Recorder: &notes{}}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Serve(newPipes()); err != nil {
		t.Error(err)
	}
}

// alive says whether the session can still have a message judged.
func (m *mta) alive() bool {
	m.write(m.step(mailA) + m.step("R <r@r.example>"))
	return m.reply() == "c"
}

func TestCapOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass), func(s *Server) { s.MaxSessions = 3 })
		idle, probe := f.dial(""), f.dial("") // neither has negotiated
		time.Sleep(mostEarly)
		synctest.Wait()
		connected := func() *mta {
			m := f.session()
			m.run(helloA)
			synctest.Wait() // CONNECT gets no reply
			return m
		}
		full := []*mta{connected()}
		for _, early := range []*mta{idle, probe} { // the oldest goes first
			full = append(full, connected())
			if got := early.reply(); got != hungUp {
				t.Errorf("early session got %q", got)
			}
		}
		if m := f.session(); m.run("E")[0][0] != 'y' {
			t.Error("one too many was not refused")
		}
		for i, m := range full {
			if !m.alive() {
				t.Errorf("session %d was closed", i)
			}
			m.run("A")
		}
		full[0].run("Q")
		synctest.Wait()
		last := connected()
		if !last.alive() {
			t.Error("no room after a session ended")
		}
		last.run("A")
		synctest.Wait()
		if logged := f.logs.String(); strings.Count(logged, "had not negotiated") != 2 {
			t.Errorf("logged %q", logged)
		}
		f.stop()
		if diff := cmp.Diff([]int{1, 2, 3, 3, 3, 2, 3, 2, 1, 0}, f.notes.open); diff != "" {
			t.Error(diff)
		}
	})
}

// TestCapOfTheSilent: who has said who he is and is silent for longer than an MTA waits
// for a client gives way, the most silent first, in all and by address.
func TestCapOfTheSilent(t *testing.T) {
	for name, set := range map[string]func(*Server){
		"of all":     func(s *Server) { s.MaxSessions = 2 },
		"per client": func(s *Server) { s.MaxPerClient = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(pass), set)
				connected := func() *mta {
					m := f.dial("192.0.2.1")
					m.negotiate(6, allActions, allProtocol)
					m.run(helloA)
					synctest.Wait()
					return m
				}
				first := connected()
				time.Sleep(10 * time.Second)
				busy := connected()
				busy.write(busy.step(mailA) + busy.step("R <r@r.example>"))
				busy.reply()
				time.Sleep(mostSilent - 10*time.Second - slack)
				if m := connected(); m.run("E")[0][0] != 'y' {
					t.Error("somebody gave way too early")
				}
				time.Sleep(2 * slack)
				second := connected()
				if got := first.reply(); got != hungUp {
					t.Errorf("the most silent one got %q", got)
				}
				if !second.alive() {
					t.Error("there is no room")
				}
				if !strings.Contains(f.logs.String(), "silent=6m") {
					t.Errorf("logged %q", f.logs.String())
				}
				for _, m := range []*mta{busy, second} {
					m.run("A")
				}
				synctest.Wait()
				f.stop()
			})
		})
	}
}

func TestCapPerClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass), func(s *Server) { s.MaxPerClient = 2 })
		open := func(client string, connect bool) *mta {
			m := f.dial(client)
			if connect {
				m.negotiate(6, allActions, allProtocol)
				m.run(helloA)
			}
			synctest.Wait()
			return m
		}
		other := open("192.0.2.2", false)
		first, early := open("192.0.2.1", true), open("192.0.2.1", false)
		time.Sleep(mostEarly)
		second := open("::ffff:192.0.2.1", true)
		if got := early.reply(); got != hungUp {
			t.Errorf("early session of the client got %q", got)
		}
		third := f.dial("192.0.2.1")
		third.negotiate(6, allActions, allProtocol)
		if got := third.run("E")[0]; got[0] != 'y' {
			t.Errorf("third session got %q", got)
		}
		for range 5 { // no address, no cap
			open("", true)
		}
		other.negotiate(6, allActions, allProtocol)
		other.run(helloA)
		for _, m := range []*mta{other, first, second} {
			if !m.alive() {
				t.Error(hungUp)
			}
			m.run("A")
		}
		f.stop()
		if n := len(f.sessions.clients); n != 0 {
			t.Errorf("%d addresses are kept for ever", n)
		}
	})
}

// lastCall is a listener that still brings one connection when it is closed.
type lastCall struct {
	*pipes
	last net.Conn
}

func (l *lastCall) Accept() (net.Conn, error) {
	nc, err := l.pipes.Accept()
	if err != nil && l.last != nil {
		nc, l.last = l.last, nil
		return nc, nil
	}
	return nc, err
}

// A connection accepted in the instant of Shutdown is served like any other.
func TestAcceptedInTheInstantOfShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass))
		near, far := net.Pipe()
		ln := &lastCall{pipes: newPipes(), last: far}
		served := make(chan error)
		go func() { served <- f.Serve(ln) }()
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- f.Shutdown(context.Background()) }()
		m := &mta{t: t, nc: near, packets: make(chan string, 10)}
		go m.read()
		m.negotiate(6, allActions, allProtocol)
		if got := m.run(helloA, mailA, "R <r@r.example>", "E"); got[1] != "c" {
			t.Errorf("answers %q", got)
		}
		m.run("Q")
		if err := errors.Join(<-ended, <-served); err != nil {
			t.Error(err)
		}
	})
}

// Shutdown lets sessions live on until the MTA ends them, whatever they are at.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, judgeFunc(func(context.Context, *rules.Mail) rules.Verdict {
			time.Sleep(2 * time.Second)
			return pass
		}))
		idle, busy, deciding, macros := f.session(), f.session(), f.session(), f.session()
		idle.run(helloA, mailA, "A", "H x")
		busy.run(helloA, mailA, "R <r@r.example>", "L A: b")
		deciding.run(helloA, mailA, "R <r@r.example>")
		deciding.write(deciding.step("E"))
		macros.run(helloA)
		macros.write(packet('D', "M{auth_authen}\x00alice\x00"))
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- f.Shutdown(context.Background()) }()
		time.Sleep(time.Minute)
		if got := deciding.reply(); got != "c" {
			t.Errorf("deciding session got %q", got)
		}
		macros.write(packet('M', "<a@client-a.example>\x00"))
		idle.run(mailA)
		all := []*mta{idle, busy, deciding, macros}
		for i, m := range all {
			if m == deciding {
				m.run(mailA)
			}
			if got := m.run("R <r@r.example>", "E"); got[1] != "c" {
				t.Errorf("session %d got %q", i, got)
			}
		}
		for i, m := range all {
			select {
			case err := <-ended:
				t.Fatalf("Shutdown: %v, before session %d ended", err, i)
			default:
			}
			m.run("Q")
			if got := m.reply(); got != hungUp {
				t.Errorf("session %d got %q after its end", i, got)
			}
			synctest.Wait()
		}
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if got := f.logs.String(); got != "" {
			t.Errorf("logged %q", got)
		}
		if got := f.notes.rules(); len(got) != 5 {
			t.Errorf("verdicts %q", got)
		}
	})
}

// Sessions that do not end in time are closed, those in mid-message too, also while
// the judge thinks.
func TestDrainForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, judgeFunc(func(ctx context.Context, _ *rules.Mail) rules.Verdict {
			<-ctx.Done()
			return pass
		}), func(s *Server) { s.DecideTimeout = time.Hour })
		busy, deciding, idle := f.session(), f.session(), f.session()
		busy.run(helloA, mailA, "R <r@r.example>")
		deciding.run(helloA, mailA, "R <r@r.example>")
		deciding.write(deciding.step("E"))
		idle.run(helloA)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := f.Shutdown(ctx)
		if err == nil || err.Error() != "2 sessions cut in mid-message" {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
		if got := idle.reply(); got != hungUp {
			t.Errorf("idle session got %q", got)
		}
	})
}

// The library's own client over TCP and a unix socket: an ordinary MTA.
func TestOverSockets(t *testing.T) {
	defer goleak.VerifyNone(t)
	n := &notes{}
	s := &Server{Judge: func() Judge { return always(reject) }, Recorder: n}
	ended := make(chan error, 2)
	for _, addr := range []string{"tcp:127.0.0.1:0", "unix:" + t.TempDir() + "/sub/milter.sock"} {
		ln, err := Listen(addr, 0o600, "")
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- s.Serve(ln) }()
		if got := sendOne(t, ln.Addr()); got != "550 5.7.1 100%% no [a.rule ID]" {
			t.Errorf("%s: got %q", addr, got)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(s.Shutdown(ctx), <-ended, <-ended); err != nil {
		t.Error(err)
	}
	one := "alice <a@client-a.example> > r@r.example | Subject: one"
	mails, _ := n.all()
	if diff := cmp.Diff([]string{one, one}, mails); diff != "" {
		t.Error(diff)
	}
}

func sendOne(t *testing.T, addr net.Addr) string {
	t.Helper()
	// The client knows versions above 2 only with the offers of 2.
	client := gomilter.NewClientWithOptions(addr.Network(), addr.String(), gomilter.ClientOptions{
		ActionMask: gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine,
	})
	session, err := client.Session()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var errs []error
	try := func(_ *gomilter.Action, err error) { errs = append(errs, err) }
	try(session.Conn("host.example", gomilter.FamilyInet, 4000, "192.0.2.7"))
	try(session.Helo("host.example"))
	errs = append(errs, session.Macros(gomilter.CodeMail, "{auth_authen}", "alice"))
	try(session.Mail("a@client-a.example", nil))
	try(session.Rcpt("r@r.example", nil))
	try(session.HeaderField("Subject", "one"))
	try(session.HeaderEnd())
	try(session.BodyChunk([]byte("text\r\n")))
	_, act, err := session.End()
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(string(rune('0'+act.SMTPCode/100))+string(rune('0'+act.SMTPCode/10%10))+string(rune('0'+act.SMTPCode%10))+" "+act.SMTPText, "\x00")
}
