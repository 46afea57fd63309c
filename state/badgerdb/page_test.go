package badgerdb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// entryOf is the decision as it waits.
func entryOf(t testing.TB, d state.Decision) *entry {
	t.Helper()
	value, err := ledger.EncodeDecision(d)
	if err != nil {
		t.Fatal(err)
	}
	return newEntry(d, value)
}

// mixed are n decisions, some of one time, of few and of many names.
func mixed(t testing.TB, n int) (list []state.Decision, entries []*entry) {
	t.Helper()
	for i := range n {
		d := state.Decision{ID: fmt.Sprint("D", i), At: second(int64(i / 3)), Rule: fmt.Sprint("limit.", i%7), Subjects: []string{"account:all", fmt.Sprint("account:", i)}}
		for j := range i % 11 {
			d.To = append(d.To, fmt.Sprintf("r%d-%d@x.example", i, j))
		}
		list, entries = append(list, d), append(entries, entryOf(t, d))
	}
	return list, entries
}

func TestPageComesBack(t *testing.T) {
	for _, n := range []int{1, blockDecisions - 1, blockDecisions, blockDecisions + 1, pageDecisions, 8 * blockDecisions} {
		_, entries := mixed(t, n)
		got, err := decodePage(encodePage(entries), allBlocks)
		if err != nil || len(got) != n {
			t.Fatalf("%d entries: %d, %v", n, len(got), err)
		}
		for i, e := range got {
			if e.at != entries[i].at || !bytes.Equal(e.value, entries[i].value) {
				t.Errorf("%d entries: entry %d is another", n, i)
			}
		}
		last := (n - 1) / blockDecisions
		got, err = decodePage(encodePage(entries), 1<<last)
		if err != nil || len(got) != n-last*blockDecisions || !bytes.Equal(got[0].value, entries[last*blockDecisions].value) {
			t.Errorf("block %d of %d entries: %d, %v", last, n, len(got), err)
		}
	}
}

// Whatever is on a page is found through its filter, in its block; of what is not,
// hardly anything is.
func TestFilterKnowsAll(t *testing.T) {
	list, entries := mixed(t, 8*blockDecisions)
	value := encodeFilter(entries, 12345)
	f := decodeFilter("x", 99, value)
	if f.unread || f.first != entries[len(entries)-1].at || f.last != 99 || f.size != 12345 {
		t.Errorf("%+v; want the page's times and size", f)
	}
	for i, d := range list {
		for _, name := range ledger.Histories(d) {
			if !f.has(nameHash("", name)).has(i / blockDecisions) {
				t.Errorf("%s of decision %d is not in block %d", name, i, i/blockDecisions)
			}
		}
		if !f.has(idHash(d.ID)).has(i / blockDecisions) {
			t.Errorf("id %s is not in block %d", d.ID, i/blockDecisions)
		}
		q := state.Query{Subject: d.Subjects[1], Rule: d.Rule}
		if len(d.To) > 0 {
			q.Recipient = d.To[0]
		}
		var hashes []uint32
		for _, name := range ledger.HistoriesFor(q) {
			hashes = append(hashes, nameHash("", name))
		}
		if got := f.hasAll(hashes); got != 1<<(i/blockDecisions) {
			t.Errorf("all of %+v: blocks %b", q, got)
		}
	}
	wrong := 0
	for i := range 100_000 {
		if f.has(nameHash("", fmt.Sprint("account:none", i))) != 0 {
			wrong++
		}
	}
	if wrong > 10 { // 100,000 times 2,000 in 2^29: 0.4
		t.Errorf("%d of 100,000 names that are nowhere seem to be there", wrong)
	}
}

// A filter that cannot be read keeps nothing from being found.
func TestDamagedFilterHidesNothing(t *testing.T) {
	_, entries := mixed(t, 5)
	value := encodeFilter(entries, 1)
	for i := range value {
		bad := slices.Clone(value)
		bad[i] ^= 1
		if f := decodeFilter("x", 1, bad); f.has(1) != allBlocks || f.hasAll([]uint32{1, 2}) != allBlocks {
			t.Errorf("byte %d flipped: %+v", i, f)
		}
	}
}

