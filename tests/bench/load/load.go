// Package load sends mail to a filter through the milter protocol, as a busy Postfix
// does: some messages in each session, many sessions at a time, each sending as soon
// as it was answered, or all together at a rate that no answer slows down.
//
// It says what was answered and how long that took; what the filter's process took is
// for its caller to see.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"o2n-milter/tests/mta"
)

// Plan is what is to be sent.
type Plan struct {
	Network, Addr string // "tcp" or "unix"
	// Nagle leaves Nagle's algorithm on, as Postfix does: how late answers are then tells
	// how filter and Postfix get on with each other, not how fast a filter is.
	Nagle    bool
	Sessions int
	Letters  *Letters
	For      time.Duration
	// Rate is how many messages begin in a second, whatever becomes of those before; a
	// message for which there is no session waits for one. 0: each session sends its
	// next message as soon as the one before was answered.
	Rate float64
}

const (
	// perSession is how many messages a session has. Postfix keeps none longer than a
	// client does; ten is a busy client.
	perSession = 10
	// clients is how many addresses sessions come from.
	clients = 1000
	// again is how long a session waits before it tries to connect once more.
	again = 20 * time.Millisecond
)

// run is a Plan under way.
type run struct {
	Plan
	begin time.Time
	next  atomic.Int64 // number of the next message
}

// Run carries out a plan, and waits until the last message was answered.
func Run(ctx context.Context, p Plan) *Result {
	r := &run{Plan: p, begin: time.Now()}
	ctx, cancel := context.WithDeadline(ctx, r.begin.Add(p.For))
	defer cancel()
	results := make([]Result, p.Sessions)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			s := &session{run: r, rand: rand.New(rand.NewPCG(uint64(r.begin.UnixNano()), uint64(i))), Result: &results[i]}
			s.send(ctx)
		})
	}
	wg.Wait()
	return merge(results, time.Since(r.begin))
}

// due is when the next message should begin; ok is false when that is after the end.
func (r *run) due() (at time.Time, ok bool) {
	if r.Rate == 0 {
		return time.Now(), true
	}
	after := time.Duration(float64(r.next.Add(1)-1) / r.Rate * float64(time.Second))
	return r.begin.Add(after), after < r.For
}

// session is one SMTP session after the other.
type session struct {
	*run
	*Result
	rand   *rand.Rand
	filter *mta.Filter // nil between sessions
	left   int         // messages of this one
}

func (s *session) send(ctx context.Context) {
	defer s.quit()
	for ctx.Err() == nil {
		letter := s.Letters.Draw(s.rand)
		due, ok := s.due()
		if !ok || !sleep(ctx, time.Until(due)) {
			return
		}
		if s.filter == nil {
			if err := s.connect(); err != nil {
				s.fault(err)
				sleep(ctx, again)
				continue
			}
		}
		if s.Rate == 0 {
			due = time.Now()
		}
		s.deliver(letter, due)
	}
}

// sleep says whether the time is not over.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (s *session) connect() error {
	conn, err := net.Dial(s.Network, s.Addr)
	if err != nil {
		return err
	}
	if tcp, is := conn.(*net.TCPConn); is {
		tcp.SetNoDelay(!s.Nagle)
	}
	filter, err := mta.NewFilter(conn)
	if err != nil {
		return err
	}
	n := s.rand.IntN(clients)
	err = errors.Join(filter.Connect("client.example.net", fmt.Sprintf("10.1.%d.%d", n/250, n%250+1), 40000), filter.Hello("client.example.net"))
	if err != nil {
		filter.Close()
		return err
	}
	s.filter, s.left = filter, perSession
	return nil
}

func (s *session) deliver(letter mta.Letter, due time.Time) {
	begin := time.Now()
	out, err := s.filter.Deliver(letter)
	now := time.Now()
	if err != nil {
		s.fault(err)
		s.filter.Close()
		s.filter = nil
		return
	}
	s.Answers = append(s.Answers, Answer{At: now.Sub(s.begin), Took: now.Sub(begin), Late: now.Sub(due), Kind: kind(out)})
	if s.left--; s.left == 0 {
		s.quit()
	}
}

func (s *session) quit() {
	if s.filter != nil {
		s.filter.Quit()
		s.filter = nil
	}
}
