package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

// maxDoc bounds a doc's data, in bytes.
const maxDoc = 64 << 10

// Docs are all docs, in memory: every message asks for the blocks among them.
type Docs struct {
	mu        sync.RWMutex
	byName    map[docName]state.Doc
	bySubject map[string]map[string][]string // by kind: ids of the docs whose data names this subject
	blocks    map[string]state.Block         // what the docs of kind state.BlockKind say, by id
}

type docName struct{ kind, id string }

// NewDocs returns an empty set.
func NewDocs() *Docs {
	return &Docs{
		byName: make(map[docName]state.Doc), bySubject: make(map[string]map[string][]string), blocks: make(map[string]state.Block),
	}
}

// DocChange is a doc that a store must still keep as it is then.
type DocChange struct {
	Kind, ID string
	before   state.Doc // Rev 0: there was none
	rev      int64     // as changed; 0: deleted
}

// CheckDoc makes sure that every store can hold doc.
func CheckDoc(doc state.Doc) error {
	switch {
	case !plainName(doc.Kind) || !plainName(doc.ID):
		return fmt.Errorf("%.100q of kind %.100q: want names of 1 to 200 printable ASCII characters without /, %%, { and }", doc.ID, doc.Kind)
	case len(doc.Data) > maxDoc:
		return fmt.Errorf("%s %.100q: %d bytes; want at most %d", doc.Kind, doc.ID, len(doc.Data), maxDoc)
	case doc.Data != nil && !json.Valid(doc.Data):
		return fmt.Errorf("%s %.100q: its data is no JSON", doc.Kind, doc.ID)
	case doc.Kind == state.BlockKind && doc.Data != nil:
		_, err := decodeBlock(doc)
		return err
	}
	return nil
}

// plainName says that a name can stand in every store's keys as it is.
func plainName(s string) bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/%{}", r) }
	return s != "" && len(s) <= 200 && !strings.ContainsFunc(s, odd)
}

