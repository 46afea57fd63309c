package content

import "time"

const (
	// mostFailed questions without a score, one after the other, and the engine is
	// taken for away. One score in between and they begin anew, so that a message
	// that no engine can stand costs its sender's mail its check, not everybody's.
	mostFailed = 5
	// restTime is how long nobody is asked then: of a server that takes ten messages
	// a second, one in a hundred still waits for an engine that hangs.
	restTime = 10 * time.Second
)

// breaker keeps mail from waiting for an engine that is away, and tries it now and
// then.
type breaker struct {
	count int       // questions without a score since the last one with
	until time.Time // of the rest
}

// allow says whether to ask now. After a rest one may; the others rest on until it
// is known what became of that.
func (b *breaker) allow(now time.Time) bool {
	if b.count < mostFailed {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(restTime)
	return true
}

// failed notes a question without a score, and says whether a rest begins with it
// that was not there before.
func (b *breaker) failed(now time.Time) bool {
	b.count = min(b.count+1, mostFailed+1)
	if b.count >= mostFailed {
		b.until = now.Add(restTime)
	}
	return b.count == mostFailed
}

// answered ends the rest, and says whether there was one.
func (b *breaker) answered() bool {
	rested := b.count >= mostFailed
	*b = breaker{}
	return rested
}
