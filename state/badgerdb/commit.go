package badgerdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// corpse is a record that no longer counts, as the sweeper saw it. It is deleted
// only if it is still the same.
type corpse struct {
	key     []byte
	version uint64 // Badger's, of the value seen
	// Of a page of members: what names it, or not, must be the same too.
	head        []byte // nil: it is no page
	headVersion uint64 // 0: there was none
}

// errWhileAway is why nothing is written while the database is away.
var errWhileAway = errors.New("the database is away")

// commit writes records in one transaction, all or none; with how far the database is by
// then where a second is over (secure), or where journal or decisions have grown.
func (w *writer) commit(records []record, dead []corpse) error {
	db := w.base.handle()
	if db == nil || w.away() {
		return errWhileAway
	}
	if err := w.makeRoom(db.Opts().Dir, records, dead); err != nil {
		return err
	}
	txn := db.NewTransaction(true)
	defer txn.Discard()
	st := w.next(records)
	fresh := make(map[string]bool, len(records)*min(1, len(dead)))
	for _, r := range records {
		if len(dead) > 0 {
			fresh[string(r.key)] = true
		}
		if err := r.set(txn); err != nil {
			return err
		}
	}
	for _, c := range dead {
		if fresh[string(c.key)] || fresh[string(c.head)] {
			continue
		}
		if err := c.bury(txn); err != nil {
			return err
		}
	}
	marked := w.markDue.Swap(false)
	signed := marked || st.Journal != w.signed.Journal || st.History != w.signed.History
	grown, err := w.chain, error(nil)
	if signed {
		grown, err = w.sign(txn, st, marked)
	}
	if err == nil {
		err = txn.Commit()
	}
	if err != nil {
		w.markDue.Store(true)
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stand, w.chain = st, grown
	if signed {
		w.signed = st
	}
	return nil
}

// makeRoom reserves what a commit of these will write. Too little room is trouble.
func (w *writer) makeRoom(dir string, records []record, dead []corpse) error {
	err := w.ahead.before(time.Now(), dir, commitSize(records, dead))
	var short shortage
	if errors.As(err, &short) {
		w.trouble(string(short))
	}
	return err
}

// commitSize is at most how many bytes a commit adds to the memtable's log.
func commitSize(records []record, dead []corpse) int64 {
	// Of each entry Badger writes a header of at most 22 bytes and a checksum of 4; of
	// the transaction an end; of ours how far the database is, and a link of the chain.
	const entry, rest = 40, 1024
	n := int64(rest)
	for _, r := range records {
		n += int64(len(r.key) + len(r.value) + entry)
	}
	for _, c := range dead {
		n += int64(len(c.key) + entry)
	}
	return n
}

// next is how far the database is with these records.
func (w *writer) next(records []record) stand {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A number is not used again, though its commit did not succeed: it may have
	// got half-way.
	w.stand.Commit++
	st := w.stand
	st.Journal = w.journal.Seq()
	if at := w.windows.Latest().UTC(); !at.IsZero() {
		st.At = at
	}
	for _, r := range records {
		st.History += int64(r.history)
	}
	st.History = max(0, st.History)
	return st
}

func hasPrefix(key []byte, prefix string) bool {
	return len(key) >= len(prefix) && string(key[:len(prefix)]) == prefix
}

func (r record) set(txn *badger.Txn) error {
	if r.gone {
		return txn.Delete(r.key)
	}
	return txn.Set(r.key, r.value)
}

// bury deletes the record if it is still the one that the sweeper saw.
func (c corpse) bury(txn *badger.Txn) error {
	if c.head != nil {
		if same, err := isVersion(txn, c.head, c.headVersion); !same {
			return err
		}
	}
	if same, err := isVersion(txn, c.key, c.version); !same {
		return err
	}
	return txn.Delete(c.key)
}

// isVersion says that a key has this version; 0: that it is not there.
func isVersion(txn *badger.Txn, key []byte, version uint64) (bool, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return version == 0, nil
	}
	return err == nil && item.Version() == version, err
}

