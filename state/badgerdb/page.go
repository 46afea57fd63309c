package badgerdb

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// Decisions are stored many to a record: one record for each, and a key for each name
// that it can be found by, cost ten times as much. A page holds them compressed; its
// filter, which is small and stands under a key of its own, says what may be in it.

const (
	// pageDecisions make a page, or pageBytes of JSON do. S2 makes 2.1 KB of JSON 344
	// bytes where 8 are together, 278 where 32 are, 256 where 128 are.
	pageDecisions = 128
	// blockDecisions are compressed together: who looks for one need not decompress the
	// others. A page has 8 blocks at most.
	blockDecisions = 32
	pageBytes      = 512 << 10
	// pageNames bounds a filter: 4 bytes each.
	pageNames = 16 << 10
	// mostPage bounds what is read: the last one that fits on a page may be as large as
	// decisions can be.
	mostPage = pageBytes + ledger.MaxDecision + 64<<10
	// pageLayout is the first byte of pages and filters.
	pageLayout = 1
	pageHead   = 1 + 4 // with the CRC-32C of the rest
)

// entry is a decision on a page, or on its way to one.
type entry struct {
	at     int64 // ns since 1970
	value  []byte
	id     string   // known only while the decision is in memory
	hashes []uint32 // of all that it can be found by; the same
}

func newEntry(d state.Decision, value []byte) *entry {
	hashes := make([]uint32, 0, 2+len(d.Subjects)+len(d.To))
	hashes = append(hashes, idHash(d.ID))
	ledger.EachHistory(d, func(kind, name string) { hashes = append(hashes, nameHash(kind, name)) })
	return &entry{at: d.At.UnixNano(), value: value, id: d.ID, hashes: hashes}
}

// nameHash is FNV-1a of 64 bits of a name in two parts, folded: the same in each process.
func nameHash(kind, name string) uint32 { return fold(fnv(fnv(14695981039346656037, kind), name)) }

// idHash is no name's.
func idHash(id string) uint32 { return nameHash("id:", id) }

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func fold(h uint64) uint32 { return uint32(h ^ h>>32) }

// bulk is what entries take of what a page has room for.
type bulk struct{ decisions, bytes, names int }

func (b bulk) with(e *entry) bulk {
	return bulk{b.decisions + 1, b.bytes + len(e.value), b.names + len(e.hashes)}
}

func (b bulk) plus(o bulk) bulk {
	return bulk{b.decisions + o.decisions, b.bytes + o.bytes, b.names + o.names}
}

func bulkOf(entries []*entry) (b bulk) {
	for _, e := range entries {
		b = b.with(e)
	}
	return b
}

// full says that they make a page.
func (b bulk) full() bool {
	return b.decisions >= pageDecisions || b.bytes >= pageBytes || b.names >= pageNames
}

// fits says that a page can hold them.
func (b bulk) fits() bool {
	return b.decisions <= 8*blockDecisions && b.bytes <= pageBytes+ledger.MaxDecision && b.names <= 2*pageNames
}

// sorted puts entries in the order of a page, the newest first, and leaves out those
// whose id came up again; of one time the one recorded last counts.
func sorted(recorded []*entry) []*entry {
	entries := slices.Clone(recorded)
	slices.Reverse(entries)
	slices.SortStableFunc(entries, func(a, b *entry) int { return cmp.Compare(b.at, a.at) })
	seen := make(map[string]bool, len(entries))
	return slices.DeleteFunc(entries, func(e *entry) bool {
		again := seen[e.id]
		seen[e.id] = true
		return again
	})
}

// press is memory in which pages are made.
type press struct{ raw, packed, value []byte }

var presses = sync.Pool{New: func() any { return new(press) }}

// encodePage gives the value of a page, or of a draft.
func encodePage(entries []*entry) []byte {
	p := presses.Get().(*press)
	defer presses.Put(p)
	p.value = append(p.value[:0], make([]byte, pageHead)...)
	for block := range slices.Chunk(entries, blockDecisions) {
		p.raw = slices.Grow(p.raw[:0], bulkOf(block).bytes+len(block)*2*binary.MaxVarintLen64)
		for _, e := range block {
			p.raw = binary.AppendVarint(p.raw, e.at)
			p.raw = binary.AppendUvarint(p.raw, uint64(len(e.value)))
			p.raw = append(p.raw, e.value...)
		}
		p.packed = s2.Encode(p.packed, p.raw) // over the one before
		p.value = append(binary.AppendUvarint(p.value, uint64(len(p.packed))), p.packed...)
	}
	return sealed(slices.Clone(p.value))
}

