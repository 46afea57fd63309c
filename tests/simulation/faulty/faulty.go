// Package faulty is a store whose calls go wrong when a test says so: for what stands
// above the store, whatever stands behind it.
package faulty

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"o2n-milter/state"
)

// Way is how a call goes.
type Way int

// The ways. Unheard does what was asked, and the answer is lost on its way; Odd is an
// error that says nothing of a store that is away; Hangs waits until the call's ctx
// ends, and Panics is a fault of the driver's own. All others do nothing.
const (
	Well Way = iota
	Fails
	Unheard
	Odd
	Hangs
	Panics
)

// Ways are those that are faults.
var Ways = []Way{Fails, Unheard, Odd, Hangs, Panics}

func (w Way) String() string {
	return [...]string{"goes well", "fails", "is unheard", "fails oddly", "hangs", "panics"}[w]
}

// Errors of such a store.
var (
	ErrAway = fmt.Errorf("faulty: %w", state.ErrUnavailable)
	ErrOdd  = errors.New("faulty: what nobody has thought of")
)

// Panic is what the store panics with.
type Panic struct{ Method string }

func (p Panic) Error() string { return "faulty: panic in " + p.Method }

// Ours says whether somebody panics with it, or because of it.
func Ours(p any) bool { return strings.Contains(fmt.Sprint(p), "faulty: panic in ") }

// Store is a store before another one.
type Store struct {
	state.Store
	// Plan says how a call goes, by its number from 1 on and its method's name; nil: well.
	// It may be called from several goroutines.
	Plan func(call int, method string) Way

	calls atomic.Int64
}

var _ state.Store = (*Store)(nil)

// Calls is how many there were.
func (s *Store) Calls() int { return int(s.calls.Load()) }

// do makes a call of the store behind, as planned.
func do[T any](ctx context.Context, s *Store, method string, call func() (T, error)) (T, error) {
	var none T
	n, way := int(s.calls.Add(1)), Well
	if s.Plan != nil {
		way = s.Plan(n, method)
	}
	switch way {
	case Fails:
		return none, ErrAway
	case Odd:
		return none, ErrOdd
	case Unheard:
		_, _ = call() // whatever it answers
		return none, ErrAway
	case Hangs:
		<-ctx.Done()
		return none, fmt.Errorf("%w: %w", ErrAway, ctx.Err())
	case Panics:
		panic(Panic{method})
	}
	return call()
}

// Take implements state.Store.
func (s *Store) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	return do(ctx, s, "Take", func() (state.Answer, error) { return s.Store.Take(ctx, now, ask) })
}

// Usage implements state.Store.
func (s *Store) Usage(ctx context.Context, now time.Time, windows []state.Window) ([]state.Usage, error) {
	return do(ctx, s, "Usage", func() ([]state.Usage, error) { return s.Store.Usage(ctx, now, windows) })
}

// Reset implements state.Store.
func (s *Store) Reset(ctx context.Context, subject string) (int, error) {
	return do(ctx, s, "Reset", func() (int, error) { return s.Store.Reset(ctx, subject) })
}

// ActiveBlocks implements state.Store.
func (s *Store) ActiveBlocks(ctx context.Context, now time.Time, subjects []string) ([]state.Block, error) {
	return do(ctx, s, "ActiveBlocks", func() ([]state.Block, error) { return s.Store.ActiveBlocks(ctx, now, subjects) })
}

// BlocksOf implements state.Store.
func (s *Store) BlocksOf(ctx context.Context, subjects []string) ([]state.Block, error) {
	return do(ctx, s, "BlocksOf", func() ([]state.Block, error) { return s.Store.BlocksOf(ctx, subjects) })
}

// AddBlock implements state.Store.
func (s *Store) AddBlock(ctx context.Context, b state.Block) error {
	_, err := do(ctx, s, "AddBlock", func() (bool, error) { return true, s.Store.AddBlock(ctx, b) })
	return err
}

// Blocks implements state.Store.
func (s *Store) Blocks(ctx context.Context) ([]state.Block, error) {
	return do(ctx, s, "Blocks", func() ([]state.Block, error) { return s.Store.Blocks(ctx) })
}

// LiftBlock implements state.Store.
func (s *Store) LiftBlock(ctx context.Context, id string, now time.Time, by, note string) (state.Block, error) {
	return do(ctx, s, "LiftBlock", func() (state.Block, error) { return s.Store.LiftBlock(ctx, id, now, by, note) })
}

// PutDoc implements state.Store.
func (s *Store) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	return do(ctx, s, "PutDoc", func() (state.Doc, error) { return s.Store.PutDoc(ctx, doc) })
}

// Docs implements state.Store.
func (s *Store) Docs(ctx context.Context, kind string) ([]state.Doc, error) {
	return do(ctx, s, "Docs", func() ([]state.Doc, error) { return s.Store.Docs(ctx, kind) })
}

// DocsOf implements state.Store.
func (s *Store) DocsOf(ctx context.Context, kind string, subjects []string) ([]state.Doc, error) {
	return do(ctx, s, "DocsOf", func() ([]state.Doc, error) { return s.Store.DocsOf(ctx, kind, subjects) })
}

// ChangedDocs implements state.Store.
func (s *Store) ChangedDocs(ctx context.Context, kind string, known map[string]int64) ([]state.Doc, error) {
	return do(ctx, s, "ChangedDocs", func() ([]state.Doc, error) { return s.Store.ChangedDocs(ctx, kind, known) })
}

// Record implements state.Store.
func (s *Store) Record(ctx context.Context, d state.Decision) error {
	_, err := do(ctx, s, "Record", func() (bool, error) { return true, s.Store.Record(ctx, d) })
	return err
}

// Decision implements state.Store.
func (s *Store) Decision(ctx context.Context, id string) (state.Decision, error) {
	return do(ctx, s, "Decision", func() (state.Decision, error) { return s.Store.Decision(ctx, id) })
}

// Decisions implements state.Store.
func (s *Store) Decisions(ctx context.Context, q state.Query) ([]state.Decision, error) {
	return do(ctx, s, "Decisions", func() ([]state.Decision, error) { return s.Store.Decisions(ctx, q) })
}

// Status implements state.Store.
func (s *Store) Status(ctx context.Context, now time.Time) (state.Status, error) {
	return do(ctx, s, "Status", func() (state.Status, error) { return s.Store.Status(ctx, now) })
}
