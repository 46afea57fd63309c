package badgerdb

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state/internal/ledger"
)

// draft are decisions that are on no page yet, under one number.
type draft struct {
	number  int64
	entries []*entry
	size    int  // bytes in the database, with its key
	written bool // it is there
	taken   bool // it is becoming a page, or going
}

// last is the time of the newest.
func (d *draft) last() int64 {
	last := d.entries[0].at
	for _, e := range d.entries {
		last = max(last, e.at)
	}
	return last
}

// gone deletes a draft.
func (d *draft) gone() record {
	return record{key: draftKey(d.number), gone: true, history: -d.size}
}

func readDraft(item *badger.Item) (d *draft, err error) {
	d = &draft{written: true, size: len(item.Key()) + int(item.ValueSize())}
	if d.number, err = numberOf(item.Key()); err == nil {
		err = item.Value(func(value []byte) (err error) {
			d.entries, err = decodePage(value, allBlocks)
			return err
		})
	}
	for i := 0; i < len(d.entries) && err == nil; i++ {
		e := d.entries[i]
		decision, fault := ledger.DecodeDecision(e.value)
		d.entries[i], err = newEntry(decision, e.value), fault
	}
	if err == nil && len(d.entries) == 0 {
		err = errDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", item.Key(), err)
	}
	return d, nil
}
