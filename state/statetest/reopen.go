package statetest

import (
	"context"
	"testing"
	"time"

	"o2n-milter/state"
)

// Reopen runs what only a durable store can pass: all that was answered is there
// after Close and another Open. Reopen gets the store closed, and opens it again.
func Reopen(t *testing.T, open func(t *testing.T) state.Store, reopen func(t *testing.T) state.Store) {
	first := &suite{T: t, Store: open(t), ctx: context.Background()}
	first.remember()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := &suite{T: t, Store: reopen(t), ctx: context.Background()}
	second.stillThere()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := &suite{T: t, Store: reopen(t), ctx: context.Background()}
	defer third.Close()
	third.afterReset()
}

// The stores here are opened again a while after the last call to the one before
// them, whose clock was ahead. A store may begin a new time line then, or go on
// with the old one: both must pass.
var (
	again   = start.Add(20 * time.Minute)
	reopens = start.Add(25 * time.Minute)
	kept    = window("day", "account:kept", 24*time.Hour, 10)
	cleared = window("day", "account:cleared", 24*time.Hour, 10)
	// clearedLetters is whose letters are cleared.
	clearedLetters = "account:cleared-letters"
	ahead          = window("minute", "account:ahead", time.Minute, 1)
)

func (s *suite) remember() {
	s.Helper()
	s.useOddNames()
	s.take(start, []state.Charge{charge(kept, 9)})
	s.take(start, []state.Charge{charge(cleared, 1)})
	s.reset(cleared.Subject, 1)
	s.beginLetters()
	s.rememberSets()
	s.rememberLetters()
	s.rememberDocs()
	s.take(again, []state.Charge{charge(kept, 1)})
	s.take(start.Add(30*time.Minute), []state.Charge{charge(ahead, 1)})
	s.add(block("lifted", "account:kept", time.Hour))
	if _, err := s.LiftBlock(s.ctx, "lifted", start.Add(time.Second), "op", "why"); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) stillThere() {
	s.Helper()
	full := func(now time.Time, w state.Window, used int64) {
		s.Helper()
		a, err := s.Take(s.ctx, now, asks(charge(w, 1)))
		if err != nil || len(a.Full) != 1 || a.Full[0].Used != used {
			s.Errorf("window %v: full %v, error %v; want it full at %d", w, a.Full, err, used)
		}
	}
	full(reopens, kept, 10)
	s.used(reopens, []state.Window{kept, cleared}, 10, 0)
	// Charged by a process whose clock was ahead: counts, but no longer than W.
	full(reopens, ahead, 1)
	s.take(reopens.Add(62*time.Second), []state.Charge{charge(ahead, 1)})
	s.oddNamesThere()
	s.setsThere()
	s.lettersThere()
	s.docsThere()

	lifted := block("lifted", "account:kept", time.Hour)
	lifted.LiftedAt, lifted.LiftedBy, lifted.Note = start.Add(time.Second), "op", "why"
	s.active(reopens, []string{"account:kept"})
	s.lift("lifted", reopens, "another", "", lifted)
	if all, err := s.Blocks(s.ctx); err != nil || len(all) != len(oddNames())+1 {
		s.Errorf("%d blocks, error %v; want %d", len(all), err, len(oddNames())+1)
	}
	s.reset(kept.Subject, 2) // in memory by now, and its set
}

func (s *suite) afterReset() {
	s.Helper()
	now := reopens.Add(2 * time.Minute)
	s.used(now, []state.Window{kept}, 0)
	s.known(now, kept.Subject, false, "r1", "r2", "r3")
	s.nameOfCampaign(now, kept.Subject, bits(1), 0)
	s.reset(kept.Subject, 0)
	// Never touched by this process: read from the store, and cleared there.
	n := oddNames()[0]
	s.known(now, n, true, "r2", "r3")
	s.nameOfCampaign(now, n, bits(0), 2)
	s.reset(n, 2+len(oddNames()))
	s.used(now, oddWindows(n), 0, 0)
	s.known(now, n, false, "r1", "r2", "r3")
	s.nameOfCampaign(now, n, bits(1), 0)
	s.docsThere()
}

// dayRecipients are the new recipients of a day, and stay as long as the test.
func dayRecipients(subject string) state.Window {
	return window("recipients", subject, 24*time.Hour, 1<<40)
}

// rememberSets puts members into sets: some again, some cleared, some forgotten
// for want of room.
func (s *suite) rememberSets() {
	s.Helper()
	for _, n := range append(oddNames(), kept.Subject, cleared.Subject) {
		s.costs(start, asks(to(dayRecipients(n), "r1", "r2")), []int64{2})
	}
	s.reset(cleared.Subject, 1)
	bounded := dayRecipients("account:bounded")
	s.costs(start, asks(to(bounded, numbered(0, 100)...)), []int64{100})
	for _, n := range append(oddNames(), kept.Subject) {
		s.costs(again, asks(to(dayRecipients(n), "r2", "r3")), []int64{1})
	}
	s.costs(again, asks(to(dayRecipients(cleared.Subject), "r3")), []int64{1})
	s.costs(again, asks(to(bounded, numbered(100, state.MaxMembers)...)), []int64{state.MaxMembers})
}

