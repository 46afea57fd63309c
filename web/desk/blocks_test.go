package desk

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

func TestAddBlock(t *testing.T) {
	f := newDesk(t)
	v := f.block(t, "account:Alice@client-a.example")
	if !regexp.MustCompile(`^B[0-9A-HJKMNP-TV-Z]{8}$`).MatchString(v.ID) {
		t.Errorf("id %q", v.ID)
	}
	if v.Subject != "account:alice@client-a.example" || v.Rule != "manual" || v.By != "root" || v.State != state.BlockActive ||
		!v.Since.Equal(start) || !v.Until.Equal(start.Add(4*time.Hour)) {
		t.Errorf("%+v", v)
	}
	if !slices.Equal(f.events, []string{"block " + v.ID}) {
		t.Errorf("events %v", f.events)
	}
	audit, err := f.Audit(t.Context(), AuditQuery{Target: v.ID})
	if err != nil || len(audit.Audit) != 1 {
		t.Fatalf("%+v, %v", audit, err)
	}
	if a := audit.Audit[0]; a.By != "root" || a.From != "cli" || a.What != "block add" || a.Subject != v.Subject || a.Reason != "ticket 1" || !a.At.Equal(start) {
		t.Errorf("%+v", a)
	}
	if want := `msg=audit what="block add" id=` + v.ID + ` subject=account:alice@client-a.example reason="ticket 1" by=root from=cli`; !strings.Contains(f.log.String(), want) {
		t.Errorf("no %q in %s", want, f.log.String())
	}
	manual, err := f.AddBlock(t.Context(), root, AddBlock{Subject: "ip:192.0.2.7", For: "manual"})
	if err != nil || manual.Until != nil {
		t.Errorf("%+v, %v", manual, err)
	}
}

