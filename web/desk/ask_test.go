package desk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/state"
)

func TestAsk(t *testing.T) {
	f := newDesk(t)
	b := f.block(t, "account:"+aliceLogin)
	before := f.events
	v, err := f.Ask(t.Context(), alice, AskUnblock{Account: "Alice@client-a.example", Block: b.ID, Happened: "a virus\r\nI think", Done: "cleaned", Password: true})
	if err != nil {
		t.Fatal(err)
	}
	if v.State != state.RequestOpen || v.Account != aliceLogin || v.Subject != b.Subject || v.Text != "a virus\nI think\ncleaned" || !v.Password || v.From != "page 192.0.2.7" || v.Self {
		t.Errorf("%+v", v)
	}
	if len(v.ID) != 9 || v.ID[0] != 'R' {
		t.Errorf("id %q", v.ID)
	}
	if want := "request " + b.ID + v.ID; !slices.Contains(f.events[len(before):], want) {
		t.Errorf("no %q in %v", want, f.events)
	}
	if f.stateOf(t, b.ID) != state.BlockActive {
		t.Error("asking ended the block")
	}
	_, err = f.Ask(t.Context(), alice, AskUnblock{Account: aliceLogin, Block: b.ID, Happened: "hello?"})
	wants(t, err, ErrConflict, "open already")
	if audit, err := f.Audit(t.Context(), AuditQuery{Target: v.ID}); err != nil || len(audit.Audit) != 1 || audit.Audit[0].By != alice.Name {
		t.Errorf("%+v, %v", audit, err)
	}
}

func TestAskRefuses(t *testing.T) {
	f := newDesk(t)
	b := f.automatic(t, "B1", "account:"+aliceLogin)
	lifted := f.automatic(t, "B2", "account:"+aliceLogin)
	if _, err := f.LiftBlock(t.Context(), root, LiftBlock{Block: lifted.ID}); err != nil {
		t.Fatal(err)
	}
	before := f.everything(t)
	for name, c := range map[string]struct {
		in   AskUnblock
		kind error
		part string
	}{
		"nothing said":  {AskUnblock{Account: aliceLogin, Block: b.ID, Happened: " "}, ErrBad, "what happened is empty"},
		"too much":      {AskUnblock{Account: aliceLogin, Block: b.ID, Happened: "x", Done: strings.Repeat("x", 4001)}, ErrBad, "what was done: 4001 bytes"},
		"control":       {AskUnblock{Account: aliceLogin, Block: b.ID, Happened: "\x1b]0;x\a"}, ErrBad, "control character"},
		"lifted":        {AskUnblock{Account: aliceLogin, Block: lifted.ID, Happened: "x"}, ErrConflict, "lifted already"},
		"no block":      {AskUnblock{Account: aliceLogin, Block: "B9", Happened: "x"}, ErrNotFound, "no block"},
		"no block id":   {AskUnblock{Account: aliceLogin, Happened: "x"}, ErrNotFound, "no block"},
		"by subject":    {AskUnblock{Account: aliceLogin, Block: b.Subject, Happened: "x"}, ErrNotFound, "no block"},
		"another's":     {AskUnblock{Account: "carol@client-c.example", Block: b.ID, Happened: "x"}, ErrNotFound, "no block"},
		"no account":    {AskUnblock{Block: b.ID, Happened: "x"}, ErrNotFound, "no account"},
		"a pair":        {AskUnblock{Account: aliceLogin + "+domain:b.example", Block: b.ID, Happened: "x"}, ErrNotFound, "no account"},
		"reply's link":  {AskUnblock{Account: aliceLogin, Block: b.ID, Happened: "x", Self: true}, ErrBad, "may ask and not unblock"},
		"another's too": {AskUnblock{Account: "bob@client-a.example", Scope: ScopeFull, Block: b.ID, Happened: "x", Self: true}, ErrNotFound, "no block"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Ask(t.Context(), alice, c.in)
			wants(t, err, c.kind, c.part)
		})
	}
	if f.everything(t) != before {
		t.Error("something was stored")
	}
	f.now = b.Until
	_, err := f.Ask(t.Context(), alice, AskUnblock{Account: aliceLogin, Block: b.ID, Happened: "x"})
	wants(t, err, ErrConflict, "expired already")
}

