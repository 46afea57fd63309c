package page

import (
	"sync"
	"time"
)

// mostKeys bounds a Limiter; some 100 bytes each.
const mostKeys = 10_000

// Limiter is a token bucket for each of many keys. It is kept as the one time at
// which the bucket is full again. When there are too many keys, one that is
// near to full is forgotten, which gives it little.
type Limiter struct {
	every time.Duration // one token
	whole time.Duration // all tokens

	mu   sync.Mutex
	full map[string]time.Time
}

// NewLimiter admits n at once, and n in per after that.
func NewLimiter(n int, per time.Duration) *Limiter {
	every := per / time.Duration(n)
	return &Limiter{every: every, whole: every * time.Duration(n), full: map[string]time.Time{}}
}

// Allow takes a token of key's bucket, or says how long until there is one.
func (l *Limiter) Allow(now time.Time, key string) (ok bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full, known := l.full[key]
	if full.Before(now) {
		full = now
	}
	if empty := now.Add(l.whole); full.After(empty) {
		full = empty // the clock was set back: nobody waits for as long as that
	}
	if wait = full.Add(l.every).Sub(now) - l.whole; wait > 0 {
		return false, wait
	}
	if !known && len(l.full) >= mostKeys {
		l.forget()
	}
	l.full[key] = full.Add(l.every)
	return true, 0
}

// forget makes room: of a few it drops the one that is nearest to full.
func (l *Limiter) forget() {
	drop, left := "", 16
	for key, full := range l.full { // Go begins at a random place
		if drop == "" || full.Before(l.full[drop]) {
			drop = key
		}
		if left--; left == 0 {
			break
		}
	}
	delete(l.full, drop)
}