// sign writes how far the database is, and where it is marked a link of the chain, which
// is returned as it then is.
func (w *writer) sign(txn *badger.Txn, st stand, marked bool) (chain, error) {
	if err := setJSON(txn, []byte(standKey), st); err != nil || !marked {
		return w.chain, err
	}
	grown, m, gone := w.chain.with(st.Commit, st.At)
	for _, commit := range gone {
		if err := txn.Delete(markKey(commit)); err != nil {
			return w.chain, err
		}
	}
	return grown, setJSON(txn, markKey(st.Commit), m)
}

func setJSON(txn *badger.Txn, key []byte, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return txn.Set(key, value)
}

// subjectRecords are what is to be kept of the batch's subjects, as they are now.
func subjectRecords(ops []op) []record {
	changes := make([]*ledger.Change, 0, len(ops))
	for _, o := range ops {
		if o.windows != nil {
			changes = append(changes, o.windows)
		}
	}
	list := ledger.Records(changes)
	records := make([]record, len(list))
	for i, r := range list {
		records[i] = subjectRecord(r)
	}
	return records
}

func subjectRecord(r ledger.Record) record {
	key := subjectKey(r.Subject)
	if !r.Head {
		key = pageKey(r.Subject, r.Page)
	}
	return record{key: key, value: r.Value, gone: r.Value == nil}
}

// keepDocs puts the docs of the batch, as they are now, into the journal, and into
// the batch when they are there. So the journal never knows less than Badger.
func (w *writer) keepDocs(b *batch) {
	docs := w.docsOf(b.ops)
	if len(docs) == 0 {
		return
	}
	if err := w.journal.Append(docs...); err != nil {
		b.docFault = err
		w.takeBackDocs(b.ops)
		return
	}
	for _, doc := range docs {
		b.records = append(b.records, docRecord(doc))
	}
}

// docsOf are the docs that ops are about, each once; without Data when it is gone.
func (w *writer) docsOf(ops []op) []state.Doc {
	type name struct{ kind, id string }
	var docs []state.Doc
	seen := make(map[name]bool)
	for _, o := range ops {
		if o.doc == nil || seen[name{o.doc.Kind, o.doc.ID}] {
			continue
		}
		seen[name{o.doc.Kind, o.doc.ID}] = true
		doc, ok := w.docs.Get(o.doc.Kind, o.doc.ID)
		if !ok {
			doc = state.Doc{Kind: o.doc.Kind, ID: o.doc.ID}
		}
		docs = append(docs, doc)
	}
	return docs
}

func docRecord(doc state.Doc) record {
	r := record{key: docKey(doc.Kind, doc.ID), gone: doc.Data == nil}
	if !r.gone {
		value, err := json.Marshal(doc)
		if err != nil { // checked when the call was made: a fault of ours
			panic(fmt.Sprintf("%s %s: %v", doc.Kind, doc.ID, err))
		}
		r.value = value
	}
	return r
}

// undoDocs takes back what the journal has and Badger has not.
func (w *writer) undoDocs(b *batch) {
	if b.docFault != nil {
		return // taken back already
	}
	w.takeBackDocs(b.ops)
	if docs := w.docsOf(b.ops); len(docs) > 0 {
		if err := w.journal.Append(docs...); err != nil {
			w.log.Error("store: a change that could not be kept stands in the journal; it will count after a restart", "err", err)
		}
	}
}

// takeBackDocs goes backwards, as windows do.
func (w *writer) takeBackDocs(ops []op) {
	for i := len(ops) - 1; i >= 0; i-- {
		if o := ops[i]; o.doc != nil {
			w.docs.Undo(*o.doc)
		}
	}
}

// durable is how far the database is on the disk.
func (w *writer) durable() stand {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.onDisk
}

// synced says that the disk has all up to st.
func (w *writer) synced(st stand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onDisk = st
}

// adopt makes the writer go on behind what a database holds, and behind what it
// should: numbers are not used again.
func (w *writer) adopt(st stand, marks []found, least int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st.Commit = max(st.Commit, least, w.stand.Commit)
	w.stand, w.signed = st, st
	w.chain = nil
	for _, m := range marks {
		w.chain = append(w.chain, m.commit)
	}
	w.markDue.Store(true)
}
