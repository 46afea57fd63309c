package desk

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/state"
)

const aliceLogin = "alice@client-a.example"

func TestApprove(t *testing.T) {
	f := newDesk(t)
	b := f.automatic(t, "B1", "account:"+aliceLogin)
	more := f.automatic(t, "B2", "account:"+aliceLogin)
	other := f.automatic(t, "B3", "account:carol@client-c.example")
	r := f.ask(t, aliceLogin, b.ID)
	second := f.ask(t, aliceLogin, more.ID)
	before := f.everything(t)
	dry, err := f.Approve(t.Context(), root, AnswerRequest{Request: r.ID, DryRun: true})
	if err != nil || !slices.Equal(dry.Lifted, []string{"B1", "B2"}) || f.everything(t) != before {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	f.events = nil
	v, err := f.Approve(t.Context(), root, AnswerRequest{Request: r.ID, Text: "welcome back"})
	if err != nil {
		t.Fatal(err)
	}
	if v.State != state.RequestApproved || v.Answer != "welcome back" || v.AnsweredBy != "root" || !v.AnsweredAt.Equal(start) || !slices.Equal(v.Lifted, []string{"B1", "B2"}) {
		t.Errorf("%+v", v)
	}
	if f.stateOf(t, "B1") != state.BlockLifted || f.stateOf(t, "B2") != state.BlockLifted || f.stateOf(t, other.ID) != state.BlockActive {
		t.Error("not exactly the blocks of the subject are lifted")
	}
	if want := []string{"approve B1" + r.ID, "lift B1" + r.ID, "lift B2" + r.ID, "approve B2" + second.ID}; !slices.Equal(f.events, want) {
		t.Errorf("events %v, want %v", f.events, want)
	}
	for _, answer := range []func(context.Context, Actor, AnswerRequest) (RequestView, error){f.Approve, f.Deny} {
		_, err = answer(t.Context(), root, AnswerRequest{Request: r.ID, Text: "no"})
		wants(t, err, ErrConflict, "answered already: approved by root")
	}
	_, err = f.Approve(t.Context(), root, AnswerRequest{Request: "RNOSUCH0"})
	wants(t, err, ErrNotFound, "no request")
	open, err := f.Requests(t.Context(), false)
	if err != nil || len(open.Requests) != 0 {
		t.Errorf("%+v, %v", open, err)
	}
	if all, err := f.Requests(t.Context(), true); err != nil || len(all.Requests) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}

// A daemon that died between the answer and the lift: approving again lifts.
func TestApproveAgainAfterCrash(t *testing.T) {
	f := newDesk(t)
	f.automatic(t, "B1", "account:"+aliceLogin)
	r := f.ask(t, aliceLogin, "B1")
	f.Store = &failing{Store: f.Store, lift: errors.New("gone")}
	if _, err := f.Approve(t.Context(), root, AnswerRequest{Request: r.ID, Text: "ok"}); err == nil {
		t.Fatal("no error")
	}
	f.Store = f.Store.(*failing).Store
	f.automatic(t, "B2", "account:"+aliceLogin) // new strikes: not what was approved
	v, err := f.Approve(t.Context(), root, AnswerRequest{Request: r.ID, Text: "other words"})
	if err != nil || v.Answer != "ok" || !slices.Equal(v.Lifted, []string{"B1"}) {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = f.Approve(t.Context(), root, AnswerRequest{Request: r.ID})
	wants(t, err, ErrConflict, "answered already")
}

// failing is a store some of whose calls fail.
type failing struct {
	state.Store
	lift error
	put  func(state.Doc) error
}

func (s *failing) LiftBlock(ctx context.Context, id string, now time.Time, by, note string) (state.Block, error) {
	if s.lift != nil {
		return state.Block{}, s.lift
	}
	return s.Store.LiftBlock(ctx, id, now, by, note)
}

func (s *failing) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if s.put != nil {
		if err := s.put(doc); err != nil {
			return state.Doc{}, err
		}
	}
	return s.Store.PutDoc(ctx, doc)
}

func TestDeny(t *testing.T) {
	f := newDesk(t)
	f.automatic(t, "B1", "account:"+aliceLogin)
	r := f.ask(t, aliceLogin, "B1")
	_, err := f.Deny(t.Context(), root, AnswerRequest{Request: r.ID, Text: " \n"})
	wants(t, err, ErrBad, "want a sentence")
	before := f.everything(t)
	if _, err = f.Deny(t.Context(), root, AnswerRequest{Request: r.ID, Text: "no", DryRun: true}); err != nil || f.everything(t) != before {
		t.Errorf("dry run: %v", err)
	}
	v, err := f.Deny(t.Context(), root, AnswerRequest{Request: r.ID, Text: "scan your computer first"})
	if err != nil || v.State != state.RequestDenied || f.stateOf(t, "B1") != state.BlockActive {
		t.Errorf("%+v, %v", v, err)
	}
	if want := "deny B1" + r.ID; f.events[len(f.events)-1] != want {
		t.Errorf("events %v, want %s last", f.events, want)
	}
	_, err = f.Approve(t.Context(), root, AnswerRequest{Request: r.ID})
	wants(t, err, ErrConflict, "denied by root")
	again := f.ask(t, aliceLogin, "B1") // he scanned it
	if again.ID == r.ID {
		t.Error("the second request has the first one's id")
	}
}

// Lifting a block answers who asked for it; another block's request stays open.
func TestLiftClosesRequests(t *testing.T) {
	f := newDesk(t)
	f.automatic(t, "B1", "account:"+aliceLogin)
	f.automatic(t, "B2", "account:"+aliceLogin)
	one, two := f.ask(t, aliceLogin, "B1"), f.ask(t, aliceLogin, "B2")
	if _, err := f.LiftBlock(t.Context(), root, LiftBlock{Block: "B1", Reason: "internal words"}); err != nil {
		t.Fatal(err)
	}
	all, err := f.Requests(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all.Requests {
		want := map[string]state.RequestState{one.ID: state.RequestApproved, two.ID: state.RequestOpen}[r.ID]
		if r.State != want || strings.Contains(r.Answer, "internal") {
			t.Errorf("%+v, want %s", r, want)
		}
	}
}

// Of many operators who answer at once, one does.
func TestAnswersRace(t *testing.T) {
	f := newDesk(t)
	f.Changed = nil // not made for many at once
	f.Log = slog.New(slog.DiscardHandler)
	f.automatic(t, "B1", "account:"+aliceLogin)
	r := f.ask(t, aliceLogin, "B1")
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() {
			if i%2 == 0 {
				_, errs[i] = f.Approve(context.Background(), root, AnswerRequest{Request: r.ID, Text: "yes"})
				return
			}
			_, errs[i] = f.Deny(context.Background(), root, AnswerRequest{Request: r.ID, Text: "no"})
		})
	}
	wg.Wait()
	denied := false
	all, err := f.Requests(t.Context(), true)
	if err != nil || len(all.Requests) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	denied = all.Requests[0].State == state.RequestDenied
	if blocked := f.stateOf(t, "B1") == state.BlockActive; blocked != denied {
		t.Errorf("the request is %s, the block in force: %v", all.Requests[0].State, blocked)
	}
	passed := 0
	for i, err := range errs {
		switch {
		case err == nil && (i%2 == 1) == denied:
			passed++
		case err == nil:
			t.Errorf("answer %d passed, the request is %s", i, all.Requests[0].State)
		case !errors.Is(err, ErrConflict):
			t.Error(err)
		}
	}
	// Approving what has just been approved, but not lifted yet, is helping.
	if passed == 0 || denied && passed > 1 {
		t.Errorf("%d answers passed", passed)
	}
}
