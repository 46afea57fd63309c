package simulation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"o2n-milter/hold"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// step gives the keeper its turn, as often as it wants one at this time.
func (w *world) step() error {
	var wrong error
	w.mta.release = func(q *queued) { wrong = errors.Join(wrong, w.leaves(q)) }
	w.mta.deleted = func(q *queued) { wrong = errors.Join(wrong, w.deleted(q)) }
	for range 8 {
		alarmed, next := w.log.n, time.Time{}
		met, panicked := w.try("keeper", func() { next = w.keeper.Step(w.ctx, w.clock()) })
		wrong, w.wrong = errors.Join(wrong, w.wrong), nil
		if met && panicked == nil && w.log.n == alarmed && w.keeper.Away() == "" {
			wrong = errors.Join(wrong, fmt.Errorf("keeper: the store failed in %v, and nobody is told", w.failed))
		}
		if wrong != nil || panicked == nil && next.After(w.clock()) {
			break
		}
	}
	return wrong
}

// paidFor notes what a release of the keeper's has cost.
func (w *world) paidFor(ask state.Ask) error {
	m := w.model
	w.paid++
	w.counted(ask.Letters)
	for _, b := range m.blocks.of {
		if inForce(b, w.clock()) && slices.Contains(named(ask), b.Subject) {
			return fmt.Errorf("held mail of %s pays, which is blocked", b.Subject)
		}
	}
	for _, c := range ask.Charges {
		k := key{what: c.Limit, subject: c.Subject}
		cost := c.Cost
		if c.Set != "" {
			cost = int64(len(c.Members))
		}
		least, _ := held(m.windows[k], w.now, c.Length)
		if !c.CountOnly && c.Set == "" && least+cost > c.Max {
			return fmt.Errorf("held mail pays %d, and %s of %s has %d of %d", cost, c.Limit, c.Subject, least, c.Max)
		}
		put(m.windows, k, charge{w.now, cost, c.Set == ""}, c.Length)
		if c.Set != "" {
			m.known[c.Subject] = wrote(m.known[c.Subject], c.Members, w.now, false)
		}
	}
	return nil
}

// named are the subjects that a question to the store speaks of.
func named(ask state.Ask) []string {
	list := slices.Clone(ask.Subjects)
	for _, c := range ask.Charges {
		list = append(list, c.Subject)
	}
	return list
}

// counted notes that a letter which has paid counts among those of its text.
func (w *world) counted(letters []state.Letter) {
	for _, l := range letters {
		texts := map[int]bool{}
		for _, q := range w.mta.queue {
			if q.letter.who.campaignOf() == l.Subject && slices.Equal(q.letter.to, l.Members) {
				texts[q.letter.text] = true
			}
		}
		for text := range texts {
			k := key{subject: l.Subject, n: text}
			w.model.letters[k] = wrote(w.model.letters[k], l.Members, w.now, len(texts) == 1)
		}
	}
}

// recordOf is the record of a message on hold; nil when the store has none.
func (w *world) recordOf(q *queued) (*state.Held, error) {
	all, err := w.records()
	return all[q.ID], err
}

// records are those of held mail, by queue id.
func (w *world) records() (map[string]*state.Held, error) {
	docs, err := w.base.Docs(w.ctx, "held")
	all := map[string]*state.Held{}
	for _, doc := range docs {
		// An id is never given to another record, so that what one revision says is read once.
		h := w.read[doc.ID]
		if h == nil || h.Rev != doc.Rev {
			record, err := state.DecodeRecord[state.Held](doc)
			if err != nil {
				return nil, err
			}
			h = &record
			w.read[doc.ID] = h
		}
		all[h.QueueID] = h
	}
	return all, err
}

