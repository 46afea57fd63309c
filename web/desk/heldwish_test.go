package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/state"
)

// wish asks for something, and has no fault.
func (f *fixture) wish(t *testing.T, in WishHeld) []WishedHeld {
	t.Helper()
	list, err := f.WishHeld(t.Context(), root, in)
	if err != nil {
		t.Fatal(err)
	}
	return list.Held
}

// auditOf are the changes so far, newest first: what, target, subject and reason.
func (f *fixture) auditOf(t *testing.T) []string {
	t.Helper()
	list, err := f.Audit(t.Context(), AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range list.Audit {
		lines = append(lines, fmt.Sprintf("%s %s %s %s by %s", l.What, l.Target, l.Subject, l.Reason, l.By))
	}
	return lines
}

func TestWishes(t *testing.T) {
	for _, wish := range []state.Wish{state.WishRelease, state.WishDelete, state.WishBounce} {
		for from, want := range map[state.HeldState]HeldOutcome{
			state.HeldWaiting: HeldAsked, state.HeldKept: HeldAsked, state.HeldLeaving: HeldLate,
			state.HeldReleased: HeldLate, state.HeldDeleted: HeldLate, state.HeldBounced: HeldLate, state.HeldGone: HeldLate,
		} {
			switch {
			case from == state.HeldLeaving && wish == state.WishRelease:
				want = HeldAsked
			case from == granted[wish]:
				want = HeldDone
			}
			t.Run(string(wish)+" "+string(from), func(t *testing.T) {
				f := newDesk(t)
				woken := 0
				f.HeldChanged = func() { woken++ }
				before := f.hold(t, "H1", in(from))
				list := f.wish(t, WishHeld{Wish: wish, IDs: []string{"H1"}, Reason: "ticket 7", DryRun: true})
				dry := want
				if from == state.HeldWaiting || from == state.HeldKept || want == HeldAsked {
					dry = HeldWould
				}
				if list[0].Outcome != dry || f.held(t, "H1").Rev != before.Rev || f.auditOf(t) != nil {
					t.Errorf("dry run: %s, want %s", list[0].Outcome, dry)
				}
				list = f.wish(t, WishHeld{Wish: wish, IDs: []string{"H1"}, Reason: "ticket 7"})
				changes := from == state.HeldWaiting || from == state.HeldKept
				if list[0].Outcome != want || list[0].Changed != changes || list[0].State != from {
					t.Errorf("%+v; want %s", list[0], want)
				}
				after, lines := f.held(t, "H1"), f.auditOf(t)
				if !changes {
					if after.Rev != before.Rev || lines != nil || woken != 0 {
						t.Errorf("changed: %+v, %q", after, lines)
					}
					return
				}
				line := "held " + string(wish) + " H1 account:alice@client-a.example ticket 7 by root"
				if after.Wish != wish || after.WishBy != "root" || string(after.Ask) != string(before.Ask) || woken != 1 ||
					len(lines) != 1 || lines[0] != line {
					t.Errorf("%+v, audit %q, woken %d times", after, lines, woken)
				}
				// The same once more changes nothing; another wish takes its place.
				if list = f.wish(t, WishHeld{Wish: wish, IDs: []string{"QH1"}}); list[0].Changed || list[0].Outcome != HeldAsked || f.held(t, "H1").Rev != after.Rev {
					t.Errorf("twice: %+v", list[0])
				}
				other := state.WishDelete
				if wish == other {
					other = state.WishRelease
				}
				if list = f.wish(t, WishHeld{Wish: other, IDs: []string{"H1"}}); !list[0].Changed || f.held(t, "H1").Wish != other {
					t.Errorf("another: %+v", list[0])
				}
			})
		}
	}
}

// Mail goes back to nobody but who sent it: else it stays, and that is said.
func TestBounceToAStranger(t *testing.T) {
	for name, change := range map[string]func(*state.Held){
		"a stranger":          func(h *state.Held) { h.Ask = []byte(`{"v":1}`) },
		"the null sender":     func(h *state.Held) { h.From = "" },
		"another version":     func(h *state.Held) { h.Ask = []byte(`{"v":2,"own":true}`) },
		"nobody knows whose":  func(h *state.Held) { h.Ask = nil },
		"kept by the MTA too": func(h *state.Held) { h.Ask, h.State = nil, state.HeldKept },
	} {
		f := newDesk(t)
		f.hold(t, "H1", change)
		f.hold(t, "H2")
		list := f.wish(t, WishHeld{Wish: state.WishBounce, Subject: "account:" + aliceLogin, Wait: 0})
		if list[0].Outcome != HeldUndone || list[0].Changed || f.held(t, "H1").Wish != "" {
			t.Errorf("%s: %+v", name, list[0])
		}
		if list[1].Outcome != HeldAsked || len(f.auditOf(t)) != 1 {
			t.Errorf("%s: its own: %+v", name, list[1])
		}
		if list = f.wish(t, WishHeld{Wish: state.WishDelete, IDs: []string{"H1"}}); list[0].Outcome != HeldAsked {
			t.Errorf("%s: deleted: %+v", name, list[0])
		}
	}
}

func TestWishOfAllOfASubject(t *testing.T) {
	f := newDesk(t)
	f.hold(t, "H1")
	f.hold(t, "H2", in(state.HeldLeaving))
	f.hold(t, "H3", func(h *state.Held) { h.Rule = "block.active" })
	f.hold(t, "H4", of("account:bob@client-a.example"))
	f.hold(t, "H5", func(h *state.Held) { h.Since = start.Add(time.Second) })
	f.hold(t, "H6", in(state.HeldBounced))
	alice := "account:" + aliceLogin
	list := f.wish(t, WishHeld{Wish: state.WishDelete, Subject: alice, Rule: "limit.minute", Until: start, Reason: "spam"})
	if len(list) != 2 || list[0].ID != "H1" || list[0].Outcome != HeldAsked || list[1].ID != "H2" || list[1].Outcome != HeldLate {
		t.Errorf("%+v", list)
	}
	if lines := f.auditOf(t); len(lines) != 1 || lines[0] != "held delete  "+alice+" 1 messages held by limit.minute: spam by root" {
		t.Errorf("%q", lines)
	}
	for id, want := range map[string]state.Wish{"H1": state.WishDelete, "H2": "", "H3": "", "H4": "", "H5": "", "H6": ""} {
		if got := f.held(t, id).Wish; got != want {
			t.Errorf("%s: wish %q, want %q", id, got, want)
		}
	}
	f.wish(t, WishHeld{Wish: state.WishBounce, Subject: "customer:C-1"})
	if lines := f.auditOf(t); lines[0] != "held bounce  customer:C-1 3 messages by root" {
		t.Errorf("%q", lines)
	}
	_, err := f.WishHeld(t.Context(), root, WishHeld{Wish: state.WishDelete, Subject: "account:nobody"})
	wants(t, err, ErrNotFound, `no held mail of "account:nobody"`)
}

func TestBadWishes(t *testing.T) {
	f := newDesk(t)
	f.hold(t, "H1")
	before := f.held(t, "H1").Rev
	many := make([]string, mostWished+1)
	for i := range many {
		many[i] = "H1"
	}
	if list := f.wish(t, WishHeld{Wish: state.WishDelete, IDs: many[:mostWished], DryRun: true}); len(list) != 1 {
		t.Errorf("named often: %d", len(list))
	}
	one := []string{"H1"}
	for _, tt := range []struct {
		in   WishHeld
		kind error
		said string
	}{
		{WishHeld{IDs: one}, ErrBad, `wish "": want release, delete or bounce`},
		{WishHeld{Wish: "burn", IDs: one}, ErrBad, "want release"},
		{WishHeld{Wish: state.WishDelete}, ErrBad, "want ids, or a subject"},
		{WishHeld{Wish: state.WishDelete, IDs: one, Subject: "account:x"}, ErrBad, "want ids, or a subject"},
		{WishHeld{Wish: state.WishDelete, IDs: one, Rule: "limit.minute"}, ErrBad, "a subject with a rule"},
		{WishHeld{Wish: state.WishDelete, IDs: one, Until: start}, ErrBad, "a subject with a rule"},
		{WishHeld{Wish: state.WishDelete, IDs: many}, ErrBad, "1001 ids at once; want at most 1000"},
		{WishHeld{Wish: state.WishDelete, IDs: one, Wait: -1}, ErrBad, "wait -1: want 0 to 10 seconds"},
		{WishHeld{Wish: state.WishDelete, IDs: one, Wait: mostWait + 1}, ErrBad, "wait 11"},
		{WishHeld{Wish: state.WishDelete, IDs: one, Reason: "a\x00"}, ErrBad, "control character"},
		{WishHeld{Wish: state.WishDelete, Subject: "alice"}, ErrBad, "want account:"},
		{WishHeld{Wish: state.WishDelete, IDs: []string{"H1", "H2"}}, ErrNotFound, `no held mail "H2"`},
	} {
		_, err := f.WishHeld(t.Context(), root, tt.in)
		wants(t, err, tt.kind, tt.said)
	}
	if f.held(t, "H1").Rev != before || f.auditOf(t) != nil {
		t.Error("something was changed")
	}
}

// meddler is a host that changes a message just before somebody's wish is written.
type meddler struct {
	state.Store
	mu     sync.Mutex
	before []func()
}

func (m *meddler) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	m.mu.Lock()
	var f func()
	if doc.Kind == heldKind && len(m.before) > 0 {
		f, m.before = m.before[0], m.before[1:]
	}
	m.mu.Unlock()
	if f != nil {
		f()
	}
	return m.Store.PutDoc(ctx, doc)
}

