package rules

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// overload is the rule that turns mail away at the gate.
const overload = "internal.overload"

const (
	// weightOctets of a body, or of header, weigh as much as a message without any: what judging costs
	// beside the store, processor time and memory, goes by the length of the text.
	weightOctets = 64 << 10
	// weightRecipients cost about as much, when limits count each destination.
	weightRecipients = 1000
	// roomPerCore is the weight that is judged at once for each processor. The store
	// commits in groups and wants as many messages at once as it can have; 512 KiB of
	// HTML take a processor for some milliseconds and a few megabytes of memory, so
	// fourteen of them on each are enough.
	roomPerCore = 128
	// patienceShare of the time that a decision has may be spent waiting: the other half
	// is for the decision.
	patienceShare = 2
	// hintShare of it is what the line may take while mail is still let in: what is turned
	// away before it has come costs next to nothing.
	hintShare = 4
	// paceTime is how long must have been waited before the pace of the gate says
	// anything, and paceMemory how far back it looks.
	paceTime   = 250 * time.Millisecond
	paceMemory = 2 * time.Second
)

// gate bounds what is judged at once. What finds no room waits in line; who would wait
// for longer than he has time is turned away at once, so that what is judged is judged in
// time, however much there is. It outlives a reload and is safe for concurrent use. Its
// clock is the real one, whatever the Engine's says: who waits, waits.
type gate struct {
	room int

	mu     sync.Mutex
	inside int // weight that is being judged
	line   []*waiting
	behind int // weight in line
	// The weight that has left since then, while somebody waited.
	left  int
	since time.Time
}

type waiting struct {
	weight int
	admit  chan struct{} // gets one when there is room, with the gate's lock held
}

func newGate() *gate { return &gate{room: roomPerCore * runtime.GOMAXPROCS(0)} }

// weightOf goes by all that is read of a message: who sends large headers, or to thousands,
// does not get more judged at once than who sends large bodies.
func weightOf(m *Mail) int {
	header := 0
	for _, f := range m.Header {
		header += len(f.Name) + len(f.Value)
	}
	return 1 + len(m.Body)/weightOctets + header/weightOctets + len(m.Recipients)/weightRecipients
}

// enter waits for room; an error says why there is none. Who has entered leaves with the
// same weight. Without a deadline nobody is turned away.
func (g *gate) enter(ctx context.Context, weight int) (waited bool, err error) {
	g.mu.Lock()
	if len(g.line) == 0 && g.fits(weight) {
		g.inside += weight
		g.mu.Unlock()
		return false, nil
	}
	now := time.Now()
	var over <-chan time.Time
	if end, ok := ctx.Deadline(); ok {
		patience := end.Sub(now) / patienceShare
		if wait := g.wait(now, weight); wait > patience {
			g.mu.Unlock()
			return false, fmt.Errorf("it would have waited for %v", wait.Round(time.Millisecond))
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		over = timer.C
	}
	if len(g.line) == 0 {
		g.left, g.since = 0, now
	}
	w := &waiting{weight, make(chan struct{}, 1)}
	g.line = append(g.line, w)
	g.behind += weight
	g.mu.Unlock()
	select {
	case <-w.admit:
		return true, nil
	case <-over:
	case <-ctx.Done():
	}
	return true, g.giveUp(w, now)
}

// giveUp takes somebody out of the line, unless he has been let in meanwhile.
func (g *gate) giveUp(w *waiting, since time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(w.admit) > 0 {
		return nil
	}
	for i, other := range g.line {
		if other == w {
			g.line = append(g.line[:i], g.line[i+1:]...)
			break
		}
	}
	g.behind -= w.weight
	g.admit() // he may have been too heavy for the room that there is
	return fmt.Errorf("it has waited for %v", time.Since(since).Round(time.Millisecond))
}

// leave makes room.
func (g *gate) leave(weight int) {
	if weight == 0 {
		return // it was not in there
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside -= weight
	if len(g.line) == 0 {
		return
	}
	g.left += weight
	if now := time.Now(); now.Sub(g.since) > paceMemory {
		g.left /= 2
		g.since = now.Add(-now.Sub(g.since) / 2)
	}
	g.admit()
}

// fits says whether there is room. What is heavier than all room goes in alone.
func (g *gate) fits(weight int) bool { return g.inside == 0 || g.inside+weight <= g.room }

// admit lets in who is first in line, as many as there is room for.
func (g *gate) admit() {
	for len(g.line) > 0 && g.fits(g.line[0].weight) {
		first := g.line[0]
		g.line[0] = nil
		g.line = g.line[1:]
		g.behind -= first.weight
		g.inside += first.weight
		first.admit <- struct{}{}
	}
}

// wait is how long somebody would wait behind those who do, by the pace of the last two
// seconds; zero when that is not known.
func (g *gate) wait(now time.Time, weight int) time.Duration {
	elapsed := now.Sub(g.since)
	if len(g.line) == 0 || g.left == 0 || elapsed < paceTime {
		return 0
	}
	return time.Duration(float64(elapsed) * float64(g.behind+weight) / float64(g.left))
}

// enter has a message wait for room, and gives it the time of its judging: windows go by
// when mail passes.
func (e *Engine) enter(ctx context.Context, r *ruling) bool {
	weight := weightOf(r.mail)
	waited, err := e.gate.enter(ctx, weight)
	if err != nil {
		r.turnedAway(err)
		return false
	}
	r.weight = weight
	if waited {
		r.at = e.now()
	}
	return true
}

// TurnsAway says, at the first recipient, whether the line is so long already that a
// message had better not come at all, and gives the verdict on it. budget is what its
// decision would have. A local submission is let in: Postfix cannot refuse its recipients.
func (e *Engine) TurnsAway(m *Mail, budget time.Duration) (v Verdict, away bool) {
	wait := e.gate.hint()
	if wait <= budget/hintShare || e.set.AllShadow || m.localSubmission() || e.isInbound(m) {
		return Verdict{}, false
	}
	return e.turnAway(m, wait), true
}

// turnAway is the verdict on mail that would have waited. Apart, so that the stack of a
// session in which nothing is turned away does not grow for the 3 kB of a ruling.
//
//go:noinline
func (e *Engine) turnAway(m *Mail, wait time.Duration) Verdict {
	r := ruling{facts: facts{mail: m, set: &e.set}, at: e.now()}
	r.turnedAway(fmt.Errorf("it would have waited for %v", wait.Round(time.Millisecond)))
	return e.verdict(&r, r.at, NewID())
}

// hint is how long a light message would wait if it came now.
func (g *gate) hint() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.line) == 0 {
		return 0
	}
	return g.wait(time.Now(), 1)
}

// turnedAway forgets what was found: the message is not judged.
func (r *ruling) turnedAway(why error) {
	r.evidence, r.decider, r.action, r.hits = nil, "", 0, nil
	r.away, r.err = true, errors.Join(errOverload, why)
	r.find(overload, r.set.action(overload), one("message", "more mail than can be judged", "room"))
}

var errOverload = errors.New("overload")

// Overloaded is the verdict on mail that nobody has the time to look at: why goes into
// the log. No Engine decides on it, so it is refused in shadow too.
func Overloaded(m *Mail, now time.Time, why error) Verdict {
	e := Engine{set: Settings{Language: "en"}}
	r := ruling{facts: facts{mail: m, set: &e.set}, at: now}
	r.turnedAway(why)
	return e.verdict(&r, now, NewID())
}

// WantsBody says, at MAIL, whether Decide is going to look at a message's body.
func (e *Engine) WantsBody(m *Mail) bool { return !e.isInbound(m) }
