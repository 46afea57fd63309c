package milter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/milter/shelf"
	"o2n-milter/rules"
)

// Judge decides over messages; *rules.Engine is one. It must not change a Mail. When it
// has answered it may keep the Mail's strings, but not the Mail itself, nor its body and
// its lists of fields and recipients, which are used again.
type Judge interface {
	// Decide should come back when ctx ends.
	Decide(ctx context.Context, m *rules.Mail) rules.Verdict
	// WantsBody says, at MAIL, whether Decide is going to look at the body.
	WantsBody(m *rules.Mail) bool
	// TurnsAway says, at the first RCPT, whether there is no time for the message, and
	// gives the verdict on it. budget is DecideTimeout.
	TurnsAway(m *rules.Mail, budget time.Duration) (v rules.Verdict, away bool)
}

// Recorder is told of every verdict after it was given: log line and counters.
type Recorder interface {
	// Record gets the verdict as the MTA was answered, and how long it took.
	// Both are only to be read, and what Judge says of keeping them holds here too.
	Record(m *rules.Mail, v rules.Verdict, took time.Duration)
	// Sessions is told how many sessions are open.
	Sessions(open int)
	// Kept is told of each session that an earlier process left, and whether it goes on.
	Kept(goesOn bool)
}

// Server serves the milter protocol on any number of listeners. Its exported
// fields are set before the first Serve and not changed after.
type Server struct {
	// Judge is asked for at each MAIL, so that a reload takes effect with the
	// next message and none is judged by two configurations.
	Judge    func() Judge
	Recorder Recorder
	Log      *slog.Logger // nil: slog.Default()

	MaxSessions  int // open at once, all listeners together; 0: no cap
	MaxPerClient int // open at once from one TCP address; 0: no cap

	MaxMemory int64 // bytes kept of all messages that are being taken in; 0: 512 MiB

	// Shelf keeps sessions for the next process; nil: they end with this one.
	Shelf *shelf.Shelf

	// DecideTimeout ends the context of a decision. 0: 8 s, since Sendmail waits
	// 10 s for a reply unless its configuration says more.
	DecideTimeout time.Duration

	once      sync.Once
	deciding  context.Context // of all decisions; ends when sessions are cut
	cut       context.CancelFunc
	sessions  registry
	memory    budget
	refusals  refusals
	warnings  warnings
	accepting sync.WaitGroup // calls of Serve
	running   sync.WaitGroup // sessions
	late      atomic.Int64   // decisions that were not waited for to the end

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	traffic   map[string]*counts // by listener, closed ones too
	stopping  chan struct{}
}

const (
	defaultDecideTimeout = 8 * time.Second
	// maxAcceptDelay bounds the wait after an Accept that brought nothing.
	maxAcceptDelay = time.Second
	// cutGrace is what sessions get to notice that they were cut; a decision is
	// waited for as long.
	cutGrace = time.Second
)

func (s *Server) init() {
	s.once.Do(func() {
		if s.Log == nil {
			s.Log = slog.Default()
		}
		if s.DecideTimeout <= 0 {
			s.DecideTimeout = defaultDecideTimeout
		}
		if s.memory.max = s.MaxMemory; s.memory.max <= 0 {
			s.memory.max = defaultMemory
		}
		s.warnings.log = s.Log
		s.deciding, s.cut = context.WithCancel(context.Background())
		s.stopping = make(chan struct{})
		s.listeners, s.traffic = map[net.Listener]struct{}{}, map[string]*counts{}
		s.sessions.init(s.MaxSessions, s.MaxPerClient, s.Recorder.Sessions)
		s.refusals.init(s.MaxSessions, s.MaxPerClient)
	})
}

// Serve accepts connections until Shutdown, then returns nil. Running out of
// descriptors or a peer that is gone already does not end it; only a listener
// that somebody else closed does. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	s.init()
	defer ln.Close()
	counts := s.track(ln)
	if counts == nil {
		return nil
	}
	defer s.accepting.Done()
	var delay time.Duration
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			delay = 0
			s.accepted(nc, counts)
		case s.stopped():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("listener %s: %w", ln.Addr(), err)
		default:
			// EMFILE, ENFILE, ECONNABORTED ...: they pass, the listener stays.
			delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
			s.Log.Error("milter: no connection accepted", "listener", ln.Addr().String(), "err", err, "retry", delay)
			s.pause(delay)
		}
	}
}

