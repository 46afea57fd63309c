package hold

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// heldKind is the kind of the docs that are state.Held.
const heldKind = "held"

// mostUnsaved bounds what is kept in memory while the store is away, in bytes.
const mostUnsaved = 64 << 20

// item is a record of this host as the Keeper has it in mind. The record is changed
// under the book's lock, by Step's goroutine alone.
type item struct {
	state.Held
	unsaved bool // the store does not have it yet
	deleted bool

	// Of Step's goroutine.
	lane *lane
	paid bool           // in memory only: its record could not be changed yet
	cost []state.Charge // what it paid
	rest time.Time      // no try of a wish or a report before
}

// isOpen says that the message is still with the MTA because of us.
func (it *item) isOpen() bool {
	return it.State == state.HeldWaiting || it.State == state.HeldKept || it.State == state.HeldLeaving
}

// book is what is held on this host, as the store has it, and what the store could
// not take yet.
type book struct {
	store state.Store

	mu        sync.Mutex
	host      string // whose records are ours; empty until the agent has told it
	items     map[string]*item
	open      map[string]int // by subject
	owned     map[string]int // open, by ownerOf
	shares    map[share]int  // open, of subjects that are many's
	total     int            // open
	unsavedBy int            // bytes that are in memory only
	wishes    map[string]*item

	strange map[string]bool // hosts that isStrange has named

	known map[string]int64 // revisions of all hosts' records; of Step's goroutine
}

func newBook(store state.Store) *book {
	return &book{store: store, items: map[string]*item{}, open: map[string]int{}, owned: map[string]int{}, shares: map[share]int{}, wishes: map[string]*item{}, known: map[string]int64{}, strange: map[string]bool{}}
}

// isEmpty says that nothing is known to be held, here or on another host.
func (b *book) isEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total == 0 && len(b.known) == 0
}

// setHost says whose records are ours: all are read again.
func (b *book) setHost(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.host = host
	clear(b.known)
}

// reserve finds room for a new record. It counts at once, so that a flood passes no
// bound while the store writes. Nobody gets more than what is left free, so that one
// who sends as many subjects leaves half of it for the others; nor of a subject that is
// many's more than what is left of that.
func (b *book) reserve(h state.Held, set *Settings) (*item, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.total >= set.MaxMessages:
		return nil, fmt.Errorf("%w: %d messages are held on this host", rules.ErrNoRoom, b.total)
	case b.open[h.Subject] >= set.MaxPerSubject:
		return nil, fmt.Errorf("%w: %d messages of %s are held", rules.ErrNoRoom, b.open[h.Subject], h.Subject)
	case isMany(h.Subject) && b.shares[shareOf(h)] >= set.MaxPerSubject-b.open[h.Subject]:
		return nil, fmt.Errorf("%w: %d messages of %s are held behind %s, the rest is for others", rules.ErrNoRoom, b.shares[shareOf(h)], ownerOf(h), h.Subject)
	case b.owned[ownerOf(h)] >= set.MaxMessages-b.total:
		return nil, fmt.Errorf("%w: %d messages of %s are held, the rest is for others", rules.ErrNoRoom, b.owned[ownerOf(h)], ownerOf(h))
	case b.items[h.ID] != nil:
		return nil, fmt.Errorf("held mail %s: there is one of this id", h.ID)
	}
	it := &item{Held: h}
	b.items[h.ID] = it
	b.count(it, 1)
	return it, nil
}

func (b *book) count(it *item, n int) {
	if !it.isOpen() {
		return
	}
	b.total += n
	add(b.open, it.Subject, n)
	add(b.owned, ownerOf(it.Held), n)
	if isMany(it.Subject) {
		add(b.shares, shareOf(it.Held), n)
	}
}

// add keeps no zeros.
func add[K comparable](counts map[K]int, of K, n int) {
	if counts[of] += n; counts[of] == 0 {
		delete(counts, of)
	}
}

// isMany says that the mail of many may wait behind a subject: a host's, a client's, a
// destination's.
func isMany(subject string) bool {
	kind, _, _ := strings.Cut(subject, ":")
	return kind == "host" || kind == "ip" || kind == "domain"
}

// share is somebody's part of the mail behind a subject.
type share struct{ subject, owner string }

func shareOf(h state.Held) share { return share{h.Subject, ownerOf(h)} }

// ownerOf is who answers for a message: its customer, else its account; where neither
// is known, its sender.
func ownerOf(h state.Held) string {
	switch {
	case h.Customer != "":
		return "customer:" + h.Customer
	case h.Account != "":
		return "account:" + h.Account
	}
	return "sender:" + strings.ToLower(h.From)
}

