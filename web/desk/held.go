package desk

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"o2n-milter/state"
)

// heldKind is the kind of the docs that are state.Held.
const heldKind = "held"

// heldBook is the fleet's held mail as it was last read: there may be ten thousand
// messages of each host, and pages ask often.
type heldBook struct {
	mu   sync.Mutex
	revs map[string]int64      // by id
	mail map[string]state.Held // by id, without what the release costs
	list []state.Held          // oldest first; never written to
}

// heldMail is all held mail as it is now, also what has ended lately, oldest first.
// The list is shared: nobody may change it.
func (d *Desk) heldMail(ctx context.Context) ([]state.Held, error) {
	b := &d.heldBook
	b.mu.Lock()
	defer b.mu.Unlock()
	docs, err := d.Store.ChangedDocs(ctx, heldKind, b.revs)
	if err == nil && len(docs) > 0 {
		err = b.take(docs)
	}
	return b.list, err
}

// heldDocs are messages with all that the store has of them now, by their ids. What
// is not there has ended so long ago that nobody remembers.
func (d *Desk) heldDocs(ctx context.Context, list []state.Held) (map[string]state.Doc, error) {
	if _, err := d.heldMail(ctx); err != nil {
		return nil, err
	}
	d.heldBook.mu.Lock()
	others := maps.Clone(d.heldBook.revs)
	d.heldBook.mu.Unlock()
	for _, h := range list {
		delete(others, h.ID)
	}
	docs, err := d.Store.ChangedDocs(ctx, heldKind, others)
	byID := make(map[string]state.Doc, len(docs))
	for _, doc := range docs {
		byID[doc.ID] = doc
	}
	return byID, err
}

