package desk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// AskUnblock is what a customer fills in.
type AskUnblock struct {
	Account  string // that the link names
	Scope    Scope  // of the link; the zero one does not unblock
	Block    string
	Happened string
	Done     string
	Password bool // changed
	Self     bool // "unblock me now"
}

// selfWithin is how long unblocking oneself counts.
const selfWithin = 30 * 24 * time.Hour

// selfAllowed says whether the account may end this block itself: an automatic one
// of its own, none that an operator made or extended, and not the customer's, which
// stops other accounts too.
func selfAllowed(h holder, b state.Block) bool {
	return b.Rule != "manual" && b.By == rules.Automatic && h.owns(b.Subject)
}

// selfLeft is how often the account may still unblock itself.
func (d *Desk) selfLeft(ctx context.Context, h holder) (int, error) {
	used, err := d.selfUsed(ctx, h)
	return max(0, d.Judge.Settings().SelfUnblock-used), err
}

func (d *Desk) selfUsed(ctx context.Context, h holder) (int, error) {
	all, err := d.requestsOf(ctx, h)
	now, used := d.Now(), 0
	for _, r := range all {
		if r.Self && r.At.After(now.Add(-selfWithin)) {
			used++
		}
	}
	return used, err
}

// Ask asks for a block's end, or ends it at once. Of several about one block only
// one is open.
func (d *Desk) Ask(ctx context.Context, who Actor, in AskUnblock) (RequestView, error) {
	h, err := d.holderOf(ctx, in.Account)
	if err != nil {
		return RequestView{}, err
	}
	r := state.Request{Account: h.login, At: d.now(), Password: in.Password, From: who.From, State: state.RequestOpen}
	if r.Happened, err = needText("what happened", in.Happened); err != nil {
		return RequestView{}, err
	}
	if r.Done, err = text("what was done", in.Done); err != nil {
		return RequestView{}, err
	}
	b, err := d.blockFor(ctx, h, in.Block)
	if err != nil {
		return RequestView{}, err
	}
	r.Block, r.Subject = b.ID, b.Subject
	ctx, cancel := carryOn(ctx)
	defer cancel()
	if err = d.pruneRequests(ctx); err != nil {
		return RequestView{}, err
	}
	if in.Self {
		return d.unblockSelf(ctx, who, h, b, r, in.Scope)
	}
	if err = d.newRequest(ctx, &r); err != nil {
		return RequestView{}, err
	}
	d.audit(ctx, who, change{"request", r.ID, r.Subject, r.Happened})
	d.tell(Event{What: "request", Block: b, Request: r})
	return requestView(r), nil
}

// blockFor finds a block in force that the account sees.
func (d *Desk) blockFor(ctx context.Context, h holder, id string) (state.Block, error) {
	blocks, err := d.blocksOf(ctx, h)
	if err != nil {
		return state.Block{}, err
	}
	i := slices.IndexFunc(blocks, func(b state.Block) bool { return b.ID == id })
	if i < 0 {
		return state.Block{}, notFound("no block %.100q", id)
	}
	if s := blocks[i].State(d.Now()); s != state.BlockActive {
		return state.Block{}, conflict("block %s is %s already", id, s)
	}
	return blocks[i], nil
}

// newRequest stores r, unless it asks what another asks already. Its id follows from
// the block's and from how many requests there were about it, so that of two
// hosts only one can make it.
func (d *Desk) newRequest(ctx context.Context, r *state.Request) error {
	for skip := 0; ; skip++ {
		earlier, err := d.requestsAbout(ctx, r.Subject)
		if err != nil {
			return err
		}
		n := skip
		for _, e := range earlier {
			if e.Block != r.Block {
				continue
			}
			if e.State == state.RequestOpen && !r.Self {
				return conflict("a request about block %s is open already", r.Block)
			}
			n++
		}
		r.ID = requestID(r.Block, n)
		if err = state.PutRecord(ctx, d.Store, r); !errors.Is(err, state.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
}

// requestID is the id of the n-th request about a block: 40 bits in Crockford's
// base32, as other ids.
func requestID(block string, n int) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", block, n))
	id := []byte("R12345678")
	for i := range id[1:] {
		id[i+1] = alphabet[sum[i]&31]
	}
	return string(id)
}

// unblockSelf ends a block at once. The request is stored first and counted
// after, so that two at once on two hosts do not both pass the last time.
func (d *Desk) unblockSelf(ctx context.Context, who Actor, h holder, b state.Block, r state.Request, scope Scope) (RequestView, error) {
	most := d.Judge.Settings().SelfUnblock
	used, err := d.selfUsed(ctx, h)
	switch {
	case err != nil:
		return RequestView{}, err
	case scope != ScopeFull:
		return RequestView{}, bad("this link may ask and not unblock: open the page from the customer area")
	case !selfAllowed(h, b):
		return RequestView{}, bad("block %s is for an operator to lift: please ask", b.ID)
	case used >= most:
		return RequestView{}, conflict("unblocked %d times in 30 days already: please ask", used)
	}
	r.State, r.Self, r.AnsweredAt, r.AnsweredBy = state.RequestApproved, true, r.At, who.Name
	if err = d.newRequest(ctx, &r); err != nil {
		return RequestView{}, err
	}
	if used, err = d.selfUsed(ctx, h); err == nil && used > most {
		err = conflict("unblocked %d times in 30 days already: please ask", most)
	}
	if note := "request " + r.ID + ", by the customer"; err == nil {
		if b, err = d.lift(ctx, who, b, note, r); err == nil && b.Note != note {
			err = conflict("block %s has ended just now", b.ID) // a second click costs no second chance
		}
	}
	if err != nil {
		return RequestView{}, errors.Join(err, state.DeleteRecord(ctx, d.Store, r))
	}
	d.tell(Event{What: "approve", Block: b, Request: r})
	return requestView(r), d.closeRequests(ctx, who, b)
}

// pruneRequests deletes what was answered long ago.
func (d *Desk) pruneRequests(ctx context.Context) error {
	all, err := state.Records[state.Request](ctx, d.Store)
	if err != nil {
		return err
	}
	last := d.Now().Add(-endedKept)
	old := slices.DeleteFunc(all, func(r state.Request) bool {
		return r.State == state.RequestOpen || !r.AnsweredAt.Before(last)
	})
	return deleteAll(old, func(r state.Request) error { return state.DeleteRecord(ctx, d.Store, r) })
}