// TestWishMeetsTheHost: who writes second looks again, and loses nothing of what the
// other wrote.
func TestWishMeetsTheHost(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile func(*state.Held)
		want      HeldOutcome
	}{
		"it is due later": {func(h *state.Held) { h.Due = start.Add(time.Hour) }, HeldAsked},
		"it leaves":       {in(state.HeldLeaving), HeldLate},
		"it has left":     {in(state.HeldReleased), HeldLate},
		"it is deleted":   {in(state.HeldDeleted), HeldDone},
		"it is forgotten": {nil, HeldLate},
	} {
		t.Run(name, func(t *testing.T) {
			f := newDesk(t)
			f.hold(t, "H1")
			plain := f.Store
			change := func() {
				h := f.held(t, "H1")
				if tt.meanwhile == nil {
					if err := state.DeleteRecord(t.Context(), plain, h); err != nil {
						t.Error(err)
					}
					return
				}
				tt.meanwhile(&h)
				if err := state.PutRecord(t.Context(), plain, &h); err != nil {
					t.Error(err)
				}
			}
			f.Store = &meddler{Store: plain, before: []func(){change}}
			list := f.wish(t, WishHeld{Wish: state.WishDelete, IDs: []string{"H1"}})
			if list[0].Outcome != tt.want || list[0].Changed != (tt.want == HeldAsked) {
				t.Errorf("%+v; want %s", list[0], tt.want)
			}
			if tt.want == HeldAsked {
				if h := f.held(t, "H1"); h.Wish != state.WishDelete || !h.Due.Equal(start.Add(time.Hour)) {
					t.Errorf("%+v", h)
				}
			}
		})
	}
}

