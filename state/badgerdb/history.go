package badgerdb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/internal/chaos"
)

// The way of a decision: it waits in memory until there is a page's worth, or for hold;
// what is too little for a page then is written as a draft, and drafts become a page when
// there are enough of them. From Record on until it is on a page it is held in memory,
// where it is found.

const (
	// maxDecisions bounds how many wait to be written, at some KB each.
	maxDecisions = 4096
	// hold is for how long a decision waits for others, twice that at most. A decision written alone
	// costs a commit of its own, with 120 others a twentieth of that.
	hold = 50 * time.Millisecond
	// pageSpans is how many pages there are in a retention at least, while there are
	// decisions: a page goes as a whole.
	pageSpans = 32
)

// change is what the writer is to do to decisions, all or none of it.
type change struct {
	records []record
	settled func(err error) // is told what became of it
	err     error           // why it was not written, where it was tried on its own
}

// history are the decisions that are on no page.
type history struct {
	writer *writer
	span   int64 // ns, of a page, about

	// horizon, ns since 1970: what is older is over its retention, and not shown though
	// its page is still there.
	horizon atomic.Int64

	room  chan struct{} // one for each decision that waits to be written
	first chan struct{} // holds one when a decision came, and none waited
	ripe  chan struct{} // holds one when there may be enough for a page

	mu      sync.Mutex
	waiting []*entry
	load    bulk     // of those waiting
	drafts  []*draft // in the order of their numbers
	number  int64    // of the last draft
	known   bool     // what drafts the database holds; before that none is made
}

func newHistory(w *writer, retention time.Duration) *history {
	return &history{
		writer: w, span: int64(retention / pageSpans), room: make(chan struct{}, maxDecisions),
		first: make(chan struct{}, 1), ripe: make(chan struct{}, 1),
	}
}

// add takes a decision as soon as there is room. While the database is away it is counted
// and dropped.
func (h *history) add(ctx context.Context, e *entry) error {
	if h.writer.away() {
		h.writer.dropped.Add(1)
		return nil
	}
	select {
	case h.room <- struct{}{}:
	case <-h.writer.down:
		return h.writer.broken()
	case <-ctx.Done():
		return fmt.Errorf("decision: %d others wait to be written: %w", maxDecisions, ctx.Err())
	}
	h.mu.Lock()
	h.waiting = append(h.waiting, e)
	h.load = h.load.with(e)
	alone, full := len(h.waiting) == 1, h.load.full()
	h.mu.Unlock()
	switch {
	case full:
		signal(h.ripe)
	case alone:
		signal(h.first)
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it holds one
	}
}

// run hands decisions to the writer until ctx ends, and then all that wait.
func (h *history) run(ctx context.Context) {
	timer := time.NewTimer(hold)
	defer timer.Stop()
	for {
		select {
		case <-h.first:
			timer.Reset(hold)
		case <-timer.C:
			h.flush()
		case <-h.ripe:
			h.turn()
		case <-ctx.Done():
			h.flush()
			return
		}
	}
}

// turn makes pages while there is enough for one.
func (h *history) turn() {
	for d := h.cut(true); d != nil; d = h.cut(true) {
		h.hand([]*draft{d}, h.filed)
	}
	if drafts := h.enough(); drafts != nil {
		h.hand(drafts, h.filed)
	}
}

// flush hands over all that wait, however few.
func (h *history) flush() {
	h.turn()
	if d := h.cut(false); d != nil {
		h.hand([]*draft{d}, h.drafted)
	}
}

// hand gives drafts to the writer. Those that make us panic are let go, and counted: they
// would do it again, and take up the room of others for ever.
func (h *history) hand(drafts []*draft, change func([]*draft) *change) {
	handed := false
	defer func() {
		if !handed {
			for _, d := range drafts {
				if !d.written {
					h.release(len(d.entries), errOwnFault)
				}
			}
			h.remove(drafts)
		}
	}()
	chaos.Point("store_decisions")
	c := change(drafts)
	handed = true
	h.writer.put(op{history: c})
}

// cut takes from those waiting what a page has room for: only if it fills one, or any.
// Nil when there is nothing to take.
func (h *history) cut(full bool) *draft {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.known || len(h.waiting) == 0 || full && !h.load.full() {
		return nil
	}
	n := 0
	for b := (bulk{}); n < len(h.waiting) && !b.full(); n++ {
		b = b.with(h.waiting[n])
	}
	h.number++
	d := &draft{number: h.number, entries: slices.Clone(h.waiting[:n]), taken: true}
	h.waiting = slices.Delete(h.waiting, 0, n)
	h.load = bulkOf(h.waiting)
	h.drafts = append(h.drafts, d)
	if len(h.waiting) > 0 {
		signal(h.first) // for those that are left
	}
	return d
}

