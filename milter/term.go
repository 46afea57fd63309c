package milter

import (
	"sync"
	"time"
)

// term is the context of a question. It is what context.WithTimeout makes, but for the
// timer: whoever looks after the question ends it.
type term struct {
	begun, ends time.Time
	over        chan struct{}

	mu    sync.Mutex
	err   error              // nil: it is not over
	after map[*func()]func() // to be called then
}

// Deadline implements context.Context.
func (t *term) Deadline() (time.Time, bool) { return t.ends, true }

// Done implements context.Context.
func (t *term) Done() <-chan struct{} { return t.over }

// Err implements context.Context.
func (t *term) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Value implements context.Context.
func (t *term) Value(any) any { return nil }

// AfterFunc spares the package context a goroutine for each context that is made of it.
func (t *term) AfterFunc(f func()) (stop func() bool) {
	key := &f
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		go f()
		return func() bool { return false }
	}
	if t.after == nil {
		t.after = map[*func()]func(){}
	}
	t.after[key] = f
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		_, was := t.after[key]
		delete(t.after, key)
		return was
	}
}

// finish ends it, unless it is over.
func (t *term) finish(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return
	}
	t.err = why
	close(t.over)
	for _, f := range t.after {
		go f()
	}
	t.after = nil
}