// unsaved keeps a record in memory that the store could not take because it is away.
// Whatever else kept the store from it will do so again: then there is no record.
func (b *book) unsaved(it *item, why error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := sizeOf(it.Held)
	away := errors.Is(why, state.ErrUnavailable) || errors.Is(why, context.Canceled) || errors.Is(why, context.DeadlineExceeded)
	if !away || b.unsavedBy+size > mostUnsaved {
		b.count(it, -1)
		delete(b.items, it.ID)
		return fmt.Errorf("held mail %s: %w", it.ID, why)
	}
	it.unsaved = true
	b.unsavedBy += size
	return nil
}

// save gives the store what it could not take before, and says whether it took any.
func (b *book) save(ctx context.Context) (saved bool, err error) {
	list := b.unsavedItems()
	for _, it := range list {
		h := it.Held
		err := state.PutRecord(ctx, b.store, &h)
		if err != nil && !errors.Is(err, state.ErrConflict) { // it was stored after all
			return saved, err
		}
		saved = true
		b.mu.Lock()
		b.isSaved(it)
		b.mu.Unlock()
	}
	return saved, nil
}

// isSaved notes that the store has a record, if it was in memory only. Others may be
// added to those meanwhile. Whoever calls it holds the lock.
func (b *book) isSaved(it *item) {
	if it.unsaved {
		it.unsaved = false
		b.unsavedBy -= sizeOf(it.Held)
	}
}

// sizeOf is about what a record takes in memory, in bytes.
func sizeOf(h state.Held) int { return len(h.Ask) + len(h.About) + 40*len(h.Recipients) + 1000 }

// unsavedItems are those that the store does not have, the oldest first.
func (b *book) unsavedItems() []*item {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unsavedBy == 0 {
		return nil
	}
	var list []*item
	for _, it := range b.items {
		if it.unsaved {
			list = append(list, it)
		}
	}
	return sortedByAge(list)
}

// sync reads what the store has changed since it was last asked, and returns our
// records among it. Unread says which cannot be read, each once.
func (b *book) sync(ctx context.Context) (changed []*item, unread, err error) {
	docs, err := b.store.ChangedDocs(ctx, heldKind, b.known)
	if err != nil {
		return nil, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, doc := range docs {
		it, err := b.take(doc)
		unread = errors.Join(unread, err)
		if it != nil {
			changed = append(changed, it)
		}
	}
	slices.SortFunc(changed, oldest)
	return changed, unread, nil
}

// take brings one record to what the store has; nil when it is not ours, and an error
// when it is not to be read, which a newer version's is.
func (b *book) take(doc state.Doc) (*item, error) {
	it := b.items[doc.ID]
	if it != nil {
		b.isSaved(it)
	}
	if doc.Rev == 0 {
		delete(b.known, doc.ID)
		return b.drop(it), nil
	}
	b.known[doc.ID] = doc.Rev
	if b.host == "" {
		return nil, nil // all are read again when it is known
	}
	h, err := state.DecodeRecord[state.Held](doc)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(h.Host, b.host) {
		return b.drop(it), nil // put here, for a host whose own daemon sees to it, or ours before
	}
	if it == nil {
		it = &item{}
		b.items[doc.ID] = it
	} else {
		b.count(it, -1)
	}
	it.Held = h
	b.count(it, 1)
	if it.Wish != state.WishNone {
		b.wishes[it.ID] = it
	}
	return it, nil
}

// drop takes a record out of the book, if it is there, and returns it.
func (b *book) drop(it *item) *item {
	if it != nil {
		b.count(it, -1)
		it.deleted = true
		delete(b.items, it.ID)
	}
	return it
}

// changed notes what Step has stored.
func (b *book) changed(it *item, h state.Held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(it, -1)
	it.Held = h
	b.count(it, 1)
	b.items[h.ID] = it
	b.known[h.ID] = h.Rev
	if h.Wish != state.WishNone { // of a record that was over, and goes on
		b.wishes[h.ID] = it
	}
}

// all are our records, the oldest first.
func (b *book) all() []*item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.items), oldest)
}

// isStrange says, once for each host, that mail is held there whose queue is not our
// agent's.
func (b *book) isStrange(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.host == "" || strings.EqualFold(host, b.host) || b.strange[host] {
		return false
	}
	b.strange[host] = true
	return true
}

func sortedByAge(list []*item) []*item {
	slices.SortFunc(list, oldest)
	return list
}

func oldest(x, y *item) int {
	if c := x.Since.Compare(y.Since); c != 0 {
		return c
	}
	return strings.Compare(x.ID, y.ID)
}