// self unblocks a new automatic block.
func (f *fixture) self(t *testing.T, id string) error {
	t.Helper()
	f.automatic(t, id, "account:"+aliceLogin)
	_, err := f.Ask(t.Context(), alice, AskUnblock{Account: aliceLogin, Scope: ScopeFull, Block: id, Happened: "x", Self: true})
	return err
}

func TestUnblockSelf(t *testing.T) {
	f := newDesk(t)
	if err := f.self(t, "B1"); err != nil {
		t.Fatal(err)
	}
	if f.stateOf(t, "B1") != state.BlockLifted {
		t.Error("the block is still in force")
	}
	all, err := f.Requests(t.Context(), true)
	if err != nil || len(all.Requests) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	if r := all.Requests[0]; !r.Self || r.State != state.RequestApproved || r.AnsweredBy != alice.Name || r.Account != aliceLogin {
		t.Errorf("%+v", r)
	}
	if want := []string{"lift B1" + all.Requests[0].ID, "approve B1" + all.Requests[0].ID}; !slices.Equal(f.events, want) {
		t.Errorf("events %v, want %v", f.events, want)
	}
	// Twice in 30 days, the third is refused, and counts for nothing.
	f.now = f.now.Add(24 * time.Hour)
	if err := f.self(t, "B2"); err != nil {
		t.Fatal(err)
	}
	wants(t, f.self(t, "B3"), ErrConflict, "2 times in 30 days")
	if got := f.everything(t); f.stateOf(t, "B3") != state.BlockActive || strings.Count(got, "\nrequest R") != 2 {
		t.Errorf("stored %s", got)
	}
	// The window slides: the first one leaves at its 30 days to the second.
	f.now = start.Add(30*24*time.Hour - time.Second)
	wants(t, f.self(t, "B4"), ErrConflict, "2 times")
	f.now = start.Add(30 * 24 * time.Hour)
	if err := f.self(t, "B5"); err != nil {
		t.Error(err)
	}
	wants(t, f.self(t, "B6"), ErrConflict, "2 times")
	f.judge.set.SelfUnblock = 0
	f.now = start.Add(300 * 24 * time.Hour)
	wants(t, f.self(t, "B7"), ErrConflict, "0 times")
}

// Only what the rules did to the account itself is its own to undo.
func TestUnblockSelfOf(t *testing.T) {
	for name, c := range map[string]struct {
		block func(*state.Block)
		ok    bool
	}{
		"own":            {func(*state.Block) {}, true},
		"own script":     {func(b *state.Block) { b.Subject = "script:www-a@web1.example/mailer.php" }, true},
		"customer's":     {func(b *state.Block) { b.Subject = "customer:C-1" }, false},
		"manual":         {func(b *state.Block) { b.Rule = "manual"; b.By = "root" }, false},
		"named so":       {func(b *state.Block) { b.Rule = "manual" }, false},
		"an operator's":  {func(b *state.Block) { b.By = "root" }, false},
		"until lifted":   {func(b *state.Block) { b.Until = time.Time{} }, true},
		"another script": {func(b *state.Block) { b.Subject = "script:www-a@web1.example.org" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newDesk(t)
			b := f.automatic(t, "B1", "account:"+aliceLogin, c.block)
			v, err := f.Customer(t.Context(), aliceLogin)
			if err != nil {
				t.Fatal(err)
			}
			if shown := len(v.Blocks) == 1 && v.Blocks[0].CanSelf; shown != c.ok {
				t.Errorf("the page offers it: %v, want %v", shown, c.ok)
			}
			_, err = f.Ask(t.Context(), alice, AskUnblock{Account: aliceLogin, Scope: ScopeFull, Block: b.ID, Happened: "x", Self: true})
			if (err == nil) != c.ok || (f.stateOf(t, "B1") == state.BlockLifted) != c.ok {
				t.Errorf("%v, block is %s", err, f.stateOf(t, "B1"))
			}
		})
	}
}

// Who has asked and then may unblock himself does, and nobody answers him any more.
func TestUnblockSelfAfterAsking(t *testing.T) {
	f := newDesk(t)
	f.automatic(t, "B1", "account:"+aliceLogin)
	r := f.ask(t, aliceLogin, "B1")
	if _, err := f.Ask(t.Context(), alice, AskUnblock{Account: aliceLogin, Scope: ScopeFull, Block: "B1", Happened: "x", Self: true}); err != nil {
		t.Fatal(err)
	}
	open, err := f.Requests(t.Context(), false)
	if err != nil || len(open.Requests) != 0 {
		t.Errorf("%s is still open: %+v, %v", r.ID, open, err)
	}
}

