package milter

import (
	"context"
	"io"
	"runtime/debug"
	"sync"
	"time"
)

// aside is a second goroutine of a session, which takes it over from the library's at
// the first end of a message and goes on with it until something is for the library.
// A judge that hangs then holds up a goroutine that the session can do without: the
// library's looks after it, and is not woken up otherwise. It is also the one whose stack
// grows as deep as a judge wants it, once for all messages.
type aside struct {
	turn  chan struct{} // the session is the second goroutine's
	back  chan handled  // and the library's again
	alarm *time.Timer   // rings when the question under way wants something, or earlier

	mu     sync.Mutex
	asked  *term     // the question under way; nil: there is none
	due    time.Time // when it wants something
	rings  time.Time // when the alarm does; zero when it is not set
	cutOff bool      // all that is asked from now on ends at once
}

// handled is how a session comes back: with a packet for the library, or an error that
// ends it.
type handled struct {
	forward bool
	err     error
}

func newAside() *aside {
	a := &aside{turn: make(chan struct{}, 1), back: make(chan handled, 1), alarm: time.NewTimer(progressEvery)}
	a.alarm.Stop()
	return a
}

// lend has the packet that is there, and those after it, handled aside, and takes the
// session back as event would: when one is for the library.
func (s *session) lend() (forward bool, err error) {
	a := s.aside
	if a == nil {
		a = newAside()
		s.aside = a
		go s.takeOver(a)
	}
	a.turn <- struct{}{}
	cut := s.server.deciding.Done()
	for {
		select {
		case h := <-a.back:
			return h.forward, h.err
		case <-cut:
			cut = nil
			a.cut(time.Now())
		case <-a.alarm.C:
			if late := a.ring(time.Now(), s.conn.sendProgress); late != nil {
				return s.giveUp(late), nil
			}
		}
	}
}

// takeOver has the session whenever it is lent, until it is dismissed, or late.
func (s *session) takeOver(a *aside) {
	for range a.turn {
		h := s.handle()
		if h.err == errLate {
			return
		}
		a.back <- h
	}
}

// handle goes on with a session. A panic where no message is at fault ends it, as the
// library does.
func (s *session) handle() (h handled) {
	defer func() {
		if p := recover(); p != nil {
			s.conn.log().Error("milter: panic", "stage", "session", "panic", p, "stack", string(debug.Stack()))
			h = handled{err: io.EOF}
		}
	}()
	forward, err := s.conn.goOn()
	return handled{forward, err}
}

// giveUp answers the message whose question is late. Who is still looking at it keeps it.
func (s *session) giveUp(late *term) (changes bool) {
	s.dismiss()
	d := s.msg
	d.lent = true
	s.server.late.Add(1)
	return s.answer(d, s.unjudged(d, late.begun, "no verdict in time"), late.begun)
}

// dismiss ends the second goroutine, when it has its answer.
func (s *session) dismiss() {
	if s.aside != nil {
		s.aside.alarm.Stop()
		close(s.aside.turn)
		s.aside = nil
	}
}

// begin begins a question.
func (a *aside) begin(now time.Time, budget time.Duration) *term {
	t := &term{begun: now, ends: now.Add(budget), over: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked, a.due = t, earlier(now.Add(progressEvery), t.ends)
	if a.cutOff {
		a.finish(now, context.Canceled)
	}
	a.setAlarm(now)
	return t
}

// end says that it has been answered, and whether that is too late.
func (a *aside) end(t *term) (late bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if late = a.asked != t; !late {
		a.asked = nil
	}
	t.finish(context.Canceled)
	return late
}

// ring sees to the question under way: the MTA is told to wait on, which is done by
// progress, until the time is over. Then the context ends, and a second later the
// question is late.
func (a *aside) ring(now time.Time, progress func()) (late *term) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rings = time.Time{}
	switch t := a.asked; {
	case t == nil:
		return nil // the next one sets the alarm
	case now.Before(a.due): // it was set for another one
	case t.Err() != nil:
		a.asked = nil
		return t
	case !now.Before(t.ends):
		a.finish(now, context.DeadlineExceeded)
	default:
		progress()
		a.due = earlier(time.Now().Add(progressEvery), t.ends)
	}
	a.setAlarm(now)
	return nil
}

// cut ends what is asked, now and from now on.
func (a *aside) cut(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cutOff = true; a.asked != nil && a.asked.Err() == nil {
		a.finish(now, context.Canceled)
		a.setAlarm(now)
	}
}

// finish ends the time of the question under way.
func (a *aside) finish(now time.Time, why error) {
	a.asked.finish(why)
	a.due = now.Add(cutGrace)
}

// setAlarm leaves one that rings early enough: it is not worth being set for each message.
func (a *aside) setAlarm(now time.Time) {
	if a.rings.IsZero() || a.due.Before(a.rings) {
		a.rings = a.due
		a.alarm.Reset(a.due.Sub(now))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