func TestAddBlockRefuses(t *testing.T) {
	f := newDesk(t)
	before := f.everything(t)
	for name, c := range map[string]struct {
		in   AddBlock
		part string
	}{
		"no kind":       {AddBlock{Subject: "alice", For: "1h"}, "want account:"},
		"pair":          {AddBlock{Subject: "account:a+domain:b.example", For: "1h"}, "has windows only"},
		"no length":     {AddBlock{Subject: "account:a"}, "want 30m, 4h, 7d or manual"},
		"nothing":       {AddBlock{Subject: "account:a", For: "0s"}, "want 30m"},
		"under none":    {AddBlock{Subject: "account:a", For: "-1h"}, "want 30m"},
		"too long":      {AddBlock{Subject: "account:a", For: "3651d"}, "at most 3650d"},
		"reason":        {AddBlock{Subject: "account:a", For: "1h", Reason: strings.Repeat("x", 4001)}, "at most 4000"},
		"escape":        {AddBlock{Subject: "account:a", For: "1h", Reason: "\x1b[2J"}, "control character"},
		"no UTF-8":      {AddBlock{Subject: "account:a", For: "1h", Reason: "\xff"}, "UTF-8"},
		"C1 control":    {AddBlock{Subject: "account:a", For: "1h", Reason: "\u009b2J"}, "control character"},
		"subject's ESC": {AddBlock{Subject: "account:a\x1b", For: "1h"}, "control character"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.AddBlock(t.Context(), root, c.in)
			wants(t, err, ErrBad, c.part)
		})
	}
	for _, in := range []AddBlock{
		{Subject: "account:a", For: "3650d"}, {Subject: "account:a", For: "1s", Reason: strings.Repeat("x", 4000)},
		{Subject: "account:a", For: "1h", Reason: "two\r\nlines"},
	} {
		in.DryRun = true
		if v, err := f.AddBlock(t.Context(), root, in); err != nil || v.ID != "" || strings.Contains(v.Reason, "\r") {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if f.everything(t) != before {
		t.Error("something was stored")
	}
}

func TestLiftBlock(t *testing.T) {
	f := newDesk(t)
	a, b, other := f.block(t, "account:x"), f.block(t, "account:x"), f.block(t, "account:y")
	lift := func(in LiftBlock) LiftedList {
		t.Helper()
		list, err := f.LiftBlock(t.Context(), root, in)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	before := f.everything(t)
	if list := lift(LiftBlock{Block: "account:X", DryRun: true}); len(list.Blocks) != 2 || !list.Blocks[0].Changed || f.everything(t) != before {
		t.Errorf("dry run: %+v", list)
	}
	if list := lift(LiftBlock{Block: a.ID, Reason: strings.Repeat("y", 4000)}); !list.Blocks[0].Changed || list.Blocks[0].State != state.BlockLifted || list.Blocks[0].LiftedBy != "root" {
		t.Errorf("by id: %+v", list)
	}
	f.now = f.now.Add(time.Hour)
	if list := lift(LiftBlock{Block: a.ID, Reason: "again"}); list.Blocks[0].Changed || !list.Blocks[0].LiftedAt.Equal(start) || list.Blocks[0].Note == "again" {
		t.Errorf("twice: %+v", list)
	}
	if list := lift(LiftBlock{Block: "account:x"}); len(list.Blocks) != 1 || list.Blocks[0].ID != b.ID {
		t.Errorf("by subject: %+v", list)
	}
	for _, name := range []string{"account:x", "BNOSUCH0", ""} {
		_, err := f.LiftBlock(t.Context(), root, LiftBlock{Block: name})
		wants(t, err, ErrNotFound, "no active block")
	}
	if s := f.stateOf(t, other.ID); s != state.BlockActive {
		t.Errorf("another subject's block is %s", s)
	}
	list, err := f.Blocks(t.Context(), false)
	if err != nil || len(list.Blocks) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err = f.Blocks(t.Context(), true); err != nil || len(list.Blocks) != 3 {
		t.Errorf("%+v, %v", list, err)
	}
}

// A long name leaves the store room for the note.
func TestLiftByLongName(t *testing.T) {
	f := newDesk(t)
	b := f.block(t, "account:x")
	list, err := f.LiftBlock(t.Context(), Actor{Name: strings.Repeat("\u00e9", 400)}, LiftBlock{Block: b.ID, Reason: strings.Repeat("x", 4000)})
	if err != nil || list.Blocks[0].LiftedBy != strings.Repeat("\u00e9", 45) {
		t.Errorf("%+v, %v", list, err)
	}
}

// raced is a store in which somebody does something just before the first block comes.
type raced struct {
	state.Store
	first func()
}

func (r *raced) AddBlock(ctx context.Context, b state.Block) error {
	if f := r.first; f != nil {
		r.first = nil
		f()
	}
	return r.Store.AddBlock(ctx, b)
}

// Whoever extends a block that another lifts or extends at this moment leaves what
// the other did.
func TestExtendBlockThatEndsMeanwhile(t *testing.T) {
	for what, active := range map[string]int{"lift": 0, "extend": 1} {
		f := newDesk(t)
		old := f.automatic(t, "BAUTO", "account:alice@client-a.example")
		f.Store = &raced{f.Store, func() {
			var err error
			if what == "lift" {
				_, err = f.LiftBlock(t.Context(), Actor{Name: "zoe"}, LiftBlock{Block: old.ID, Reason: "talked to her"})
			} else {
				_, err = f.ExtendBlock(t.Context(), Actor{Name: "zoe"}, ExtendBlock{Block: old.ID, For: "1h"})
			}
			if err != nil {
				t.Error(err)
			}
		}}
		if _, err := f.ExtendBlock(t.Context(), root, ExtendBlock{Block: old.ID, For: "7d"}); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v; want a conflict", what, err)
		}
		if list, err := f.Blocks(t.Context(), false); err != nil || len(list.Blocks) != active {
			t.Errorf("%s: %+v in force, %v; want %d", what, list.Blocks, err, active)
		}
	}
}

func TestExtendBlock(t *testing.T) {
	f := newDesk(t)
	old := f.automatic(t, "BAUTO", "account:alice@client-a.example", func(b *state.Block) { b.Before = 2; b.Account = "alice@client-a.example" })
	r := f.ask(t, "alice@client-a.example", old.ID)
	f.now = f.now.Add(time.Hour)
	before := f.everything(t)
	dry, err := f.ExtendBlock(t.Context(), root, ExtendBlock{Block: old.ID, For: "7d", DryRun: true})
	if err != nil || dry.ID != "" || !dry.Until.Equal(f.now.Add(7*24*time.Hour)) || f.everything(t) != before {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	v, err := f.ExtendBlock(t.Context(), root, ExtendBlock{Block: old.ID, For: "7d", Reason: "still sending"})
	if err != nil {
		t.Fatal(err)
	}
	if v.Reason != "still sending" || v.Rule != old.Rule || v.By != "root" || !v.Since.Equal(f.now) || v.ID == old.ID {
		t.Errorf("%+v", v)
	}
	was, err := f.Block(t.Context(), old.ID)
	if err != nil || was.State != state.BlockLifted || was.Note != "extended as "+v.ID || !was.Since.Equal(start) || !was.Until.Equal(old.Until) {
		t.Errorf("%+v, %v", was, err)
	}
	now, err := f.Block(t.Context(), v.ID)
	if err != nil || len(now.Requests) != 1 || now.Requests[0].ID != r.ID || len(now.Earlier) != 1 || now.Account != old.Account {
		t.Errorf("%+v, %v", now, err)
	}
	_, err = f.ExtendBlock(t.Context(), root, ExtendBlock{Block: old.ID, For: "1h"})
	wants(t, err, ErrConflict, "is lifted")
	_, err = f.ExtendBlock(t.Context(), root, ExtendBlock{Block: "BNOSUCH", For: "1h"})
	wants(t, err, ErrNotFound, "no block")
	_, err = f.ExtendBlock(t.Context(), root, ExtendBlock{Block: v.ID, For: "soon"})
	wants(t, err, ErrBad, "no duration")
	for len(f.events) > 0 && f.events[0] != "block "+v.ID {
		f.events = f.events[1:]
	}
	if len(f.events) != 1 {
		t.Errorf("events %v", f.events)
	}
	// A block can be extended to its last second, not at its end.
	f.now = v.Until.Add(-time.Second)
	if _, err = f.ExtendBlock(t.Context(), root, ExtendBlock{Block: v.ID, For: "1h", DryRun: true}); err != nil {
		t.Error(err)
	}
	f.now = *v.Until
	_, err = f.ExtendBlock(t.Context(), root, ExtendBlock{Block: v.ID, For: "1h"})
	wants(t, err, ErrConflict, "is expired")
}

func TestBlockDetail(t *testing.T) {
	f := newDesk(t)
	evidence := []rules.Evidence{{Rule: "identity.header_from", Fact: "header From", Got: "boss@bank.example", Want: "own"}}
	raw, err := json.Marshal(evidence)
	if err != nil {
		t.Fatal(err)
	}
	detail, err := json.Marshal(rules.Detail{Reply: "550", Subject: "hello", Evidence: evidence})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Store.Record(t.Context(), state.Decision{ID: "D1", At: start, Action: "reject", Rule: "identity.header_from", Detail: detail}); err != nil {
		t.Fatal(err)
	}
	f.automatic(t, "B0", "account:x", func(b *state.Block) { b.Since = start.Add(-time.Hour) })
	f.automatic(t, "B1", "account:x", func(b *state.Block) { b.Evidence = raw; b.Decisions = []string{"D1", "DGONE"} })
	f.automatic(t, "B2", "account:x", func(b *state.Block) { b.Since = start.Add(time.Hour); b.Evidence = json.RawMessage(`{}`) })
	v, err := f.Block(t.Context(), "B1")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(v.Evidence, evidence) || len(v.Decisions) != 1 || v.Decisions[0].Detail.Subject != "hello" || len(v.Earlier) != 1 || v.Earlier[0].ID != "B0" {
		t.Errorf("%+v", v)
	}
	if v, err = f.Block(t.Context(), "B2"); err != nil || len(v.Evidence) != 1 || !strings.Contains(v.Evidence[0].Got, "cannot be read") {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = f.Block(t.Context(), "B9")
	wants(t, err, ErrNotFound, `no block "B9"`)
}
