package redisdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

const (
	pageDocs = 200 // docs read by one call; up to 64 KiB each
	backDocs = 50  // docs put back by one call, likewise
)

// mirror keeps this host's copy of the docs like the server's.
//
// Invariant: docs are at least as new as known says.
type mirror struct {
	docs  *ledger.Docs
	diary *diary
	log   *slog.Logger
	known atomic.Pointer[generation]
	turn  chan struct{} // holds one while somebody reads changes
	// claim writes what the server needs beside docs; putBack is told what a server
	// that had lost it was given again.
	claim   func(context.Context, redis.UniversalClient) error
	putBack func(docs int)
}

// generation is how far a copy of the docs has come.
type generation struct {
	n    int64  // -1 before the first
	mark string // proves that n is of the server's history; empty before the first
}

func (g generation) String() string { return fmt.Sprintf("%d %s", g.n, g.mark) }

var none = generation{n: -1}

func parseGeneration(s string) (generation, error) {
	n, mark, ok := strings.Cut(s, " ")
	g, err := strconv.ParseInt(n, 10, 64)
	if !ok || err != nil || g < 0 || mark == "" {
		return none, fmt.Errorf("%s: found %.100q; want a number and a mark", genKey, s)
	}
	return generation{g, mark}, nil
}

// begin takes what the journal knows.
func (m *mirror) begin(docs []state.Doc, known generation) {
	for _, doc := range docs {
		if err := m.docs.Load(doc); err != nil {
			m.log.Error("redis: a doc of the journal is not in force", "err", err)
		}
	}
	m.known.Store(&known)
}

func newMark() string {
	var b [8]byte
	rand.Read(b[:]) // never returns an error
	return hex.EncodeToString(b[:])
}

func field(doc state.Doc) string { return doc.Kind + "/" + doc.ID }

func value(doc state.Doc) string { return strconv.FormatInt(doc.Rev, 10) + " " + string(doc.Data) }

// parseDoc reads a field of the docs and its value; Data is nil where that is empty.
func parseDoc(field, value string) (state.Doc, error) {
	kind, id, _ := strings.Cut(field, "/")
	doc := state.Doc{Kind: kind, ID: id}
	if value == "" {
		return doc, nil
	}
	rev, data, ok := strings.Cut(value, " ")
	n, err := strconv.ParseInt(rev, 10, 64)
	if !ok || err != nil || n < 1 {
		return doc, fmt.Errorf("doc %.200q: found %.100q; want a revision and data", field, value)
	}
	doc.Rev, doc.Data = n, []byte(data)
	return doc, ledger.CheckDoc(doc)
}

// sync brings the copy up to the server's, if it is still as the caller found it.
func (m *mirror) sync(ctx context.Context, c redis.UniversalClient, found generation) error {
	return m.inTurn(ctx, func() error {
		if *m.known.Load() != found {
			return nil // somebody else has
		}
		return m.catchUp(ctx, c)
	})
}

