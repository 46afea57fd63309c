package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

const (
	// maxBlock leaves room in a doc for what lifting adds.
	maxBlock = maxDoc / 2
	// maxNote bounds what lifting adds; JSON may take six times that.
	maxNote = 4 << 10
)

// DocCalls are the calls of state.Store that are about blocks and answered from
// memory, for every driver: blocks are docs.
type DocCalls struct {
	All   *Docs
	Ready func(ctx context.Context) error                             // why the driver cannot serve; nil when it can
	Put   func(ctx context.Context, doc state.Doc) (state.Doc, error) // the driver's PutDoc
}

// Docs implements state.Store.
func (bs DocCalls) Docs(ctx context.Context, kind string) ([]state.Doc, error) {
	if err := bs.Ready(ctx); err != nil {
		return nil, err
	}
	return bs.All.Of(kind), nil
}

// DocsOf implements state.Store.
func (bs DocCalls) DocsOf(ctx context.Context, kind string, subjects []string) ([]state.Doc, error) {
	if err := bs.Ready(ctx); err != nil {
		return nil, err
	}
	return bs.All.About(kind, subjects), nil
}

// ChangedDocs implements state.Store.
func (bs DocCalls) ChangedDocs(ctx context.Context, kind string, known map[string]int64) ([]state.Doc, error) {
	if err := bs.Ready(ctx); err != nil {
		return nil, err
	}
	return bs.All.Changed(kind, known), nil
}

// ActiveBlocks implements state.Store.
func (bs DocCalls) ActiveBlocks(ctx context.Context, now time.Time, subjects []string) ([]state.Block, error) {
	if err := bs.Ready(ctx); err != nil {
		return nil, err
	}
	return bs.All.Active(now, subjects), nil
}

// BlocksOf implements state.Store.
func (bs DocCalls) BlocksOf(ctx context.Context, subjects []string) ([]state.Block, error) {
	if err := bs.Ready(ctx); err != nil {
		return nil, err
	}
	return bs.All.BlocksOf(subjects), nil
}

// Blocks implements state.Store.
func (bs DocCalls) Blocks(ctx context.Context) ([]state.Block, error) {
	if err := bs.Ready(ctx); err != nil {
		return nil, err
	}
	return bs.All.Blocks(), nil
}

// AddBlock implements state.Store. The block is in force while it is being kept.
func (bs DocCalls) AddBlock(ctx context.Context, b state.Block) error {
	if b.Subject == "" || len(b.ID)+len(b.Subject) > maxName {
		return fmt.Errorf("block %.100q: subject of %d bytes; want 1 to %d with the id", b.ID, len(b.Subject), maxName)
	}
	doc, err := encodeBlock(b)
	if err != nil {
		return err
	}
	if len(doc.Data) > maxBlock {
		return fmt.Errorf("block %.100q: %d bytes; want at most %d", b.ID, len(doc.Data), maxBlock)
	}
	_, err = bs.Put(ctx, doc)
	return err
}

// LiftBlock implements state.Store.
func (bs DocCalls) LiftBlock(ctx context.Context, id string, now time.Time, by, note string) (state.Block, error) {
	if err := state.CheckTime(now); err != nil {
		return state.Block{}, err
	}
	if n := len(by) + len(note); n > maxNote {
		return state.Block{}, fmt.Errorf("lift of %.100q: a note of %d bytes; want at most %d", id, n, maxNote)
	}
	for {
		doc, ok := bs.All.Get(state.BlockKind, id)
		if !ok {
			return state.Block{}, fmt.Errorf("block %.100q: %w", id, state.ErrNotFound)
		}
		b, err := decodeBlock(doc)
		if err != nil {
			return state.Block{}, err
		}
		if b.State(now) == state.BlockActive {
			b.LiftedAt, b.LiftedBy, b.Note = now.UTC(), by, note
		}
		next, err := encodeBlock(b)
		if err != nil {
			return state.Block{}, err
		}
		next.Rev = doc.Rev
		// Put even what stays the same: the lift before this one may not be kept yet.
		_, err = bs.Put(ctx, next)
		if errors.Is(err, state.ErrConflict) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return state.Block{}, fmt.Errorf("lift of %.100q: %w", id, err)
		}
		return b, nil
	}
}

// JSON holds no bytes that are not UTF-8; mail does. So every text that others may
// have chosen is escaped.
func blockTexts(b *state.Block) []*string {
	texts := []*string{&b.ID, &b.Subject, &b.Rule, &b.Reason, &b.By, &b.Account, &b.Customer, &b.LiftedBy, &b.Note}
	for i := range b.Decisions {
		texts = append(texts, &b.Decisions[i])
	}
	return texts
}

func encodeBlock(b state.Block) (state.Doc, error) {
	b.Since, b.Until, b.LiftedAt = b.Since.UTC(), b.Until.UTC(), b.LiftedAt.UTC()
	id := b.ID
	b.Decisions = slices.Clone(b.Decisions)
	text.EscapeAll(blockTexts(&b))
	data, err := json.Marshal(b)
	if err != nil {
		return state.Doc{}, fmt.Errorf("block %.100q: %w", id, err)
	}
	return state.Doc{Kind: state.BlockKind, ID: id, Data: data}, nil
}

func decodeBlock(doc state.Doc) (b state.Block, err error) {
	if err = json.Unmarshal(doc.Data, &b); err == nil {
		err = text.UnescapeAll(blockTexts(&b))
	}
	if err == nil && b.ID != doc.ID {
		err = fmt.Errorf("it says that it is %.100q", b.ID)
	}
	if err != nil {
		err = fmt.Errorf("block %.100q: %w", doc.ID, err)
	}
	return b, err
}
