package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"time"

	"o2n-milter/state"
)

// mostFirst is how many incidents an hour get a mail of their own; the rest waits
// for the digest. What concerns the whole (Ceiling, Store) always gets one.
const mostFirst = 20

// An incident is one kind of event of one subject, from its first mail on. It is a
// doc whose id is made of both, so that of several hosts one opens it.
type incident struct {
	What    string    `json:"what"`
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
}

func incidentID(e Event) string {
	sum := sha256.Sum256([]byte(e.subject()))
	return e.What + "." + hex.EncodeToString(sum[:16])
}

// incidents are those that people were told of.
type incidents struct {
	store state.Store

	mu sync.Mutex
	// own were opened here: all there is when the store is away.
	own map[string]time.Time
}

// open says whether e is the first of its incident and may have a mail of its own;
// if so, the incident is open from now on.
func (in *incidents) open(ctx context.Context, now time.Time, digest time.Duration, e Event) (bool, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	id := incidentID(e)
	told := maps.Clone(in.own)
	var docs []state.Doc
	var err error
	if e.What != Store { // which may be what does not answer
		docs, err = in.store.Docs(ctx, incidentKind)
	}
	var rev int64
	for _, doc := range docs {
		if at := openedAt(doc); at.After(told[doc.ID]) {
			told[doc.ID] = at
		}
		if doc.ID == id {
			rev = doc.Rev
		}
	}
	if at, ok := told[id]; ok && now.Before(at.Add(digest)) {
		return false, err
	}
	if e.subject() != "" && countAfter(told, now.Add(-time.Hour)) >= mostFirst {
		return false, err
	}
	if e.What != Store && err == nil {
		err = in.put(ctx, id, rev, incident{e.What, clean(e.subject(), 400), now.UTC()})
		if errors.Is(err, state.ErrConflict) { // another host is telling it
			return false, nil
		}
	}
	in.own[id] = now
	return true, err
}

func (in *incidents) put(ctx context.Context, id string, rev int64, v incident) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = in.store.PutDoc(ctx, state.Doc{Kind: incidentKind, ID: id, Rev: rev, Data: data})
	return err
}

// openedAt is zero for a doc that cannot be read: forget will remove it.
func openedAt(doc state.Doc) time.Time {
	var v incident
	if json.Unmarshal(doc.Data, &v) != nil {
		return time.Time{}
	}
	return v.At
}

func countAfter(told map[string]time.Time, since time.Time) int {
	n := 0
	for _, at := range told {
		if at.After(since) {
			n++
		}
	}
	return n
}

// forget removes incidents that are over, whoever opened them; the last hour's are
// counted still.
func (in *incidents) forget(ctx context.Context, now time.Time, digest time.Duration) error {
	over := now.Add(-max(digest, time.Hour))
	in.mu.Lock()
	maps.DeleteFunc(in.own, func(_ string, at time.Time) bool { return !at.After(over) })
	in.mu.Unlock()
	docs, err := in.store.Docs(ctx, incidentKind)
	for _, doc := range docs {
		if !openedAt(doc).After(over) {
			_, e := in.store.PutDoc(ctx, state.Doc{Kind: incidentKind, ID: doc.ID, Rev: doc.Rev})
			if e != nil && !errors.Is(e, state.ErrConflict) {
				err = e
			}
		}
	}
	return err
}