func (m *mirror) inTurn(ctx context.Context, f func() error) error {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// catchUp has its turn.
func (m *mirror) catchUp(ctx context.Context, c redis.UniversalClient) error {
	known := *m.known.Load()
	status := "other" // of a host that knows of no generation, but maybe of docs
	if known != none {
		var err error
		if status, err = m.readOn(ctx, c, known, nil); err != nil {
			return err
		}
	}
	switch status {
	case "ok":
		return nil
	case "other":
		if err := m.restore(ctx, c, known); err != nil {
			return err
		}
	}
	return m.readAll(ctx, c)
}

// readAll reads every doc anew and forgets those that the server does not have.
func (m *mirror) readAll(ctx context.Context, c redis.UniversalClient) error {
	seen := make(map[string]bool)
	if _, err := m.readOn(ctx, c, none, seen); err != nil {
		return err
	}
	var gone []state.Doc
	for _, doc := range m.docs.All() {
		if !seen[field(doc)] {
			gone = append(gone, state.Doc{Kind: doc.Kind, ID: doc.ID})
		}
	}
	m.apply(gone, *m.known.Load())
	return nil
}

// readOn reads what has changed since a generation; with seen everything, noting
// there what there is. It says 'ok' when it has come to the end.
func (m *mirror) readOn(ctx context.Context, c redis.UniversalClient, from generation, seen map[string]bool) (string, error) {
	anew := seen != nil
	for after := from.n; ; {
		p, err := m.page(ctx, c, after, from.mark, anew)
		if err != nil || p.status != "ok" {
			return p.status, err
		}
		for _, doc := range p.docs {
			if seen != nil {
				seen[field(doc)] = doc.Data != nil
			}
		}
		if p.end != none {
			m.apply(p.docs, p.end)
			return "ok", nil
		}
		m.apply(p.docs, *m.known.Load())
		after, anew = p.last, true // the mark is only of the generation that we began at
	}
}

// page is an answer of changes.lua.
type page struct {
	status string
	docs   []state.Doc
	last   int64      // the generation read up to
	end    generation // the server's, when there is no more; else none
}

func (m *mirror) page(ctx context.Context, c redis.UniversalClient, after int64, mark string, anew bool) (page, error) {
	p := page{end: none}
	r, err := run(ctx, c, changesScript, docKeys, []any{newMark(), after, mark, pageDocs, anew})
	if err != nil {
		return p, err
	}
	if p.status = r.text(); p.status != "ok" {
		return p, r.problem(p.status)
	}
	p.last = r.number()
	end := r.text()
	p.docs = m.parse(r)
	if r.bad != nil || end == "" {
		return p, r.bad
	}
	if p.end, err = parseGeneration(end); err == nil && p.end.n < p.last {
		err = fmt.Errorf("%s: %d after %d: the docs changed their history", genKey, p.end.n, p.last)
	}
	return p, err
}

// problem is the error of a status that no caller can go on with.
func (r *reply) problem(status string) error {
	switch status {
	case "ok", "behind", "other", "conflict":
		return r.bad
	case "damaged":
		return fmt.Errorf("%s is damaged; want a number and a mark", genKey)
	}
	r.fail(status)
	return r.bad
}

// parse reads fields and values. A doc that cannot be read is logged and skipped: the
// others must be in force all the same.
func (m *mirror) parse(r *reply) []state.Doc {
	var docs []state.Doc
	for r.more() {
		doc, err := parseDoc(r.text(), r.text())
		if err != nil {
			m.log.Error("redis: a doc cannot be read and is not in force", "key", docKeys[0], "err", err)
			continue
		}
		docs = append(docs, doc)
	}
	return docs
}

// apply makes docs, and g, this host's. A doc without Data is deleted.
func (m *mirror) apply(docs []state.Doc, g generation) {
	for _, doc := range docs {
		if doc.Data == nil {
			m.docs.Drop(doc.Kind, doc.ID)
		} else if err := m.docs.Load(doc); err != nil {
			m.log.Error("redis: a doc is not in force", "err", err)
		}
	}
	if len(docs) > 0 || *m.known.Load() != g {
		m.diary.append(docs, g)
	}
	m.known.Store(&g)
}

// restore gives the server what this host knows and the server has lost.
func (m *mirror) restore(ctx context.Context, c redis.UniversalClient, known generation) error {
	if err := m.claim(ctx, c); err != nil {
		return err
	}
	all, back := m.docs.All(), 0
	for len(all) > 0 {
		n := min(backDocs, len(all))
		args := []any{newMark(), known.n, known.mark, docsChannel}
		for _, doc := range all[:n] {
			args = append(args, field(doc), value(doc))
		}
		r, err := run(ctx, c, restoreScript, docKeys, args)
		if err != nil {
			return err
		}
		if status := r.text(); status != "ok" {
			return errors.Join(r.problem(status), r.bad)
		}
		back += int(r.number())
		if r.bad != nil {
			return r.bad
		}
		all = all[n:]
	}
	if known != none || back > 0 {
		m.putBack(back)
	}
	return nil
}

// PutDoc implements state.Store.
func (s *Store) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if err := s.enter(ctx); err != nil {
		return state.Doc{}, err
	}
	defer s.leave()
	if err := ledger.CheckDoc(doc); err != nil {
		return state.Doc{}, err
	}
	err := s.link.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		return s.mirror.put(ctx, c, doc)
	})
	if err != nil {
		return state.Doc{}, fmt.Errorf("%s %.100q: %w", doc.Kind, doc.ID, err)
	}
	doc.Rev++
	return doc, nil
}

// put changes a doc on the server, and then here, with all that came before it.
func (m *mirror) put(ctx context.Context, c redis.UniversalClient, doc state.Doc) error {
	next := ""
	if doc.Data != nil {
		next = value(state.Doc{Rev: doc.Rev + 1, Data: doc.Data})
	}
	for {
		known := *m.known.Load()
		r, err := run(ctx, c, putScript, docKeys, []any{newMark(), known.n, known.mark, field(doc), doc.Rev, next, docsChannel})
		if err != nil {
			return err
		}
		status := r.text()
		if err := r.problem(status); err != nil {
			return err
		}
		// Not sync: what somebody else has just read may be from before this change.
		if err := m.inTurn(ctx, func() error { return m.catchUp(ctx, c) }); err != nil {
			return err
		}
		switch status {
		case "ok":
			return nil
		case "conflict":
			return refusal{fmt.Errorf("revision %d, not %d: %w", r.number(), doc.Rev, state.ErrConflict)}
		}
	}
}

// LiftBlock implements state.Store. A block that another host has just made is
// known by then.
func (s *Store) LiftBlock(ctx context.Context, id string, now time.Time, by, note string) (state.Block, error) {
	if err := s.enter(ctx); err != nil {
		return state.Block{}, err
	}
	defer s.leave()
	if err := s.link.do(ctx, s.mirror.renew); err != nil {
		return state.Block{}, fmt.Errorf("lift of %.100q: %w", id, err)
	}
	return s.DocCalls.LiftBlock(ctx, id, now, by, note)
}

// renew brings the docs up to date if they are not.
func (m *mirror) renew(ctx context.Context, c redis.UniversalClient) error {
	known := *m.known.Load()
	now, err := c.Get(ctx, genKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	if now == known.String() {
		return nil
	}
	return m.sync(ctx, c, known)
}

// ready says why a call about docs cannot be answered from memory. While the server
// is away it can, as far as they are known.
func (s *Store) ready(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if *s.mirror.known.Load() == none {
		return unavailable{s.link.fault()}
	}
	return nil
}