// sealed fills in the head.
func sealed(value []byte) []byte {
	value[0] = pageLayout
	binary.LittleEndian.PutUint32(value[1:], crc32.Checksum(value[pageHead:], castagnoli))
	return value
}

var errDamaged = errors.New("it is damaged")

// unsealed gives what stands behind the head.
func unsealed(value []byte) ([]byte, error) {
	if len(value) < pageHead || value[0] != pageLayout ||
		binary.LittleEndian.Uint32(value[1:]) != crc32.Checksum(value[pageHead:], castagnoli) {
		return nil, errDamaged
	}
	return value[pageHead:], nil
}

// decodePage undoes encodePage for the blocks that are wanted.
func decodePage(value []byte, want blocks) (entries []*entry, err error) {
	rest, err := unsealed(value)
	for n := 0; len(rest) > 0 && err == nil; n++ {
		var packed []byte
		if packed, rest, err = cutLength(rest); err == nil && want.has(n) {
			entries, err = decodeBlock(entries, packed)
		}
	}
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// cutLength cuts b behind what its first bytes say is so long.
func cutLength(b []byte) (first, rest []byte, err error) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, nil, errDamaged
	}
	end := n + int(length)
	return b[n:end:end], b[end:], nil
}

// decodeBlock appends the entries of a block, which share memory with each other.
func decodeBlock(entries []*entry, packed []byte) ([]*entry, error) {
	if n, err := s2.DecodedLen(packed); err != nil || n > mostPage {
		return nil, errDamaged
	}
	raw, err := s2.Decode(nil, packed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	for len(raw) > 0 {
		at, n := binary.Varint(raw)
		if n <= 0 {
			return nil, errDamaged
		}
		e := &entry{at: at}
		if e.value, raw, err = cutLength(raw[n:]); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// filter says what may be on a page, and where: it has, of each name and id in each block,
// 29 bits of the hash and 3 bits that are the block's number.
type filter struct {
	place       string // of the page: its key behind decisionsPrefix
	first, last int64  // times, ns since 1970
	size        int64  // bytes of the page with its key
	hashes      []byte // of all names and ids, in order, 4 bytes each
	unread      bool   // it is damaged: anything may be on the page
}

// encodeFilter gives the value of the filter of a page of these.
func encodeFilter(entries []*entry, size int) []byte {
	hashes := make([]uint32, 0, bulkOf(entries).names)
	for i, e := range entries {
		for _, h := range e.hashes {
			hashes = append(hashes, h&^7|uint32(i/blockDecisions))
		}
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	value := make([]byte, pageHead, pageHead+2*binary.MaxVarintLen64+4*len(hashes))
	value = binary.AppendVarint(value, entries[len(entries)-1].at)
	value = binary.AppendUvarint(value, uint64(size))
	for _, h := range hashes {
		value = binary.BigEndian.AppendUint32(value, h)
	}
	return sealed(value)
}

// decodeFilter reads the filter of the page at this place; hashes share value's memory.
func decodeFilter(place string, last int64, value []byte) filter {
	f := filter{place: place, last: last}
	rest, err := unsealed(value)
	first, n := binary.Varint(rest)
	size, m := binary.Uvarint(rest[max(0, n):])
	if err != nil || n <= 0 || m <= 0 {
		f.unread = true
		return f
	}
	f.first, f.size, f.hashes = first, int64(size), rest[n+m:]
	return f
}

// blocks are some of a page, a bit for each.
type blocks uint8

const allBlocks blocks = 0xff

func (b blocks) has(n int) bool { return n > 7 || b>>n&1 == 1 }

// has says in which blocks something with this hash may be.
func (f filter) has(hash uint32) (found blocks) {
	if f.unread {
		return allBlocks
	}
	n := len(f.hashes) / 4
	at := func(i int) uint32 { return binary.BigEndian.Uint32(f.hashes[4*i:]) }
	low, high := 0, n
	for low < high {
		if middle := (low + high) / 2; at(middle) < hash&^7 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	for ; low < n && at(low)&^7 == hash&^7; low++ {
		found |= 1 << (at(low) & 7)
	}
	return found
}

// hasAll says in which blocks something with all of these may be.
func (f filter) hasAll(hashes []uint32) blocks {
	found := allBlocks
	for _, h := range hashes {
		found &= f.has(h)
	}
	return found
}
