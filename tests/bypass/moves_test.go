package bypass

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// wait lets time pass: a drip just slower or faster than a limit, a jump to the very
// edge of a window, or days.
func (gm *game) wait() {
	l := &gm.settings.Limits[gm.IntN(len(gm.settings.Limits))]
	switch gm.IntN(6) {
	case 0:
		gm.at = gm.at.Add(time.Duration(gm.Int64N(int64(time.Second))))
	case 1, 2:
		each := l.Window / time.Duration(min(l.Max, 20))
		gm.at = gm.at.Add(each - each/20 + time.Duration(gm.Int64N(int64(each/10)+1)))
	case 3, 4:
		gm.toEdge(l)
	default:
		gm.at = gm.at.Add(time.Duration(gm.Int64N(int64(l.Window) * 5 / 4)))
	}
}

// toEdge goes to where the oldest charge of some window of the limit leaves it, by the
// word of the documents: when it is so old, or a 60th older, or a moment off either.
func (gm *game) toEdge(l *rules.Limit) {
	var edges []time.Time
	for by, list := range gm.spent {
		if by.limit != l.Name {
			continue
		}
		for _, s := range list {
			if at := s.at.Add(l.Window); at.After(gm.at) {
				edges = append(edges, at)
				break
			}
		}
	}
	if len(edges) == 0 {
		return
	}
	slices.SortFunc(edges, time.Time.Compare) // a map's order is no seed's
	at := edges[gm.IntN(len(edges))].Add(time.Duration(gm.IntN(3)-1) * time.Duration(1+gm.IntN(2)*1000))
	if gm.chance(50) {
		at = at.Add(l.Window / 60)
	}
	if at.After(gm.at) {
		gm.at = at
	}
}

// only asks, which charges nothing: the next mail is judged by the books as they were.
func (gm *game) only() {
	gm.Helper()
	a := gm.mail()
	list := gm.bill(gm.settings.Limits, a)
	v := gm.engine().Try(gm.Context(), a.mail)
	gm.note("only asked: %s by %s", v.Action, v.Rule)
	if v.Action >= rules.Quarantine {
		gm.is(gm.books.refused(gm.at, gm.now(), list, a, &v), a, &v)
	}
}

// release is what the keeper does with mail on hold: it leaves when it has paid.
func (gm *game) release() {
	gm.Helper()
	if len(gm.held) == 0 {
		return
	}
	i := gm.IntN(len(gm.held))
	h := gm.held[i]
	a := gm.waiting[h.ID]
	if a == nil {
		gm.Fatalf("%s is on hold, and nobody was told: %+v", h.ID, h)
	}
	list := gm.bill(gm.settings.Limits, a)
	r, err := gm.engine().Release(gm.Context(), gm.now(), h, func([]state.Charge) time.Time { return time.Time{} })
	if err != nil {
		gm.Fatal(err)
	}
	gm.note("release at %s: %v %s", gm.at.Format("02 15:04:05.000000000"), r.State, r.Why)
	v := rules.Verdict{Action: rules.Reject, Rule: "limit.", Account: strings.TrimPrefix(a.account, "account:")}
	switch r.State {
	case rules.ReleasePaid:
		gm.held = slices.Delete(gm.held, i, i+1)
		gm.is(gm.passed(gm.at, gm.now(), gm.settings.Limits, a, v.Account, nil), a, &v)
	case rules.ReleaseBlocked:
		if gm.blocked(a, gm.now()) == "" {
			gm.is("it stays on hold for a block that is none", a, &v)
		}
	default:
		gm.is(gm.books.refused(gm.at, gm.now(), list, a, &v), a, &v)
	}
}

// blockOrLift is an operator.
func (gm *game) blockOrLift() {
	gm.Helper()
	store := gm.stores[gm.IntN(len(gm.stores))]
	all, err := store.Blocks(gm.Context())
	if err != nil {
		gm.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(b state.Block) bool { return b.State(gm.now()) != state.BlockActive })
	slices.SortFunc(all, func(a, b state.Block) int { return strings.Compare(a.Subject, b.Subject) }) // ids are no seed's
	if len(all) > 0 && gm.chance(70) {
		b := all[gm.IntN(len(all))]
		if _, err := store.LiftBlock(gm.Context(), b.ID, gm.now(), "root", ""); err != nil {
			gm.Fatal(err)
		}
		delete(gm.blocks, b.Subject)
		for _, other := range all { // of the same subject, made by hand
			if other.Subject == b.Subject && other.ID != b.ID {
				gm.blocks[b.Subject] = other.Until
			}
		}
		gm.note("lifted %s", b.Subject)
		gm.heard(b)
		return
	}
	a := gm.mail()
	own := slices.DeleteFunc(a.own(), func(s string) bool { return s == "" || s == "script:<>" })
	b := state.Block{ID: fmt.Sprint("B", gm.blockID), Subject: own[gm.IntN(len(own))], Rule: "manual", Reason: "test", Since: gm.now(), By: "root"}
	if gm.reopen == nil && gm.chance(50) {
		b.Until = gm.now().Add(time.Duration(gm.Int64N(int64(2 * time.Hour))))
	}
	if _, is := gm.blocks[b.Subject]; is {
		return
	}
	gm.blockID++
	if err := store.AddBlock(gm.Context(), b); err != nil {
		gm.Fatal(err)
	}
	gm.blocks[b.Subject] = b.Until
	gm.note("blocked %s until %s", b.Subject, b.Until)
}

// heard waits until every host knows that a block is lifted, which, unlike a block, they
// are told of a moment later.
func (gm *game) heard(lifted state.Block) {
	gm.Helper()
	for _, s := range gm.stores {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			active, err := s.ActiveBlocks(gm.Context(), gm.now(), []string{lifted.Subject})
			if err != nil || time.Now().After(deadline) {
				gm.Fatalf("%s is lifted, and a host does not hear of it: %v", lifted.Subject, err)
			}
			if !slices.ContainsFunc(active, func(b state.Block) bool { return b.ID == lifted.ID }) {
				break
			}
		}
	}
}

// change is a reload with another max for one limit, or one that is put into shadow or
// taken out of it, where it has learnt whom everybody writes to.
func (gm *game) change() {
	limits := slices.Clone(gm.settings.Limits)
	l := &limits[gm.IntN(len(limits))]
	switch {
	case l.Action == rules.Shadow:
		l.Action = rules.Tempfail
	case l.Action == rules.Tempfail && gm.chance(40):
		l.Action = rules.Shadow
	default:
		l.Max = gm.max(l.Unit)
	}
	gm.reload(limits)
	gm.note("%s is %s with max %d now", l.Name, l.Action, l.Max)
}

// again is a restart.
func (gm *game) again() {
	gm.Helper()
	passed := gm.restart(gm.reopen)
	gm.slack += passed
	gm.note("restart, %s", passed)
}
