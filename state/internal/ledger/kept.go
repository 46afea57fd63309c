package ledger

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unique"

	"o2n-milter/state"
)

// How a store holds a subject: a head with its windows and with what happened to the
// members of its sets and campaigns last, and pages with what happened before. So a
// message is one record for each of its subjects, and a short one, whomever the subject
// has written to. When what happened has come to be twice what there is, all is written
// anew, as another generation of pages. The head names the generation, and how many
// pages of it there are: no other page counts, so that it does not matter when one that
// is not named any more is deleted.
//
// Head: the version, then uvarints: how many windows, of each the lengths of the
// limit's name and of its state.Slots with both behind; the generation; its pages;
// events in pages of this generation that were written since the last time that all
// was; the time when the last member in pages has left. Then events up to the end.
// Page: the version, then events.
const keptVersion = 1

const (
	// tailEvents is how many events a head has at most. Each is written again with each
	// message until a page takes it: 45 bytes for a letter to somebody new.
	tailEvents = 16
	// pageEvents is how many a page has at most, so that a page of any is some 25 kB.
	pageEvents = 512
	// fewEvents is after how many events in small pages all may be written anew.
	fewEvents = 256
	// maxSpare is how much memory the next tail is left by the last one: what tailEvents take.
	maxSpare = 1 << 10
)

// kept is how the store holds an entry.
type kept struct {
	full   []events // for pages that are not written yet
	tail   events   // in the head
	gen    int64
	pages  int64
	since  int64 // events in pages that were added one by one
	leaves int64 // no member in pages counts from this time on
	// anew: what the store holds is not known, or too much. The next record is whole.
	anew bool
}

// Record is one record that a store keeps of a subject.
type Record struct {
	Subject string
	Page    Page
	Head    bool   // it is the head; Page says nothing
	Value   []byte // nil: it is to be deleted
}

// Page names a page of a subject.
type Page struct{ Generation, Number int64 }

// Records are what is to be kept of all changes: what each subject is now. Pages come
// before the head that names them, and what is to be deleted after. Freeze must be held.
func Records(changes []*Change) (records []Record) {
	entries := make([]*Entry, 0, 3*len(changes))
	for _, c := range changes {
		for i := range c.posts {
			p := &c.posts[i]
			if e := p.entry; !e.listed {
				e.listed = true
				entries = append(entries, e)
			}
			p.tell()
		}
	}
	records = make([]Record, 0, len(entries)+len(entries)/8)
	scratch := scratches.Get().(*[]byte)
	heads := (*scratch)[:0]
	for _, e := range entries {
		e.listed = false
		records, heads = e.records(records, heads)
	}
	own(records, heads)
	*scratch = heads
	scratches.Put(scratch)
	return records
}

// scratches are where heads are encoded.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

// own gives the heads of records memory of their own, one piece for all.
func own(records []Record, heads []byte) {
	heads = slices.Clone(heads)
	for i := range records {
		if r := &records[i]; r.Head && r.Value != nil {
			n := len(r.Value)
			r.Value, heads = heads[:n:n], heads[n:]
		}
	}
}

// tell adds what happened to members to the tail.
func (p *post) tell() {
	e := p.entry
	if e.kept.anew {
		return // from what there is
	}
	if p.known != nil {
		e.kept.add(p.known, func(to *events) { to.set(p.name) })
	}
	p.sent.Each(func(of state.Sketch, recipients *state.MemberMarks) {
		e.kept.add(recipients, func(to *events) { to.campaign(of) })
	})
}

// add adds marks to the tail; about says what they are about.
func (k *kept) add(marks *state.MemberMarks, about func(to *events)) {
	about(&k.tail)
	marks.Each(func(hash uint64, slot int64) {
		if k.tail.n >= pageEvents {
			k.full = append(k.full, k.tail)
			k.tail = events{}
			about(&k.tail)
		}
		k.tail.put(hash, marks.Remember(), slot)
	})
}

// records adds what is to be kept of e as it is now. Its head is put behind heads, those of
// others, and shares their memory.
func (e *Entry) records(records []Record, heads []byte) ([]Record, []byte) {
	k := &e.kept
	if !k.anew && (len(k.full) > 0 || k.tail.n > tailEvents) {
		added := k.since + int64(k.tail.n+len(k.full)*pageEvents)
		if live := e.members(); live <= tailEvents || added > int64(max(fewEvents, live)) {
			k.anew = true
		} else {
			k.since = added
			for i := range k.full {
				records = append(records, e.page(&k.full[i]))
			}
			records = append(records, e.page(&k.tail))
		}
	}
	k.full = nil
	var old kept
	if k.anew {
		old = *k
		records = e.pagesAnew(records)
	}
	head := Record{Subject: e.Subject, Head: true}
	if !e.empty() {
		before := len(heads)
		heads = e.head(heads)
		head.Value = heads[before:len(heads):len(heads)]
	}
	records = append(records, head)
	for n := range old.pages {
		records = append(records, Record{Subject: e.Subject, Page: Page{old.gen, n}})
	}
	return records, heads
}

// page makes a page of events, and empties them.
func (e *Entry) page(of *events) Record {
	k := &e.kept
	r := Record{Subject: e.Subject, Page: Page{k.gen, k.pages}, Value: append([]byte{keptVersion}, of.bytes...)}
	k.pages++
	k.leaves = max(k.leaves, of.leaves)
	left := events{}
	if cap(of.bytes) <= maxSpare {
		left.bytes = of.bytes[:0]
	}
	*of = left
	return r
}

