package console

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	idleTime    = 30 * time.Minute // without a request
	sessionTime = 12 * time.Hour   // from the login on
	// mostSessions bounds the memory; a provider has a handful of operators. When
	// there are more, the one that was idle longest ends.
	mostSessions = 64
	// mostFlashes wait to be seen in one session; the latest ones.
	mostFlashes = 4
)

// The browser sends a cookie of this name only to this very host and only over TLS
// or loopback, and takes it from nobody else (RFC 6265bis 4.1.3.2).
const cookieName = "__Host-o2n"

// session is an operator's. It is a copy: only sessions changes one.
type session struct {
	Operator string
	Proxied  bool   // a reverse proxy says who it is; there is no cookie
	bound    string // what form tokens are bound to
	born     time.Time
	seen     time.Time
	flashes  []string // what was done, to be shown once
}

// alive says whether the session lives at now.
func (s *session) alive(now time.Time) bool {
	return now.Sub(s.seen) < idleTime && now.Sub(s.born) < sessionTime
}

// key is what a session is found by. Of a cookie only the hash is kept, so that no
// comparison tells how much of a guess was right.
type key [sha256.Size]byte

func cookieKey(id string) key         { return sha256.Sum256([]byte("cookie " + id)) }
func operatorKey(operator string) key { return sha256.Sum256([]byte("proxy " + operator)) }

// sessions are those of this process: they end with it.
type sessions struct {
	mu   sync.Mutex
	live map[key]*session
}

func newSessions() *sessions { return &sessions{live: map[key]*session{}} }

// start begins a session with a new id, which it returns for the cookie.
func (l *sessions) start(now time.Time, operator string) (id string) {
	id = randomID()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(now, cookieKey(id), &session{Operator: operator})
	return id
}

// find returns the living session of k and notes that it was used.
func (l *sessions) find(now time.Time, k key) (session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.use(now, k); s != nil {
		return *s, true
	}
	return session{}, false
}

// proxied returns the session of an operator whom a proxy names, a new one when
// there is none.
func (l *sessions) proxied(now time.Time, operator string) session {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := operatorKey(operator)
	s := l.use(now, k)
	if s == nil {
		s = &session{Operator: operator, Proxied: true}
		l.add(now, k, s)
	}
	return *s
}

// use returns the living session of k, or nil. Whoever calls it holds the lock.
func (l *sessions) use(now time.Time, k key) *session {
	s := l.live[k]
	if s == nil {
		return nil
	}
	if !s.alive(now) {
		delete(l.live, k)
		return nil
	}
	s.seen = now
	return s
}

// add makes room for s and keeps it. Whoever calls it holds the lock.
func (l *sessions) add(now time.Time, k key, s *session) {
	s.bound, s.born, s.seen = randomID(), now, now
	var oldest key
	for k, other := range l.live {
		if !other.alive(now) {
			delete(l.live, k)
			continue
		}
		if o := l.live[oldest]; o == nil || other.seen.Before(o.seen) {
			oldest = k
		}
	}
	if len(l.live) >= mostSessions {
		delete(l.live, oldest)
	}
	l.live[k] = s
}

// end ends a session; there may be none.
func (l *sessions) end(k key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, k)
}

// flash keeps what was done until the session's next page.
func (l *sessions) flash(k key, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.live[k]
	if s == nil {
		return
	}
	if len(s.flashes) == mostFlashes {
		s.flashes = s.flashes[1:]
	}
	s.flashes = append(s.flashes, text)
}

// takeFlashes returns what waits to be seen and forgets it.
func (l *sessions) takeFlashes(k key) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.live[k]
	if s == nil {
		return nil
	}
	texts := s.flashes
	s.flashes = nil
	return texts
}

// randomID is 256 random bits.
func randomID() string {
	// 52 letters of base32 are 260 bits; rand.Text has 130 (crypto/rand).
	return rand.Text() + rand.Text()
}