// A store that fails in mid-way leaves neither a used-up chance nor a lie.
func TestUnblockSelfFails(t *testing.T) {
	f := newDesk(t)
	gone := errors.New("gone")
	f.Store = &failing{Store: f.Store, lift: gone}
	wants(t, f.self(t, "B1"), gone, "gone")
	if used, err := f.selfUsed(t.Context(), holder{login: aliceLogin}); used != 0 || err != nil {
		t.Errorf("%d used, %v", used, err)
	}
}

// faster is a store where somebody else lifts each block just before.
type faster struct{ state.Store }

func (s faster) LiftBlock(ctx context.Context, id string, now time.Time, by, note string) (state.Block, error) {
	if b, err := s.Store.LiftBlock(ctx, id, now, "rival", "first"); err != nil {
		return b, err
	}
	return s.Store.LiftBlock(ctx, id, now, by, note)
}

// Two clicks, or a click while an operator lifts it: one of them did it and is told of, and the
// other has used up no chance.
func TestUnblockSelfWhenOthersAreFaster(t *testing.T) {
	f := newDesk(t)
	f.Store = faster{f.Store}
	wants(t, f.self(t, "B1"), ErrConflict, "ended just now")
	if used, err := f.selfUsed(t.Context(), holder{login: aliceLogin}); used != 0 || err != nil {
		t.Errorf("%d used, %v", used, err)
	}
	if len(f.events) != 0 {
		t.Errorf("told of: %v", f.events)
	}
}

// Two hosts at once: of one block one request, and never more unblocking than allowed.
func TestAskRace(t *testing.T) {
	f := newDesk(t)
	f.Changed, f.judge.set.SelfUnblock = nil, 3
	f.Log = newDesk(t).Log
	for _, id := range []string{"B1", "B2", "B3", "B4", "B5", "B6"} {
		f.automatic(t, id, "account:"+aliceLogin)
	}
	f.automatic(t, "BASK", "account:"+aliceLogin)
	var wg sync.WaitGroup
	for _, id := range []string{"B1", "B2", "B3", "B4", "B5", "B6"} {
		wg.Go(func() {
			_, err := f.Ask(context.Background(), Actor{}, AskUnblock{Account: aliceLogin, Scope: ScopeFull, Block: id, Happened: "x", Self: true})
			if err != nil && !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			_, err := f.Ask(context.Background(), Actor{}, AskUnblock{Account: aliceLogin, Block: "BASK", Happened: "x"})
			if err != nil && !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	blocks, err := f.Blocks(t.Context(), false)
	if err != nil || len(blocks.Blocks) < 4 {
		t.Errorf("%d of 7 blocks are left; 3 were to be lifted at most (%v)", len(blocks.Blocks), err)
	}
	open, err := f.Requests(t.Context(), false)
	if err != nil || len(open.Requests) != 1 {
		t.Errorf("open: %+v, %v", open, err)
	}
}

// What was answered over 400 days ago is forgotten, what is open is not.
func TestOldRequestsGo(t *testing.T) {
	f := newDesk(t)
	f.block(t, "account:"+aliceLogin)
	list, err := f.Blocks(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	old := f.ask(t, aliceLogin, list.Blocks[0].ID)
	if _, err := f.Deny(t.Context(), root, AnswerRequest{Request: old.ID, Text: "no"}); err != nil {
		t.Fatal(err)
	}
	manual, err := f.AddBlock(t.Context(), root, AddBlock{Subject: "account:carol@client-c.example", For: "manual"})
	if err != nil {
		t.Fatal(err)
	}
	open := f.ask(t, "carol@client-c.example", manual.ID)
	count := func(after time.Duration) []string {
		t.Helper()
		f.now = start.Add(after)
		b := f.block(t, "account:dave@client-d.example")
		_, err := f.Ask(t.Context(), alice, AskUnblock{Account: "dave@client-d.example", Block: b.ID, Happened: "x"})
		if err != nil {
			t.Fatal(err)
		}
		all, err := f.Requests(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range all.Requests {
			ids = append(ids, r.ID)
		}
		return ids
	}
	if ids := count(endedKept); !slices.Contains(ids, old.ID) {
		t.Errorf("gone at 400 days: %v", ids)
	}
	if ids := count(endedKept + time.Second); slices.Contains(ids, old.ID) || !slices.Contains(ids, open.ID) {
		t.Errorf("after 400 days: %v", ids)
	}
}