func (s *suite) setsThere() {
	s.Helper()
	for _, n := range append(oddNames(), kept.Subject) {
		s.known(reopens, n, true, "r1", "r2", "r3")
		s.known(reopens, n, false, "r4", "r5")
		s.known(unknown.Add(time.Minute), n, false, "r1")
		s.known(unknown.Add(time.Minute), n, true, "r2", "r3")
	}
	s.known(reopens, cleared.Subject, false, "r1", "r2")
	s.known(reopens, cleared.Subject, true, "r3")
	s.known(reopens, "account:bounded", false, numbered(0, 100)...)
	s.known(reopens, "account:bounded", true, numbered(100, state.MaxMembers)...)
}

// beginLetters begins campaigns, and clears some.
func (s *suite) beginLetters() {
	s.Helper()
	for _, n := range append(oddNames(), kept.Subject, clearedLetters) {
		s.letterOf(start, n, bits(0), 0, "r1", "r2")
	}
	s.reset(clearedLetters, 0)
	s.letterOf(start, clearedLetters, bits(1), 0, "r1")
}

// rememberLetters sends letters again, and more than there is room for.
func (s *suite) rememberLetters() {
	s.Helper()
	s.letterOf(again, kept.Subject, bits(2), 2, "r2", "r3")
	for i, sketch := range sketches(state.MaxCampaigns + 2) {
		s.letterOf(again, "account:bounded", sketch, 0, numbered(i, 1+i%2)...)
	}
}

// letterOf sends a letter of a campaign with so many recipients.
func (s *suite) letterOf(now time.Time, subject string, sketch state.Sketch, known int64, members ...string) {
	s.Helper()
	a, err := s.Take(s.ctx, now, mails(letter(subject, sketch, 1<<40, members...)))
	if err != nil || a.Campaigns[0].Known != known {
		s.Errorf("letter of %q: %+v, %v; want %d known", subject, a.Campaigns, err, known)
	}
}

// nameOfCampaign wants the campaign of a letter to be named by this first one, and to
// have so many recipients.
func (s *suite) nameOfCampaign(now time.Time, subject string, first state.Sketch, known int64) {
	s.Helper()
	ask := mails(letter(subject, bits(1), 1<<40, "nobody"))
	ask.Dry = true
	s.send(now, ask, state.Campaign{ID: state.CampaignID(subject, first), Known: known, New: 1})
}

func (s *suite) lettersThere() {
	s.Helper()
	for _, n := range oddNames() {
		s.nameOfCampaign(reopens, n, bits(0), 2)
	}
	s.nameOfCampaign(reopens, clearedLetters, bits(1), 1)
	s.nameOfCampaign(reopens, kept.Subject, bits(0), 3)
	s.nameOfCampaign(unknown.Add(time.Minute), kept.Subject, bits(0), 2) // r1 has left
	there := 0
	for i, sketch := range sketches(state.MaxCampaigns + 2) {
		ask := mails(letter("account:bounded", sketch, 1<<40, "nobody"))
		ask.Dry = true
		a, err := s.Take(s.ctx, reopens, ask)
		if err != nil || a.Campaigns[0].Known != 0 && a.Campaigns[0].Known != int64(1+i%2) {
			s.Fatalf("campaign %d: %+v, %v", i, a.Campaigns, err)
		}
		there += int(min(1, a.Campaigns[0].Known))
	}
	if there != state.MaxCampaigns {
		s.Errorf("%d campaigns; want %d", there, state.MaxCampaigns)
	}
	// One more fits in the place of another.
	s.letterOf(reopens, "account:bounded", bits(128), 0, "r1")
}

func (s *suite) rememberDocs() {
	s.Helper()
	s.put(doc("note", "a", 0, `{"subject":"account:a"}`))
	s.put(doc("note", "b", 0, `1`))
	s.put(doc("note", "b", 1, `2`))
	s.put(doc("note", "c", 0, `3`))
	s.put(doc("note", "c", 1, ""))
	s.put(doc("notes", "c", 0, `4`))
}

func (s *suite) docsThere() {
	s.Helper()
	a := doc("note", "a", 1, `{"subject":"account:a"}`)
	s.docs("note", a, doc("note", "b", 2, `2`))
	s.docs("notes", doc("notes", "c", 1, `4`))
	if got, err := s.DocsOf(s.ctx, "note", []string{"account:a"}); err != nil || len(got) != 1 || got[0].ID != "a" {
		s.Errorf("docs of account:a: %v, %v; want the one", got, err)
	}
	s.conflicts(doc("note", "b", 1, `5`))
	s.conflicts(doc("note", "c", 2, `5`))
}
