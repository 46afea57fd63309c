package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"o2n-milter/state"
)

// requestsAbout are all requests about a subject, oldest first.
func (d *Desk) requestsAbout(ctx context.Context, subject string) ([]state.Request, error) {
	list, err := state.RecordsOf[state.Request](ctx, d.Store, []string{subject})
	slices.SortStableFunc(list, func(a, b state.Request) int { return a.At.Compare(b.At) })
	return list, err
}

// Requests lists the open ones, or all that are still kept.
func (d *Desk) Requests(ctx context.Context, all bool) (RequestList, error) {
	records, err := state.Records[state.Request](ctx, d.Store)
	if err != nil {
		return RequestList{}, err
	}
	slices.SortStableFunc(records, func(a, b state.Request) int { return b.At.Compare(a.At) })
	list := RequestList{Requests: []RequestView{}}
	for _, r := range records {
		if all || r.State == state.RequestOpen {
			list.Requests = append(list.Requests, requestView(r))
		}
	}
	return list, nil
}

// requestNamed finds a request by id.
func (d *Desk) requestNamed(ctx context.Context, id string) (state.Request, error) {
	records, err := state.Records[state.Request](ctx, d.Store)
	if err != nil {
		return state.Request{}, err
	}
	i := slices.IndexFunc(records, func(r state.Request) bool { return r.ID == id })
	if i < 0 {
		return state.Request{}, notFound("no request %.100q", id)
	}
	return records[i], nil
}

// Approve answers an open request and lifts every active block of its subject, as
// whoever wrote it wants to send again. The answer comes first, since only one
// can give it; what a crash left in force after it, approving again lifts.
func (d *Desk) Approve(ctx context.Context, who Actor, in AnswerRequest) (RequestView, error) {
	r, answer, err := d.toAnswer(ctx, in)
	if err != nil {
		return RequestView{}, err
	}
	blocks, err := d.Store.ActiveBlocks(ctx, d.Now(), []string{r.Subject})
	if err != nil {
		return RequestView{}, err
	}
	if r.State == state.RequestApproved {
		blocks = slices.DeleteFunc(blocks, func(b state.Block) bool { return b.ID != r.Block })
	}
	if r.State == state.RequestDenied || r.State == state.RequestApproved && len(blocks) == 0 {
		return RequestView{}, answered(r)
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	if r.State == state.RequestOpen {
		r.State, r.Answer = state.RequestApproved, answer
		if r, err = d.answer(ctx, who, r, in.DryRun); err != nil {
			return RequestView{}, err
		}
	}
	v := requestView(r)
	for _, b := range blocks {
		v.Lifted = append(v.Lifted, b.ID)
	}
	if in.DryRun {
		return v, nil
	}
	return v, d.liftAll(ctx, who, blocks, r)
}

// liftAll ends the active blocks that an approved request is about, and answers who
// else asked for it.
func (d *Desk) liftAll(ctx context.Context, who Actor, blocks []state.Block, r state.Request) error {
	for _, b := range blocks {
		lifted, err := d.lift(ctx, who, b, "request "+r.ID+" approved", r)
		if err == nil {
			err = d.closeRequests(ctx, who, lifted)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Deny answers an open request, with a reason; the block stays.
func (d *Desk) Deny(ctx context.Context, who Actor, in AnswerRequest) (RequestView, error) {
	r, answer, err := d.toAnswer(ctx, in)
	switch {
	case err != nil:
		return RequestView{}, err
	case r.State != state.RequestOpen:
		return RequestView{}, answered(r)
	case answer == "":
		return RequestView{}, bad("reason is empty; want a sentence for the customer")
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	r.State, r.Answer = state.RequestDenied, answer
	r, err = d.answer(ctx, who, r, in.DryRun)
	return requestView(r), err
}

func (d *Desk) toAnswer(ctx context.Context, in AnswerRequest) (state.Request, string, error) {
	answer, err := text("reason", in.Text)
	if err != nil {
		return state.Request{}, "", err
	}
	r, err := d.requestNamed(ctx, in.Request)
	return r, answer, err
}

func answered(r state.Request) error {
	return conflict("request %s was answered already: %s by %s at %s", r.ID, r.State, r.AnsweredBy, r.AnsweredAt.UTC().Format(time.RFC3339))
}

// answer stores r, whose State and Answer are set, as answered by who; of several
// at once the first.
func (d *Desk) answer(ctx context.Context, who Actor, r state.Request, dryRun bool) (state.Request, error) {
	r.AnsweredAt, r.AnsweredBy = d.now(), who.Name
	if dryRun {
		return r, nil
	}
	err := state.PutRecord(ctx, d.Store, &r)
	if isGone(err) {
		return r, conflict("request %s was answered by somebody else just now", r.ID)
	}
	if err != nil {
		return r, err
	}
	what := map[state.RequestState]string{state.RequestApproved: "approve", state.RequestDenied: "deny"}[r.State]
	d.audit(ctx, who, change{"request " + what, r.ID, r.Subject, r.Answer})
	d.tell(Event{What: what, Block: d.blockOf(ctx, r), Request: r})
	return r, nil
}

// blockOf is the block that a request is about; the zero one when it is forgotten or
// the store is away: an answer stands all the same.
func (d *Desk) blockOf(ctx context.Context, r state.Request) state.Block {
	blocks, err := d.Store.BlocksOf(ctx, []string{r.Subject})
	i := slices.IndexFunc(blocks, func(b state.Block) bool { return b.ID == r.Block })
	if err != nil || i < 0 {
		return state.Block{}
	}
	return blocks[i]
}

// closeRequests answers what is still open about a block that was lifted.
func (d *Desk) closeRequests(ctx context.Context, who Actor, b state.Block) error {
	return d.openAbout(ctx, b, func(r state.Request) error {
		r.State = state.RequestApproved
		_, err := d.answer(ctx, who, r, false)
		return err
	})
}

// moveRequests makes open requests about a block speak of the one in its place.
func (d *Desk) moveRequests(ctx context.Context, old, now state.Block) error {
	return d.openAbout(ctx, old, func(r state.Request) error {
		r.Block = now.ID
		err := state.PutRecord(ctx, d.Store, &r)
		if isGone(err) {
			return conflict("request %s was answered just now", r.ID)
		}
		return err
	})
}

// openAbout does f with each open request about a block. One that has been
// answered meanwhile is none of them any more.
func (d *Desk) openAbout(ctx context.Context, b state.Block, f func(state.Request) error) error {
	list, err := d.requestsAbout(ctx, b.Subject)
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.Block != b.ID || r.State != state.RequestOpen {
			continue
		}
		if err := f(r); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return nil
}