// pagesAnew writes all members of e to pages of another generation, but for few.
func (e *Entry) pagesAnew(records []Record) []Record {
	e.kept = kept{gen: e.kept.gen + 1}
	var all events
	add := func(m *state.Members, begin func()) {
		begin()
		m.Each(func(hash uint64, slot int64) {
			if all.n == pageEvents {
				records = append(records, e.page(&all))
				begin()
			}
			all.put(hash, m.Remember(), slot)
		})
	}
	for i := range e.sets {
		add(&e.sets[i].members, func() { all.set(e.sets[i].name) })
	}
	if e.letters != nil {
		e.letters.Each(func(of state.Sketch, recipients *state.Members) {
			add(recipients, func() { all.campaign(of) })
		})
	}
	if all.n > tailEvents {
		records = append(records, e.page(&all))
	}
	e.kept.tail = all
	return records
}

// head encodes the head after b.
func (e *Entry) head(b []byte) []byte {
	windows := 0
	for i := range e.limits {
		windows += min(1, int(e.limits[i].slots.Used()))
	}
	b = appendNumbers(append(b, keptVersion), int64(windows))
	var few [128]byte // more than a window of some ten slots takes
	for i := range e.limits {
		if x := &e.limits[i]; x.slots.Used() > 0 {
			b = appendSized(b, x.name)
			slots := x.slots.Append(few[:0])
			b = append(appendNumbers(b, int64(len(slots))), slots...)
		}
	}
	k := &e.kept
	return append(appendNumbers(b, k.gen, k.pages, k.since, k.leaves), k.tail.bytes...)
}

// Decode reads a subject as its head says, with the pages that it names; the bytes may
// be anything. What cannot be read of the head is an error; members of a page that is
// not there or that cannot be read are as good as forgotten.
func Decode(subject string, head []byte, page func(Page) ([]byte, error)) (*Entry, error) {
	e := &Entry{Subject: subject}
	if err := e.decodeHead(head); err != nil {
		return nil, err
	}
	log := replay{to: e, paged: e.kept.pages > 0}
	for n := range e.kept.pages {
		b, err := page(Page{e.kept.gen, n})
		if err != nil {
			return nil, err
		}
		if len(b) > 0 && b[0] == keptVersion {
			log.read(b[1:], &events{})
		}
	}
	tail := e.kept.tail.bytes
	e.kept.tail.bytes = nil
	good := log.read(tail, &e.kept.tail)
	e.kept.tail.bytes = slices.Clone(tail[:good]) // what is added later can be read
	log.end()
	return e, nil
}

// decodeHead reads a head; the tail keeps the bytes that are its events.
func (e *Entry) decodeHead(b []byte) error {
	if len(b) == 0 || b[0] != keptVersion {
		return fmt.Errorf("%w: %d bytes do not begin with version %d", ErrDamaged, len(b), keptVersion)
	}
	r := reader{rest: b[1:]}
	e.limits = make([]limit, r.count(len(b)))
	for i := range e.limits {
		e.limits[i].name = nameOf(r.text())
		slots := r.text()
		if r.bad {
			break
		}
		var err error
		if e.limits[i].slots, err = state.DecodeSlots(slots); err != nil {
			return fmt.Errorf("%w: limit %.100q: %w", ErrDamaged, e.limits[i].name, err)
		}
	}
	k := &e.kept
	k.gen, k.pages, k.since, k.leaves = r.number(), r.number(), r.number(), r.number()
	if r.bad || k.pages > maxPages {
		return fmt.Errorf("%w: cut off, or a number that is none", ErrDamaged)
	}
	k.tail.bytes = r.rest
	return nil
}

// nameOf is a name as a string. Few differ, and each stands in many entries.
func nameOf(b []byte) string { return unique.Make(string(b)).Value() }

// ErrDamaged is in the errors of what cannot be read, and is no better the next time.
var ErrDamaged = errors.New("damaged")

// maxPages is more than there ever are: a subject with all its campaigns full has 5,000,
// and 150,000 just before all is written anew.
const maxPages = 1 << 20

// Gone says that nothing counts of a subject whose head this is: each of its windows has
// been empty for as long as it is, and all members have left. What cannot be read is
// left to whoever asks for it.
func Gone(head []byte, line int64) bool {
	var e Entry
	if e.decodeHead(head) != nil || e.kept.leaves > line {
		return false
	}
	for i := range e.limits {
		x := &e.limits[i].slots
		if x.Expire(line - int64(x.Length())); x.Used() > 0 {
			return false
		}
	}
	var tail events
	log := replay{to: &e}
	log.read(e.kept.tail.bytes, &tail)
	return tail.leaves <= line
}

// Named says which pages a head names: those of a generation before a number. None for
// one that cannot be read.
func Named(head []byte) (before Page) {
	var e Entry
	if e.decodeHead(head) != nil {
		return Page{}
	}
	return Page{e.kept.gen, e.kept.pages}
}

// Names says that a page is among those that Named has given.
func (before Page) Names(p Page) bool {
	return p.Generation == before.Generation && p.Number < before.Number
}