// track notes a listener for Shutdown, and gives the counts of what comes through it;
// nil when Shutdown was called already.
func (s *Server) track(ln net.Listener) *counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped() {
		return nil
	}
	s.listeners[ln] = struct{}{}
	s.accepting.Add(1)
	return s.countsOf(ln.Addr().Network() + ":" + ln.Addr().String())
}

func (s *Server) stopped() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stopping:
	}
}

// accepted runs a session for a new connection, if the caps let it in. It goes on the
// shelf before all else: until then it ends with the process.
func (s *Server) accepted(nc net.Conn, counts *counts) {
	tape := s.Shelf.Take(nc, counts.t.On)
	c := newConn(nc, s, counts)
	now := time.Now()
	evicted, err := s.sessions.add(c, now, func() { s.running.Add(1) })
	if evicted != nil {
		evicted.warn("milter: session closed for a newer one, it had not negotiated or was silent", "silent", evicted.silence(now).Round(time.Second))
		evicted.cut()
	}
	if err != nil {
		if tape != nil {
			tape.Free()
		}
		s.refuse(c, err)
		return
	}
	c.keep(tape)
	s.start(c)
}

// Resume goes on with the sessions that an earlier process left on the Shelf. It is
// called before Serve, and no cap refuses them: their MTA has been let in.
func (s *Server) Resume() {
	s.init()
	tapes, closed := s.Shelf.Left()
	for range closed {
		s.Recorder.Kept(false)
	}
	for _, tape := range tapes {
		nc, on, err := tape.Resume()
		s.Recorder.Kept(err == nil)
		if err != nil {
			s.Log.Warn("milter: session of an earlier process closed", "reason", err)
			tape.Free()
			continue
		}
		s.mu.Lock()
		c := newConn(nc, s, s.countsOf(on))
		s.mu.Unlock()
		s.sessions.put(c)
		s.running.Add(1)
		c.keep(tape)
		s.start(c)
	}
}

// start runs a session that is counted, in the library's goroutine. It is over when the
// library closes its connection.
func (s *Server) start(c *conn) {
	lib := gomilter.Server{
		// The library asks again after each of its plain answers.
		NewMilter: func() gomilter.Milter { return &c.session },
		Actions:   wantActions,
		Protocol:  wantProtocol,
		SymList:   wantMacros,
	}
	lib.Serve(&oneShot{conn: c}) // ends at its second Accept, always with an error
}

func (s *Server) ended(c *conn) {
	s.sessions.remove(c)
	s.running.Done()
}

// Shutdown stops accepting and leaves the sessions on the Shelf to the next process, as
// they are when there is nothing to answer. For the others it waits until the MTA ends
// them: one that is closed earlier costs its client the rest of the mail that he has,
// for the MTA does not connect again. What is left when ctx ends is cut; the error says
// how many messages that loses.
func (s *Server) Shutdown(ctx context.Context) error {
	s.init()
	defer s.cut()
	defer s.warnings.tell()
	s.close()
	s.accepting.Wait() // what was accepted in this instant is a session too
	s.refusals.close()
	for _, c := range s.sessions.all() {
		c.leave()
	}
	ended := make(chan struct{})
	go func() { s.running.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	lost := 0
	for _, c := range s.sessions.all() {
		if c.cut() {
			lost++
		}
	}
	s.cut() // after the connections: what is decided now is not to be answered
	select {
	case <-ended:
	case <-time.After(2 * cutGrace):
	}
	if lost == 0 {
		return nil
	}
	return fmt.Errorf("%d sessions cut in mid-message", lost)
}

// close closes the listeners.
func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped() {
		close(s.stopping)
	}
	for ln := range s.listeners {
		ln.Close()
	}
}

// oneShot is the listener that hands the library one connection.
type oneShot struct {
	conn  *conn
	given bool
}

func (l *oneShot) Accept() (net.Conn, error) {
	if l.given {
		return nil, net.ErrClosed
	}
	l.given = true
	return l.conn, nil
}

func (l *oneShot) Close() error   { return nil }
func (l *oneShot) Addr() net.Addr { return l.conn.LocalAddr() }