func TestSorted(t *testing.T) {
	var recorded []*entry
	for i, step := range []struct {
		id string
		at int64
	}{{"a", 1}, {"b", 3}, {"c", 3}, {"a", 2}, {"d", 2}, {"b", 3}, {"e", 9}, {"e", 8}} {
		recorded = append(recorded, &entry{id: step.id, at: step.at, value: []byte{byte(i)}})
	}
	var got []string
	for _, e := range sorted(recorded) {
		got = append(got, fmt.Sprintf("%s%d %d", e.id, e.at, e.value[0]))
	}
	// Of an id the newest, of one time the one recorded last.
	want := []string{"e9 6", "b3 5", "c3 2", "d2 4", "a2 3"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBulk(t *testing.T) {
	for _, test := range []struct {
		bulk       bulk
		full, fits bool
	}{
		{bulk{}, false, true},
		{bulk{pageDecisions - 1, pageBytes - 1, pageNames - 1}, false, true},
		{bulk{decisions: pageDecisions}, true, true}, {bulk{bytes: pageBytes}, true, true}, {bulk{names: pageNames}, true, true},
		{bulk{decisions: 8 * blockDecisions}, true, true}, {bulk{decisions: 8*blockDecisions + 1}, true, false},
		{bulk{bytes: pageBytes + ledger.MaxDecision}, true, true}, {bulk{bytes: pageBytes + ledger.MaxDecision + 1}, true, false},
	} {
		if test.bulk.full() != test.full || test.bulk.fits() != test.fits {
			t.Errorf("%+v: full %v, fits %v", test.bulk, test.bulk.full(), test.bulk.fits())
		}
	}
}

// The largest page there is goes into one transaction, and none of it to the value log.
func TestLargestPageFits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var entries []*entry
	for i := range 3 {
		noise := make([]byte, ledger.MaxDecision)
		for j := range noise {
			noise[j] = byte(rnd.Uint32())
		}
		e := &entry{at: int64(-i), value: noise, id: fmt.Sprint(i)}
		for range 2 * ledger.MaxDecisionSubjects {
			e.hashes = append(e.hashes, rnd.Uint32())
		}
		entries = append(entries, e)
	}
	if !bulkOf(entries).fits() {
		t.Fatal("these do not fit")
	}
	s := openAt(t, t.TempDir())
	records := pageRecords(entries)
	if n := len(records[0].value); n >= 1<<20 {
		t.Errorf("a page of %d bytes; want it under the 1 MB of Badger's value log", n)
	}
	if err := s.writer.write(records, nil); err != nil {
		t.Error(err)
	}
}

// Whatever a page or a filter holds, reading it ends; and what is whole comes back.
func FuzzPage(f *testing.F) {
	_, entries := mixed(f, 40)
	f.Add(encodePage(entries), uint8(0xff))
	f.Add(encodePage(entries[:1]), uint8(1))
	f.Add(encodeFilter(entries, 1), uint8(2))
	f.Add([]byte("junk"), uint8(0))
	f.Fuzz(func(t *testing.T, value []byte, want uint8) {
		for _, b := range [][]byte{value, sealed(append(make([]byte, pageHead), value...))} {
			got, err := decodePage(b, blocks(want))
			if err != nil && got != nil {
				t.Error("entries of what is damaged")
			}
			decodeFilter("x", 1, b).has(uint32(want))
		}
	})
}

// Any byte of a page that is flipped, or missing, is found.
func TestDamagedDecisionPage(t *testing.T) {
	_, entries := mixed(t, 3)
	value := encodePage(entries)
	for i := range value {
		bad := slices.Clone(value)
		bad[i] ^= 0x10
		if _, err := decodePage(bad, allBlocks); err == nil {
			t.Errorf("byte %d of %d flipped: taken for whole", i, len(value))
		}
		if _, err := decodePage(value[:i], allBlocks); err == nil {
			t.Errorf("cut at %d of %d: taken for whole", i, len(value))
		}
	}
	if _, err := decodePage(sealed(append(make([]byte, pageHead), strings.Repeat("\xff", 20)...)), allBlocks); err == nil {
		t.Error("a length of nonsense: taken for whole")
	}
}
