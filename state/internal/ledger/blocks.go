package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"o2n-milter/state"
)

// Blocks are all blocks, in memory: every message asks for them.
type Blocks struct {
	mu        sync.RWMutex
	byID      map[string]state.Block
	bySubject map[string][]string // ids
	unlifted  int
}

// NewBlocks returns an empty set.
func NewBlocks() *Blocks {
	return &Blocks{byID: make(map[string]state.Block), bySubject: make(map[string][]string)}
}

// BlockChange is a block that a store must still keep as it is then.
type BlockChange struct {
	ID     string
	before *state.Block // nil: there was none
}

// Add is state.Store's AddBlock without the waiting: the block is in force at
// once, also while it is being kept. Changed is called under the lock.
func (bs *Blocks) Add(b state.Block, changed func(BlockChange)) error {
	if b.ID == "" || b.Subject == "" {
		return fmt.Errorf("block %q of %q: a name is empty", b.ID, b.Subject)
	}
	if len(b.ID)+len(b.Subject) > maxName {
		return fmt.Errorf("block %.100q: names of %d bytes; want at most %d", b.ID, len(b.ID)+len(b.Subject), maxName)
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if _, ok := bs.byID[b.ID]; ok {
		return fmt.Errorf("block %s: there is one of this id", b.ID)
	}
	b.Since, b.Until, b.LiftedAt = b.Since.UTC(), b.Until.UTC(), b.LiftedAt.UTC()
	bs.put(b)
	changed(BlockChange{ID: b.ID})
	return nil
}

// put stores b in place of an older version of it, if there is one.
func (bs *Blocks) put(b state.Block) {
	bs.remove(b.ID)
	bs.byID[b.ID] = b
	bs.bySubject[b.Subject] = append(bs.bySubject[b.Subject], b.ID)
	if b.LiftedAt.IsZero() {
		bs.unlifted++
	}
}

func (bs *Blocks) remove(id string) {
	b, ok := bs.byID[id]
	if !ok {
		return
	}
	delete(bs.byID, id)
	ids := slices.DeleteFunc(bs.bySubject[b.Subject], func(s string) bool { return s == id })
	if bs.bySubject[b.Subject] = ids; len(ids) == 0 {
		delete(bs.bySubject, b.Subject)
	}
	if b.LiftedAt.IsZero() {
		bs.unlifted--
	}
}

// Active is state.Store's ActiveBlocks.
func (bs *Blocks) Active(now time.Time, subjects []string) []state.Block {
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	found := make([]state.Block, 0)
	for i, s := range subjects {
		ids := bs.bySubject[s]
		if len(ids) == 0 || slices.Contains(subjects[:i], s) {
			continue
		}
		for _, id := range ids {
			if b := bs.byID[id]; b.State(now) == state.BlockActive {
				found = append(found, b)
			}
		}
	}
	slices.SortFunc(found, older)
	return found
}

// older sorts by Since; the id settles ties.
func older(a, b state.Block) int {
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
}

// All is state.Store's Blocks.
func (bs *Blocks) All() []state.Block {
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	all := make([]state.Block, 0, len(bs.byID))
	for _, b := range bs.byID {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b state.Block) int { return older(b, a) })
	return all
}

// Lift is state.Store's LiftBlock without the waiting. Changed is called even
// when nothing is: the lift before this one may not be kept yet.
func (bs *Blocks) Lift(id string, now time.Time, by, note string, changed func(BlockChange)) (state.Block, error) {
	if err := state.CheckTime(now); err != nil {
		return state.Block{}, err
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b, ok := bs.byID[id]
	if !ok {
		return state.Block{}, fmt.Errorf("block %.100q: %w", id, state.ErrNotFound)
	}
	before := b
	if b.State(now) == state.BlockActive {
		b.LiftedAt, b.LiftedBy, b.Note = now.UTC(), by, note
		bs.put(b)
	}
	changed(BlockChange{ID: id, before: &before})
	return b, nil
}

// Get returns the block as it is now.
func (bs *Blocks) Get(id string) (state.Block, bool) {
	bs.mu.RLock()
	defer bs.mu.RUnlock()
	b, ok := bs.byID[id]
	return b, ok
}

// Load takes a block that the store has kept.
func (bs *Blocks) Load(b state.Block) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.put(b)
}

// Undo takes a change back: it could not be kept.
func (bs *Blocks) Undo(c BlockChange) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if c.before == nil {
		bs.remove(c.ID)
	} else {
		bs.put(*c.before)
	}
}
