package desk

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

func isGone(err error) bool {
	return errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrConflict)
}

// Blocks lists those in force, or all that ever were.
func (d *Desk) Blocks(ctx context.Context, all bool) (BlockList, error) {
	blocks, err := d.Store.Blocks(ctx)
	if err != nil {
		return BlockList{}, err
	}
	now := d.Now()
	list := BlockList{Blocks: []BlockView{}}
	for _, b := range blocks {
		if v := viewOf(b, now); all || v.State == state.BlockActive {
			list.Blocks = append(list.Blocks, v)
		}
	}
	return list, nil
}

// Block tells all about one block.
func (d *Desk) Block(ctx context.Context, id string) (BlockDetail, error) {
	all, err := d.Store.Blocks(ctx)
	if err != nil {
		return BlockDetail{}, err
	}
	i := slices.IndexFunc(all, func(b state.Block) bool { return b.ID == id })
	if i < 0 {
		return BlockDetail{}, notFound("no block %.100q", id)
	}
	b, now := all[i], d.Now()
	v := BlockDetail{
		BlockView: viewOf(b, now), Account: b.Account, Customer: b.Customer,
		Evidence: evidenceOf(b), Requests: []RequestView{}, Earlier: earlier(all, b, now),
	}
	if v.Decisions, err = d.decisions(ctx, b.Decisions); err != nil {
		return BlockDetail{}, err
	}
	requests, err := d.requestsAbout(ctx, b.Subject)
	for _, r := range requests {
		if r.Block == id {
			v.Requests = append(v.Requests, requestView(r))
		}
	}
	return v, err
}

// earlier are the blocks of the same subject that began before b, newest first.
func earlier(all []state.Block, b state.Block, now time.Time) []BlockView {
	list := []BlockView{}
	for _, other := range all {
		if other.Subject == b.Subject && other.ID != b.ID && !other.Since.After(b.Since) {
			list = append(list, viewOf(other, now))
		}
	}
	return list
}

// evidenceOf reads what rules wrote. What it cannot read, another version wrote.
func evidenceOf(b state.Block) []rules.Evidence {
	list := []rules.Evidence{}
	if len(b.Evidence) > 0 && json.Unmarshal(b.Evidence, &list) != nil {
		return []rules.Evidence{{Rule: b.Rule, Fact: "evidence", Got: "cannot be read by this version"}}
	}
	return list
}

// decisions are those of ids that are still kept.
func (d *Desk) decisions(ctx context.Context, ids []string) ([]DecisionView, error) {
	list := []DecisionView{}
	for _, id := range ids {
		v, err := d.Decision(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return nil, err
		default:
			list = append(list, v)
		}
	}
	return list, nil
}