// leaves is told of held mail that leaves the MTA.
func (w *world) leaves(q *queued) error {
	h, err := w.recordOf(q)
	switch {
	case err != nil:
		return err
	case h == nil:
		return fmt.Errorf("%s leaves without a record", q.ID)
	case h.State != state.HeldLeaving:
		return fmt.Errorf("%s leaves, and is %s", q.ID, h.State)
	case h.Wish == state.WishRelease:
		w.count["released by somebody"]++
		return nil
	}
	w.count["left"]++
	if w.left++; w.left > w.paid {
		return fmt.Errorf("%s leaves and has not paid", q.ID)
	}
	if w.now.Before(w.model.loose) {
		return nil
	}
	for _, c := range w.model.costs(q.letter, w.widest(), w.clock(), w.now) {
		if c.limit.Unit == rules.NewRecipients || w.wasExempt("limit."+c.what) {
			continue
		}
		put(w.model.departed, c.key, charge{w.now, c.low, true}, c.limit.Window)
		if least, _ := held(w.model.departed[c.key], w.now, c.limit.Window); least > c.most {
			return fmt.Errorf("%s leaves as the %d. of %s of %s; at most %d", q.ID, least, c.what, c.subject, c.most)
		}
	}
	return nil
}

// wasExempt says whether anybody was ever exempt from a rule.
func (w *world) wasExempt(rule string) bool {
	for _, x := range w.model.exemptions.of {
		if x.Rule == rule {
			return true
		}
	}
	return false
}

// widest are the limits with the highest max that they have in any configuration.
func (w *world) widest() []rules.Limit {
	list := limitsOf(0)
	for v := range variants {
		for i, l := range limitsOf(v) {
			list[i].Max = max(list[i].Max, l.Max)
		}
	}
	return list
}

// deleted is told of held mail that is deleted.
func (w *world) deleted(q *queued) error {
	h, err := w.recordOf(q)
	switch {
	case err != nil:
		return err
	case h == nil:
		return fmt.Errorf("%s is deleted without a record", q.ID)
	case h.Wish != state.WishDelete && h.Wish != state.WishBounce && h.State != state.HeldBounced:
		return fmt.Errorf("%s is deleted, and nobody wants it (%s)", q.ID, h.State)
	}
	w.count["deleted by somebody"]++
	return nil
}

// healing is how many minutes held mail has to leave when all is well: the longest
// window, to its late end, twice, as one may be filled by what leaves.
const healing = 2 * (24 + 1) * 60

// heal makes everything well, and wants all held mail to leave that can.
func (w *world) heal() error {
	w.plan, w.mta.down, w.mta.deaf = nil, nil, false
	w.configure(0)
	for id, b := range w.model.blocks.of {
		if !inForce(b, w.clock()) {
			continue
		}
		if _, err := w.base.LiftBlock(w.ctx, id, w.clock(), "root", "the end"); err != nil {
			return err
		}
	}
	if err := w.compare(true, lift); err != nil {
		return err
	}
	for range healing {
		w.now = w.now.Add(time.Minute)
		if err := w.step(); err != nil {
			return err
		}
		if len(w.stuck()) == 0 {
			return nil
		}
	}
	for _, q := range w.stuck() {
		h, err := w.recordOf(q)
		return errors.Join(fmt.Errorf("%s of %s is on hold for ever: %+v", q.ID, q.From, h), err)
	}
	return nil
}

// stuck is what is on hold and should leave by itself.
func (w *world) stuck() (list []*queued) {
	all, err := w.records()
	for _, id := range slices.Sorted(maps.Keys(w.mta.queue)) {
		q, h := w.mta.queue[id], all[id]
		kept := err == nil && h != nil && (h.State == state.HeldKept || !rules.LeavesByItself(h.Rule))
		if q.Queue == hold.QueueHold && !w.orphans[id] && !kept {
			list = append(list, q)
		}
	}
	return list
}

// summary says what an episode has met.
func (w *world) summary() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(w.verdict)) {
		fmt.Fprintf(&b, "%s %d, ", k, w.verdict[k])
	}
	fmt.Fprintf(&b, "blocks %d, exemptions %d, requests %d, faults %d, held %v", len(w.model.blocks.ids), len(w.model.exemptions.ids), len(w.model.requests.ids), w.met, w.count)
	return b.String()
}