var errAway = errors.New("away")

// full is a store that takes no more held mail.
type full struct{ state.Store }

func (s full) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if doc.Kind == heldKind {
		return doc, errAway
	}
	return s.Store.PutDoc(ctx, doc)
}

func TestWishThatCannotBeKept(t *testing.T) {
	f := newDesk(t)
	f.hold(t, "H1")
	f.Store = full{f.Store}
	list, err := f.WishHeld(t.Context(), root, WishHeld{Wish: state.WishDelete, IDs: []string{"H1"}, Wait: 1})
	if !errors.Is(err, errAway) || !strings.Contains(err.Error(), "held mail H1") || list.Held != nil || f.auditOf(t) != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestWaiting: the call ends as soon as the host has done it, and no later than it
// was told.
func TestWaiting(t *testing.T) {
	for name, tt := range map[string]struct {
		does func(*state.Held)
		want HeldOutcome
		most time.Duration
	}{
		"done":         {in(state.HeldDeleted), HeldDone, 2 * time.Second},
		"too late":     {in(state.HeldReleased), HeldLate, 2 * time.Second},
		"put away":     {func(h *state.Held) { h.Wish, h.State = "", state.HeldKept }, HeldUndone, 2 * time.Second},
		"overruled":    {func(h *state.Held) { h.Wish = state.WishRelease }, HeldUndone, 2 * time.Second},
		"not yet":      {func(h *state.Held) { h.Due = time.Time{} }, HeldAsked, 5 * time.Second},
		"host is away": {nil, HeldAsked, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newDesk(t)
				f.hold(t, "H1")
				f.HeldChanged = func() {
					if tt.does == nil {
						return
					}
					go func() {
						time.Sleep(1500 * time.Millisecond)
						h := f.held(t, "H1")
						tt.does(&h)
						if err := state.PutRecord(t.Context(), f.Store, &h); err != nil {
							t.Error(err)
						}
					}()
				}
				began := time.Now()
				list := f.wish(t, WishHeld{Wish: state.WishDelete, IDs: []string{"H1"}, Wait: 5})
				if took := time.Since(began); list[0].Outcome != tt.want || took > tt.most || !list[0].Changed {
					t.Errorf("%+v after %s; want %s", list[0], took, tt.want)
				}
			})
		})
	}
}

// TestManyWishes: all messages of one subject are asked for in one call, each exactly
// once, while two do it at a time.
func TestManyWishes(t *testing.T) {
	f := newDesk(t)
	const n = 500
	for i := range n {
		f.hold(t, fmt.Sprintf("H%05d", i))
	}
	var wg sync.WaitGroup
	changed := make([]int, 2)
	for i := range changed {
		wg.Go(func() {
			list, err := f.WishHeld(t.Context(), root, WishHeld{Wish: state.WishDelete, Subject: "account:" + aliceLogin})
			if err != nil {
				t.Error(err)
			}
			for _, h := range list.Held {
				if h.Changed {
					changed[i]++
				}
			}
		})
	}
	wg.Wait()
	if changed[0]+changed[1] != n {
		t.Errorf("%d changed; want %d", changed, n)
	}
	if lines := f.auditOf(t); len(lines) < 1 || len(lines) > 2 {
		t.Errorf("%d lines", len(lines))
	}
}

// A panic over one of many is that of the call, which a page or the server catches: it
// does not end the daemon.
func TestPanicAmongMany(t *testing.T) {
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "of ours") {
			t.Errorf("caught %v; want the panic", p)
		}
	}()
	each(make([]int, 100), func(int) { panic("of ours") })
}
