package notify

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/state"
)

// Channels: the ways a notice takes.
const (
	toOperator = "operator" // mail about the first event of an incident
	toDigest   = "digest"   // an event that waits for the operator's next digest
	toCustomer = "customer"
	toWebhook  = "webhook"
	toExec     = "exec"
)

func channels() []string { return []string{toOperator, toDigest, toCustomer, toWebhook, toExec} }

// Kinds of docs.
const (
	noticeKind   = "notice"
	incidentKind = "incident"
	hostKind     = "notifier"
)

// mostNotices bounds the outbox of all hosts together; some 1 to 20 KB each.
const mostNotices = 1000

// notice is one event on its way through one channel. It is kept until it is done.
type notice struct {
	Channel string    `json:"channel"`
	Host    string    `json:"host"` // that sends it
	Made    time.Time `json:"made"`
	First   time.Time `json:"first"` // when it was due for the first time
	Due     time.Time `json:"due"`   // the next try
	Tries   int       `json:"tries"`
	Event   Event     `json:"event"`

	// The doc's. IDs sort by the time at which notices were made. Rev is 0 for one
	// that is in this process's memory only.
	id  string
	rev int64
}

func newNotice(now time.Time, channel, host string, due time.Time, e Event) notice {
	now, due = now.UTC(), due.UTC()
	return notice{
		Channel: channel, Host: host, Made: now, First: due, Due: due, Event: e,
		id: fmt.Sprintf("%020d-%s", now.UnixNano(), rand.Text()[:12]),
	}
}

// outbox is where notices wait: docs of the store, and in memory what the store
// cannot take, which is what there is to say about the store itself.
type outbox struct {
	store state.Store
	log   *slog.Logger

	mu     sync.Mutex
	memory map[string]notice
	read   map[string]notice // of the docs, as they were when last looked at
}

// all are the notices of all hosts, oldest first. With an error they are those in
// memory only.
func (b *outbox) all(ctx context.Context) ([]notice, error) {
	docs, err := b.store.Docs(ctx, noticeKind)
	b.mu.Lock()
	defer b.mu.Unlock()
	read := make(map[string]notice, len(docs))
	for _, doc := range docs {
		delete(b.memory, doc.ID) // it was stored after all, when the store did not say so
		n := b.read[doc.ID]
		if n.rev != doc.Rev {
			n = notice{id: doc.ID, rev: doc.Rev}
			if err := json.Unmarshal(doc.Data, &n); err != nil {
				// Nobody will ever be able to send it.
				b.log.Error("notice that cannot be read is dropped", "id", doc.ID, "error", err)
				b.remove(ctx, n)
				continue
			}
		}
		read[doc.ID] = n
	}
	b.read = read
	list := slices.AppendSeq(slices.Collect(maps.Values(b.memory)), maps.Values(read))
	slices.SortFunc(list, func(x, y notice) int { return strings.Compare(x.id, y.id) })
	return list, err
}

// add keeps a new notice: in the store, else in memory.
func (b *outbox) add(ctx context.Context, n notice) {
	if n.Event.What != Store {
		_, err := b.put(ctx, n)
		if err == nil {
			return
		}
		b.log.Error("notice is kept in memory only", "id", n.id, "event", n.Event.What, "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.memory[n.id] = n
}

// put stores n as its next revision.
func (b *outbox) put(ctx context.Context, n notice) (notice, error) {
	data, err := json.Marshal(n)
	if err != nil {
		return n, fmt.Errorf("notice %s: %w", n.id, err)
	}
	doc, err := b.store.PutDoc(ctx, state.Doc{Kind: noticeKind, ID: n.id, Rev: n.rev, Data: data})
	n.rev = doc.Rev
	return n, err
}

// change puts n as it is now in place of what it was. ErrConflict says that another
// host has taken it.
func (b *outbox) change(ctx context.Context, n notice) (notice, error) {
	if n.rev > 0 {
		return b.put(ctx, n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.memory[n.id]; !ok {
		return n, state.ErrConflict
	}
	b.memory[n.id] = n
	return n, nil
}

// remove ends a notice. One that stays because the store is away is sent again.
func (b *outbox) remove(ctx context.Context, n notice) {
	if n.rev == 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.memory, n.id)
		return
	}
	_, err := b.store.PutDoc(ctx, state.Doc{Kind: noticeKind, ID: n.id, Rev: n.rev})
	if err != nil && !errors.Is(err, state.ErrConflict) {
		b.log.Error("notice stays in the outbox", "id", n.id, "error", err)
	}
}

// makeRoom removes what is over the bound when more are about to come: the oldest
// that wait for a digest, then the oldest of all.
func (b *outbox) makeRoom(ctx context.Context, more int) (dropped []notice) {
	excess := b.count(ctx) + more - mostNotices
	if excess <= 0 {
		return nil
	}
	list, err := b.all(ctx)
	if err != nil {
		b.log.Error("outbox", "error", err)
	}
	slices.SortStableFunc(list, func(x, y notice) int { return digestsFirst(x) - digestsFirst(y) })
	dropped = list[:min(excess, len(list))]
	for _, n := range dropped {
		b.remove(ctx, n)
	}
	return dropped
}

// count is len(all) without reading them.
func (b *outbox) count(ctx context.Context) int {
	docs, err := b.store.Docs(ctx, noticeKind)
	if err != nil {
		b.log.Error("outbox", "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(docs) + len(b.memory)
}

func digestsFirst(n notice) int {
	if n.Channel == toDigest {
		return 0
	}
	return 1
}