// take brings the book up to what has changed. Whoever calls it holds the lock.
func (b *heldBook) take(docs []state.Doc) error {
	if b.revs == nil {
		b.revs, b.mail = map[string]int64{}, map[string]state.Held{}
	}
	for _, doc := range docs {
		if doc.Rev == 0 {
			delete(b.revs, doc.ID)
			delete(b.mail, doc.ID)
			continue
		}
		h, err := state.DecodeRecord[state.Held](doc)
		if err != nil {
			return err
		}
		h.Ask = nil
		b.revs[doc.ID], b.mail[doc.ID] = doc.Rev, h
	}
	b.list = slices.SortedFunc(maps.Values(b.mail), func(a, b state.Held) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return nil
}

// stillHeld says that a message is on hold, or about to leave.
func stillHeld(h state.Held) bool {
	return h.State == state.HeldWaiting || h.State == state.HeldKept || h.State == state.HeldLeaving
}

// check tidies what somebody asks for.
func (q *HeldQuery) check() (err error) {
	if q.Subject != "" {
		q.Subject, err = parseSubject(q.Subject)
	}
	return err
}

func (q *HeldQuery) wants(h state.Held) bool {
	switch {
	case !q.All && !stillHeld(h),
		q.ID != "" && !isNamed(h, q.ID),
		q.Subject != "" && !isOf(h, q.Subject),
		q.Rule != "" && q.Rule != h.Rule,
		q.Host != "" && !strings.EqualFold(q.Host, h.Host):
		return false
	}
	return q.Until.IsZero() || !h.Since.After(q.Until)
}

// isNamed says that a message has this id, its decision's or the MTA's.
func isNamed(h state.Held, name string) bool {
	return strings.EqualFold(h.ID, name) || h.QueueID == name
}

// isOf says that a message waits behind a subject's mail, or that this account or
// customer sent it.
func isOf(h state.Held, subject string) bool {
	return h.Subject == subject || h.Account != "" && subject == "account:"+h.Account ||
		h.Customer != "" && subject == "customer:"+h.Customer
}

// HeldCount is how many messages are held: all, and those that wait for an operator.
func (d *Desk) HeldCount(ctx context.Context) (all, kept int, err error) {
	list, err := d.heldMail(ctx)
	for _, h := range list {
		if stillHeld(h) {
			all++
		}
		if h.State == state.HeldKept {
			kept++
		}
	}
	return all, kept, err
}

// heldOf is what q wants.
func (d *Desk) heldOf(ctx context.Context, q HeldQuery) ([]state.Held, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	all, err := d.heldMail(ctx)
	if err != nil {
		return nil, err
	}
	var found []state.Held
	for _, h := range all {
		if q.wants(h) {
			found = append(found, h)
		}
	}
	return found, nil
}

// Held lists held mail, with the unknown where it is not asked for something that
// nobody knows of it.
func (d *Desk) Held(ctx context.Context, q HeldQuery) (HeldList, error) {
	found, err := d.heldOf(ctx, q)
	if err != nil {
		return HeldList{}, err
	}
	return HeldList{Held: heldViews(found), More: max(0, len(found)-MostShown), Unknown: d.unknownHeld(q)}, nil
}

// heldViews are the first of list, as many as are shown.
func heldViews(list []state.Held) []HeldView {
	views := make([]HeldView, min(len(list), MostShown))
	for i := range views {
		views[i] = heldView(list[i])
	}
	return views
}

func (d *Desk) unknownHeld(q HeldQuery) []UnknownHeld {
	list := []UnknownHeld{}
	if d.HeldUnknown == nil || q.Subject != "" || q.Rule != "" {
		return list
	}
	for _, u := range d.HeldUnknown() {
		switch {
		case len(list) == MostShown:
			return list
		case q.ID != "" && q.ID != u.QueueID,
			q.Host != "" && !strings.EqualFold(q.Host, u.Host),
			!q.Until.IsZero() && u.Since.After(q.Until):
		default:
			u.Since = u.Since.UTC()
			list = append(list, u)
		}
	}
	return list
}

// HeldGroups are the subjects whose mail is held, by rule, the one that waits
// longest first.
func (d *Desk) HeldGroups(ctx context.Context) ([]HeldGroup, error) {
	found, err := d.heldOf(ctx, HeldQuery{})
	if err != nil {
		return nil, err
	}
	type name struct{ subject, rule string }
	at := map[name]int{}
	var groups []HeldGroup
	for _, h := range found {
		n := name{h.Subject, h.Rule}
		i, ok := at[n]
		if !ok {
			i = len(groups)
			at[n] = i
			groups = append(groups, HeldGroup{Subject: h.Subject, Rule: h.Rule, Oldest: h.Since.UTC()})
		}
		groups[i].add(heldView(h))
	}
	return groups, nil
}

func (g *HeldGroup) add(h HeldView) {
	g.Count++
	if h.State == state.HeldKept {
		g.Kept++
	}
	if h.Due != nil && (g.Next == nil || h.Due.Before(*g.Next)) {
		g.Next = h.Due
	}
}

// HeldMail tells all about one message.
func (d *Desk) HeldMail(ctx context.Context, name string) (HeldDetail, error) {
	all, err := d.heldMail(ctx)
	if err != nil {
		return HeldDetail{}, err
	}
	h, err := heldNamed(all, name)
	return heldDetail(h), err
}

func heldDetail(h state.Held) HeldDetail {
	v := HeldDetail{HeldView: heldView(h), Reason: h.Reason, To: h.Recipients}
	if v.To == nil {
		v.To = []string{}
	}
	return v
}

// heldNamed finds a message by its decision, else by its queue id. An MTA uses a
// queue id again, and so does another host's: what is still held counts first.
func heldNamed(all []state.Held, name string) (state.Held, error) {
	var found []state.Held
	for _, h := range all {
		switch {
		case name == "" || !isNamed(h, name):
		case h.QueueID != name:
			return h, nil
		default:
			found = append(found, h)
		}
	}
	if now := slices.DeleteFunc(slices.Clone(found), func(h state.Held) bool { return !stillHeld(h) }); len(now) > 0 {
		found = now
	}
	switch len(found) {
	case 0:
		return state.Held{}, notFound("no held mail %.100q", name)
	case 1:
		return found[0], nil
	}
	return state.Held{}, conflict("queue id %.100q: %d messages have it, the first is %s on %s; want the decision's id",
		name, len(found), found[0].ID, found[0].Host)
}
