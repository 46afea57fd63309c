package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"o2n-milter/state"
)

// What the bytes of an event begin with.
const (
	toCampaign = 'c' // 32 bytes: what follows is about recipients of this campaign
	toSet      = 's' // text: about members of this set
	remember   = 'r' // uvarint, ns: for how long they are remembered
	member     = 'm' // 8 bytes, the hash; uvarint: the slot in which it was put there
	forgotten  = 'f' // 8 bytes: this one was forgotten for want of room
)

// events are what happened to members, encoded, in the order in which it did.
type events struct {
	bytes  []byte
	n      int
	about  [2]int        // where in bytes the last target stands
	length time.Duration // the last one said
	leaves int64         // all have left by then
}

func (v *events) campaign(of state.Sketch) {
	var b [1 + 8*len(of)]byte
	b[0] = toCampaign
	for i, word := range of {
		binary.BigEndian.PutUint64(b[1+8*i:], word)
	}
	v.say(b[:])
}

func (v *events) set(name string) { v.say(appendSized([]byte{toSet}, name)) }

// say says what the next ones are about, unless it is what those before are.
func (v *events) say(b []byte) {
	if bytes.Equal(v.bytes[v.about[0]:v.about[1]], b) {
		return
	}
	v.bytes = append(v.bytes, b...)
	v.about = [2]int{len(v.bytes) - len(b), len(v.bytes)}
}

// put adds a member put into a slot; below 0: it was forgotten.
func (v *events) put(hash uint64, length time.Duration, slot int64) {
	if v.length != length {
		v.length = length
		v.bytes = appendNumbers(append(v.bytes, remember), int64(length))
	}
	if slot < 0 {
		v.bytes = binary.BigEndian.AppendUint64(append(v.bytes, forgotten), hash)
	} else {
		v.bytes = binary.BigEndian.AppendUint64(append(v.bytes, member), hash)
		v.bytes = appendNumbers(v.bytes, slot)
	}
	v.count(event{hash, length, slot})
}

// replay reads events into an entry: at once, or, where there are pages of them, at the
// end, in an order in which that is quick.
type replay struct {
	to      *Entry
	paged   bool
	sets    []setEvent
	letters []letterEvent
}

type event struct {
	hash   uint64
	length time.Duration
	slot   int64
}

type setEvent struct {
	name string
	event
}

type letterEvent struct {
	of state.Sketch
	event
}

// read adds what b holds, up to what is none, and counts it in v, as if put there. It
// says how many bytes that were.
func (p *replay) read(b []byte, v *events) (good int) {
	r := reader{rest: b}
	var about target
	for len(r.rest) > 0 {
		kind := r.rest[0]
		r.rest = r.rest[1:]
		switch kind {
		case toCampaign, toSet:
			about = r.target(kind)
		case remember:
			v.length = time.Duration(r.number())
		case member, forgotten:
			x := event{hash: r.word(), length: v.length, slot: -1}
			if kind == member {
				x.slot = r.number()
			}
			r.bad = r.bad || about.kind == 0 || state.CheckMember(x.length, x.slot) != nil
			if !r.bad {
				p.add(about, x)
				v.count(x)
			}
		default:
			r.bad = true
		}
		if r.bad {
			return good
		}
		if end := len(b) - len(r.rest); kind == toCampaign || kind == toSet {
			v.about = [2]int{good, end}
		}
		good = len(b) - len(r.rest)
	}
	return good
}

// target is what events are about.
type target struct {
	kind byte // toSet, toCampaign; 0: nothing yet
	set  string
	of   state.Sketch
}

func (r *reader) target(kind byte) target {
	t := target{kind: kind}
	if kind == toSet {
		t.set = nameOf(r.text())
		return t
	}
	for i := range t.of {
		t.of[i] = r.word()
	}
	return t
}

func (p *replay) add(about target, x event) {
	switch set := about.kind == toSet; {
	case set && p.paged:
		p.sets = append(p.sets, setEvent{about.set, x})
	case set:
		p.known(setEvent{about.set, x})
	case p.paged:
		p.letters = append(p.letters, letterEvent{about.of, x})
	default:
		p.sent(letterEvent{about.of, x})
	}
}

// An error is none: read has looked at what is restored.

func (p *replay) known(x setEvent) {
	_ = p.to.sets[p.to.set(x.name)].members.Restore(x.hash, x.length, x.slot)
}

func (p *replay) sent(x letterEvent) {
	_ = p.to.campaigns().Restore(x.of, x.hash, x.length, x.slot)
}

// count adds an event that is there.
func (v *events) count(x event) {
	v.n++
	if x.slot >= 0 {
		v.leaves = max(v.leaves, state.MemberLeaves(x.length, x.slot))
	}
}

// end puts what was gathered into the entry: those of one target by their hashes, and of
// one hash in the order in which they came.
func (p *replay) end() {
	slices.SortStableFunc(p.sets, func(x, y setEvent) int {
		return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.hash, y.hash))
	})
	for _, x := range p.sets {
		p.known(x)
	}
	slices.SortStableFunc(p.letters, func(x, y letterEvent) int {
		return cmp.Or(slices.Compare(x.of[:], y.of[:]), cmp.Compare(x.hash, y.hash))
	})
	for _, x := range p.letters {
		p.sent(x)
	}
	if p.to.letters != nil {
		p.to.letters.Loaded()
	}
}

// reader reads what may be anything. After what is none it is bad, and gives nothing.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() int64 {
	u, n := binary.Uvarint(r.rest)
	if n <= 0 || int64(u) < 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return int64(u)
}

// count reads how many there are of something, of which at most so many fit.
func (r *reader) count(most int) int {
	n := r.number()
	if n > int64(most) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) word() uint64 {
	if len(r.rest) < 8 {
		r.bad, r.rest = true, nil
		return 0
	}
	u := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return u
}

func (r *reader) text() []byte {
	n := r.count(len(r.rest))
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	t := r.rest[:n]
	r.rest = r.rest[n:]
	return t
}

func appendSized(b []byte, s string) []byte {
	return append(appendNumbers(b, int64(len(s))), s...)
}

func appendNumbers(b []byte, numbers ...int64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}