// AddBlock blocks a subject.
func (d *Desk) AddBlock(ctx context.Context, who Actor, in AddBlock) (BlockView, error) {
	now := d.now()
	b := state.Block{Rule: "manual", Since: now, By: who.Name}
	var err error
	if b.Subject, err = mailSubject(in.Subject); err != nil {
		return BlockView{}, err
	}
	if b.Reason, err = text("reason", in.Reason); err != nil {
		return BlockView{}, err
	}
	if b.Until, err = endOf(now, in.For, true); err != nil {
		return BlockView{}, err
	}
	if in.DryRun {
		return viewOf(b, now), nil
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	if b, err = d.newBlock(ctx, b); err != nil {
		return BlockView{}, err
	}
	d.audit(ctx, who, change{"block add", b.ID, b.Subject, b.Reason})
	d.tell(Event{What: "block", Block: b})
	return viewOf(b, now), nil
}

// newBlock gives b an id and stores it.
func (d *Desk) newBlock(ctx context.Context, b state.Block) (state.Block, error) {
	for {
		b.ID = "B" + rules.NewID()
		// Of 40 random bits some are taken once in a while.
		if err := d.Store.AddBlock(ctx, b); !errors.Is(err, state.ErrConflict) || ctx.Err() != nil {
			return b, err
		}
	}
}

// LiftBlock ends a block, whatever its state, or all active ones of a subject.
// Open requests about it are answered with it.
func (d *Desk) LiftBlock(ctx context.Context, who Actor, in LiftBlock) (LiftedList, error) {
	reason, err := text("reason", in.Reason)
	if err != nil {
		return LiftedList{}, err
	}
	found, err := d.blocksNamed(ctx, in.Block)
	if err != nil {
		return LiftedList{}, err
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	now := d.now()
	list := LiftedList{Blocks: []LiftedBlock{}}
	for _, b := range found {
		active := b.State(now) == state.BlockActive
		if active && !in.DryRun {
			if b, err = d.lift(ctx, who, b, reason, state.Request{}); err != nil {
				return LiftedList{}, err
			}
			if err = d.closeRequests(ctx, who, b); err != nil {
				return LiftedList{}, err
			}
		}
		list.Blocks = append(list.Blocks, LiftedBlock{viewOf(b, now), active})
	}
	return list, nil
}

// lift ends an active block, for a request where somebody asked for it.
func (d *Desk) lift(ctx context.Context, who Actor, b state.Block, reason string, r state.Request) (state.Block, error) {
	b, err := d.Store.LiftBlock(ctx, b.ID, d.now(), who.by(), reason)
	if err != nil || b.Note != reason { // somebody else was faster, and has told of it
		return b, err
	}
	d.audit(ctx, who, change{"block lift", b.ID, b.Subject, reason})
	d.tell(Event{What: "lift", Block: b, Request: r})
	return b, nil
}

// blocksNamed finds a block by id, whatever its state, or a subject's active ones.
func (d *Desk) blocksNamed(ctx context.Context, name string) ([]state.Block, error) {
	subject := ""
	if strings.Contains(name, ":") {
		var err error
		if subject, err = mailSubject(name); err != nil {
			return nil, err
		}
	}
	all, err := d.Store.Blocks(ctx)
	if err != nil {
		return nil, err
	}
	now := d.Now()
	var found []state.Block
	for _, b := range all {
		if b.ID == name || b.Subject == subject && b.State(now) == state.BlockActive {
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		return nil, notFound("no active block %.400q", name)
	}
	return found, nil
}

// ExtendBlock gives an active block another end: it is lifted, and a new one with
// its cause takes its place, first, so that there is no gap. Open requests go over
// to the new one.
func (d *Desk) ExtendBlock(ctx context.Context, who Actor, in ExtendBlock) (BlockView, error) {
	now := d.now()
	old, b, err := d.extension(ctx, now, in)
	if err != nil {
		return BlockView{}, err
	}
	b.By = who.Name
	if in.DryRun {
		return viewOf(b, now), nil
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	if b, err = d.newBlock(ctx, b); err != nil {
		return BlockView{}, err
	}
	note := "extended as " + b.ID
	if old, err = d.Store.LiftBlock(ctx, old.ID, now, who.by(), note); err != nil {
		return BlockView{}, err
	}
	if old.Note != note { // somebody lifted or extended it meanwhile: that stands
		if _, err = d.Store.LiftBlock(ctx, b.ID, now, who.by(), "taken back: "+old.ID+" ended before"); err == nil {
			err = conflict("block %s was lifted by %s just now: %s", old.ID, old.LiftedBy, old.Note)
		}
		return BlockView{}, err
	}
	d.audit(ctx, who, change{"block extend", b.ID, b.Subject, "in place of " + old.ID + ": " + b.Reason})
	d.tell(Event{What: "block", Block: b})
	return viewOf(b, now), d.moveRequests(ctx, old, b)
}

// extension is an active block and what is to take its place, without an id.
func (d *Desk) extension(ctx context.Context, now time.Time, in ExtendBlock) (old, b state.Block, err error) {
	all, err := d.Store.Blocks(ctx)
	if err != nil {
		return old, b, err
	}
	i := slices.IndexFunc(all, func(b state.Block) bool { return b.ID == in.Block })
	if i < 0 {
		return old, b, notFound("no block %.100q", in.Block)
	}
	old = all[i]
	if s := old.State(now); s != state.BlockActive {
		return old, b, conflict("block %s is %s; want one in force", old.ID, s)
	}
	b = old
	b.ID, b.Since = "", now
	if b.Until, err = endOf(now, in.For, true); err != nil {
		return old, b, err
	}
	reason, err := text("reason", in.Reason)
	if reason != "" {
		b.Reason = reason
	}
	return old, b, err
}
