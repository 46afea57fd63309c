package desk

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/state"
)

// heldKind is the kind of the docs that are state.Held.
const heldKind = "held"

// heldBook is the fleet's held mail as it was last read. There may be ten thousand
// messages of each host, and pages ask often: a record is decoded once for each of
// its changes.
type heldBook struct {
	mu    sync.Mutex
	read  time.Time    // zero: never, or it is known to have changed
	list  []state.Held // oldest first, without what their release costs; never written to
	known map[string]heldLine
}

// heldLine is a record and what it was decoded from. The revision alone would not do:
// a message that is held again, after its record was deleted, begins anew.
type heldLine struct {
	rev  int64
	sum  uint64
	held state.Held
}

var heldSeed = maphash.MakeSeed()

// heldMail is all of it, also what has ended lately, oldest first, as it was at most
// so long ago; 0: as it is now. The list is shared: nobody may change it.
func (d *Desk) heldMail(ctx context.Context, age time.Duration) ([]state.Held, error) {
	b := &d.heldBook
	b.mu.Lock()
	defer b.mu.Unlock()
	now := d.Now()
	if since := now.Sub(b.read); !b.read.IsZero() && since >= 0 && since < age {
		return b.list, nil
	}
	docs, err := d.Store.Docs(ctx, heldKind)
	if err != nil {
		return nil, err
	}
	if err = b.take(docs); err != nil {
		return nil, err
	}
	b.read = now
	return b.list, nil
}

// take brings the book up to docs. Whoever calls it holds the lock.
func (b *heldBook) take(docs []state.Doc) error {
	known, list := make(map[string]heldLine, len(docs)), make([]state.Held, 0, len(docs))
	for _, doc := range docs {
		line := heldLine{rev: doc.Rev, sum: maphash.Bytes(heldSeed, doc.Data)}
		if old := b.known[doc.ID]; old.rev == line.rev && old.sum == line.sum {
			line.held = old.held
		} else {
			h, err := state.DecodeRecord[state.Held](doc)
			if err != nil {
				return err
			}
			h.Ask = nil
			line.held = h
		}
		known[doc.ID] = line
		list = append(list, line.held)
	}
	slices.SortFunc(list, func(a, b state.Held) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	b.known, b.list = known, list
	return nil
}

// heldChanged has the book read anew, and wakes who does what is wanted.
func (d *Desk) heldChanged() {
	d.heldBook.mu.Lock()
	d.heldBook.read = time.Time{}
	d.heldBook.mu.Unlock()
	if d.HeldChanged != nil {
		d.HeldChanged()
	}
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
	list, err := d.heldMail(ctx, 0)
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
	all, err := d.heldMail(ctx, 0)
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
	list := HeldList{Held: []HeldView{}, More: max(0, len(found)-MostShown), Unknown: d.unknownHeld(q)}
	for _, h := range found[:len(found)-list.More] {
		list.Held = append(list.Held, heldView(h))
	}
	return list, nil
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
	all, err := d.heldMail(ctx, 0)
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