// Put is state.Store's PutDoc without the waiting: the doc is in force at once,
// also while it is being kept. Changed is called under the lock.
func (ds *Docs) Put(doc state.Doc, changed func(DocChange)) (state.Doc, error) {
	if err := CheckDoc(doc); err != nil {
		return state.Doc{}, err
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	before := ds.byName[docName{doc.Kind, doc.ID}]
	if doc.Rev != before.Rev {
		return state.Doc{}, fmt.Errorf("%s %.100q: revision %d, not %d: %w", doc.Kind, doc.ID, before.Rev, doc.Rev, state.ErrConflict)
	}
	doc.Rev++
	doc.Data = slices.Clone(doc.Data)
	c := DocChange{Kind: doc.Kind, ID: doc.ID, before: before, rev: doc.Rev}
	if doc.Data == nil {
		c.rev = 0
		ds.remove(doc.Kind, doc.ID)
	} else {
		ds.set(doc)
	}
	changed(c)
	return doc, nil
}

// set stores doc in place of an older revision, if there is one. A block that
// cannot be read is kept as a doc and blocks nobody; CheckDoc lets none in.
func (ds *Docs) set(doc state.Doc) {
	ds.remove(doc.Kind, doc.ID)
	ds.byName[docName{doc.Kind, doc.ID}] = doc
	if s := subjectOf(doc); s != "" {
		of := ds.bySubject[doc.Kind]
		if of == nil {
			of = make(map[string][]string)
			ds.bySubject[doc.Kind] = of
		}
		of[s] = append(of[s], doc.ID)
	}
	if doc.Kind != state.BlockKind {
		return
	}
	if b, err := decodeBlock(doc); err == nil {
		ds.blocks[b.ID] = b
	}
}

// subjectOf reads the data's member "subject", in which '%' escapes stand for bytes
// that JSON cannot hold; empty when there is none.
func subjectOf(doc state.Doc) string {
	var data struct {
		Subject string `json:"subject"`
	}
	if json.Unmarshal(doc.Data, &data) != nil {
		return ""
	}
	subject, err := text.Unescape(data.Subject)
	if err != nil {
		return ""
	}
	return subject
}

func (ds *Docs) remove(kind, id string) {
	doc, ok := ds.byName[docName{kind, id}]
	if !ok {
		return
	}
	delete(ds.byName, docName{kind, id})
	of, s := ds.bySubject[kind], subjectOf(doc)
	ids := slices.DeleteFunc(of[s], func(s string) bool { return s == id })
	if len(ids) > 0 {
		of[s] = ids
	} else {
		delete(of, s)
	}
	if kind == state.BlockKind {
		delete(ds.blocks, id)
	}
}

// Get returns the doc as it is now.
func (ds *Docs) Get(kind, id string) (state.Doc, bool) {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	doc, ok := ds.byName[docName{kind, id}]
	return doc, ok
}

// Of is state.Store's Docs.
func (ds *Docs) Of(kind string) []state.Doc {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	list := make([]state.Doc, 0)
	for n, doc := range ds.byName {
		if n.kind == kind {
			doc.Data = slices.Clone(doc.Data)
			list = append(list, doc)
		}
	}
	slices.SortFunc(list, func(a, b state.Doc) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Changed is state.Store's ChangedDocs.
func (ds *Docs) Changed(kind string, known map[string]int64) []state.Doc {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	list, there := make([]state.Doc, 0), 0
	for n, doc := range ds.byName {
		if n.kind != kind {
			continue
		}
		rev, isKnown := known[n.id]
		if isKnown {
			there++
		}
		if rev != doc.Rev {
			doc.Data = slices.Clone(doc.Data)
			list = append(list, doc)
		}
	}
	if there == len(known) {
		return list
	}
	for id := range known {
		if _, ok := ds.byName[docName{kind, id}]; !ok {
			list = append(list, state.Doc{Kind: kind, ID: id})
		}
	}
	return list
}

// About is state.Store's DocsOf.
func (ds *Docs) About(kind string, subjects []string) []state.Doc {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	list := make([]state.Doc, 0)
	of := ds.bySubject[kind]
	if len(of) == 0 {
		return list
	}
	for i, s := range subjects {
		ids := of[s]
		// Asked in this order: a message may have 20,000 subjects, and nearly none has a doc.
		if len(ids) == 0 || slices.Contains(subjects[:i], s) {
			continue
		}
		for _, id := range ids {
			doc := ds.byName[docName{kind, id}]
			doc.Data = slices.Clone(doc.Data)
			list = append(list, doc)
		}
	}
	slices.SortFunc(list, func(a, b state.Doc) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// All are the docs of every kind, in no order.
func (ds *Docs) All() []state.Doc {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	list := make([]state.Doc, 0, len(ds.byName))
	for _, doc := range ds.byName {
		list = append(list, doc)
	}
	return list
}

// Load takes a doc as the store has kept it.
func (ds *Docs) Load(doc state.Doc) error {
	if err := CheckDoc(doc); err != nil {
		return err
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.set(doc)
	return nil
}

// Drop forgets a doc that the store no longer has.
func (ds *Docs) Drop(kind, id string) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.remove(kind, id)
}

// Undo takes a change back: it could not be kept. A doc that was changed again
// since stays: that change is still to be kept, or undone itself.
func (ds *Docs) Undo(c DocChange) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	switch {
	case ds.byName[docName{c.Kind, c.ID}].Rev != c.rev:
	case c.before.Rev == 0:
		ds.remove(c.Kind, c.ID)
	default:
		ds.set(c.before)
	}
}

// Active is state.Store's ActiveBlocks.
func (ds *Docs) Active(now time.Time, subjects []string) []state.Block {
	return ds.blocksOf(subjects, func(b state.Block) bool { return b.State(now) == state.BlockActive })
}

// BlocksOf is state.Store's.
func (ds *Docs) BlocksOf(subjects []string) []state.Block {
	return ds.blocksOf(subjects, func(state.Block) bool { return true })
}

func (ds *Docs) blocksOf(subjects []string, wanted func(state.Block) bool) []state.Block {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	found := make([]state.Block, 0)
	of := ds.bySubject[state.BlockKind]
	if len(of) == 0 {
		return found
	}
	for i, s := range subjects {
		ids := of[s]
		if len(ids) == 0 || slices.Contains(subjects[:i], s) {
			continue
		}
		for _, id := range ids {
			if b, ok := ds.blocks[id]; ok && wanted(b) {
				found = append(found, b)
			}
		}
	}
	slices.SortFunc(found, older)
	return found
}

// Blocks is state.Store's.
func (ds *Docs) Blocks() []state.Block {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	all := make([]state.Block, 0, len(ds.blocks))
	for _, b := range ds.blocks {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b state.Block) int { return older(b, a) })
	return all
}

// older sorts by Since; the id settles ties.
func older(a, b state.Block) int {
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
}