// enough takes the drafts that make a page: enough of them, or those of a long time. Nil
// when there are none.
func (h *history) enough() []*draft {
	h.mu.Lock()
	defer h.mu.Unlock()
	var chosen []*draft
	var b bulk
	for _, d := range h.drafts {
		if d.taken {
			continue
		}
		next := b.plus(bulkOf(d.entries))
		if b.full() || b.decisions > 0 && !next.fits() {
			break
		}
		chosen, b = append(chosen, d), next
	}
	if len(chosen) == 0 || !b.full() && len(chosen) == h.free() && !h.long(chosen) {
		return nil
	}
	for _, d := range chosen {
		d.taken = true
	}
	return chosen
}

// free is how many drafts nobody has taken.
func (h *history) free() (n int) {
	for _, d := range h.drafts {
		if !d.taken {
			n++
		}
	}
	return n
}

// long says that drafts are of a longer time than a page should be.
func (h *history) long(drafts []*draft) bool {
	first, last := drafts[0].last(), drafts[0].last()
	for _, d := range drafts {
		first, last = min(first, d.last()), max(last, d.last())
	}
	return last-first > h.span
}

// drafted is how one draft is written.
func (h *history) drafted(drafts []*draft) *change {
	d := drafts[0]
	r := record{key: draftKey(d.number), value: encodePage(d.entries)}
	d.size = len(r.key) + len(r.value)
	r.history = d.size
	return &change{
		records: []record{r},
		settled: func(err error) { h.settle(d, err) },
	}
}

func (h *history) settle(d *draft, err error) {
	h.release(len(d.entries), err)
	h.mu.Lock()
	d.written, d.taken = true, false
	h.mu.Unlock()
	if err != nil {
		h.remove([]*draft{d})
		return
	}
	signal(h.ripe)
}

// release makes room for as many others, and counts what was not written.
func (h *history) release(n int, err error) {
	for range n {
		<-h.room
	}
	if err != nil {
		h.writer.dropped.Add(int64(n))
	}
}

// filed is how drafts become a page.
func (h *history) filed(drafts []*draft) *change {
	var entries []*entry
	var old []record
	fresh := 0
	for _, d := range drafts {
		entries = append(entries, d.entries...)
		if d.written {
			old = append(old, d.gone())
		} else {
			fresh += len(d.entries)
		}
	}
	return &change{
		records: append(pageRecords(sorted(entries)), old...),
		settled: func(err error) {
			h.release(fresh, err)
			if err == nil || fresh > 0 {
				h.remove(drafts)
				return
			}
			h.spare(drafts)
		},
	}
}

// remove forgets drafts, which are on a page, or lost.
func (h *history) remove(drafts []*draft) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drafts = slices.DeleteFunc(h.drafts, func(d *draft) bool {
		return slices.ContainsFunc(drafts, func(o *draft) bool { return o.number == d.number })
	})
}

// spare leaves drafts as they were.
func (h *history) spare(drafts []*draft) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range drafts {
		d.taken = false
	}
}

// inMemory are all that are on no page, in the order they were recorded.
func (h *history) inMemory() (entries []*entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.drafts {
		entries = append(entries, d.entries...)
	}
	return append(entries, h.waiting...)
}

// sweep takes the drafts that go: those over their retention, and, while there is an
// excess of bytes, the oldest.
func (h *history) sweep(old int64, excess int64) (drafts []*draft, records []record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	byAge := slices.SortedFunc(slices.Values(h.drafts), func(a, b *draft) int { return cmp.Compare(a.last(), b.last()) })
	for _, d := range byAge {
		if d.taken || d.last() >= old && excess <= 0 {
			continue
		}
		r := d.gone()
		excess += int64(r.history)
		d.taken = true
		drafts, records = append(drafts, d), append(records, r)
	}
	return drafts, records
}

// read reads the drafts of a database that was opened. What cannot be read is told, and
// goes.
func (h *history) read(db *badger.DB) (faults []string, dead []record, err error) {
	var drafts []*draft
	err = scan(db, draftPrefix, true, func(item *badger.Item) error {
		d, err := readDraft(item)
		if err != nil {
			faults = append(faults, fmt.Sprintf("decisions cannot be read and are left out: %v", err))
			dead = append(dead, record{key: item.KeyCopy(nil), gone: true})
			return nil
		}
		drafts = append(drafts, d)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.drafts {
		if !d.written { // on its way to the writer
			drafts = append(drafts, d)
			continue
		}
		for _, o := range drafts {
			o.taken = o.taken || o.number == d.number && d.taken
		}
	}
	h.drafts = drafts
	for _, d := range drafts {
		h.number = max(h.number, d.number)
	}
	h.known = true
	signal(h.first)
	signal(h.ripe)
	return faults, dead, nil
}
