package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

// holding is a bench that keeps what it is told to hold.
type holding struct {
	*bench
	held []state.Held
	err  error
}

func newHolding(t *testing.T, change func(*Settings)) *holding {
	t.Helper()
	h := &holding{}
	h.bench = newBench(t, func(s *Settings) {
		if change != nil {
			change(s)
		}
		s.Hold = func(_ context.Context, _ time.Time, r state.Held) error {
			if h.err == nil {
				h.held = append(h.held, r)
			}
			return h.err
		}
	})
	return h
}

// fill decides the same message until it is held, and returns its record.
func (h *holding) fill(t *testing.T, m func() *Mail) state.Held {
	t.Helper()
	for range 100 {
		if v := h.decide(t, m()); v.Action == Quarantine {
			return h.held[len(h.held)-1]
		}
	}
	t.Fatal("nothing is held")
	return state.Held{}
}

func anyTime([]state.Charge) time.Time { return time.Time{} }

// release asks for it now.
func (h *holding) release(t *testing.T, r state.Held) Release {
	t.Helper()
	got, err := h.Release(t.Context(), h.at, r, anyTime)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func fromCron() *Mail { return local("cron@web1.example", "From: cron@web1.example") }

func fromShop() *Mail { return local("www-data@web1.example", "From: www-data@web1.example") }

func TestHeldRecord(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "account", Unit: Messages, Max: 2, Window: time.Minute, Action: Tempfail}))
	r := h.fill(t, fromShop)
	if r.Subject != "account:shop" || r.Rule != "limit.minute" || r.Account != "shop" || r.Customer != "C-1003" || r.Host != "mx.example" ||
		r.QueueID != "Q1" || r.From != "www-data@web1.example" || r.State != state.HeldWaiting || r.Size != 1000 ||
		!slices.Equal(r.Recipients, []string{"bob@remote.example"}) || r.Since != start || !strings.HasSuffix(r.Reason, "[limit.minute "+r.ID+"]") {
		t.Errorf("%+v", r)
	}
	if due := r.Due.Sub(start); due < time.Minute || due > 62*time.Second {
		t.Errorf("due in %s", due)
	}
	if !MayBounce(r) {
		t.Error("its own sender may not be told")
	}
	d, err := h.store.Decision(t.Context(), r.ID)
	if err != nil || d.Action != "quarantine" {
		t.Errorf("%+v, %v", d, err)
	}
}

// Behind whose mail it waits, and who decides about it.
func TestHeldFor(t *testing.T) {
	quarantine := func(id string) func(*Settings) {
		return func(s *Settings) { s.Actions[id], s.MaxEnvelope = Quarantine, 1 }
	}
	two := func(m *Mail) *Mail { m.Recipients = rcpts("a@x.example", "b@x.example"); return m }
	for name, c := range map[string]struct {
		set     func(*Settings)
		block   string
		mail    *Mail
		subject string
		state   state.HeldState
	}{
		"a rule, a login":  {quarantine("recipients.envelope"), "", two(mail()), "account:alice@client-a.example", state.HeldKept},
		"a rule, a script": {quarantine("recipients.envelope"), "", two(fromCron()), "script:cron@web1.example", state.HeldKept},
		"a block":          {quarantine("block.active"), "customer:C-1001", mail(), "customer:C-1001", state.HeldWaiting},
		"a full domain": {func(s *Settings) {
			s.Limits = []Limit{{Name: "d", Subject: "domain", Unit: Messages, Max: 1, Window: time.Minute, Action: Quarantine}}
		}, "", mail(), "domain:remote.example", state.HeldWaiting},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolding(t, c.set)
			if c.block != "" {
				h.block(t, "B1", c.block)
			}
			h.decide(t, c.mail)
			v := h.decide(t, c.mail)
			if v.Action != Quarantine || h.held[0].Subject != c.subject || h.held[0].State != c.state {
				t.Errorf("%s %s: %+v", v.Action, v.Rule, h.held)
			}
		})
	}
}

// What cannot be written down is not held.
func TestHoldFull(t *testing.T) {
	set := func(s *Settings) {
		s.Actions["recipients.envelope"], s.MaxEnvelope = Quarantine, 1
	}
	two := func(m *Mail) *Mail { m.Recipients = rcpts("a@x.example", "b@x.example"); return m }
	for name, c := range map[string]struct {
		err    error
		mail   *Mail
		full   Action
		action Action
		code   int
		got    string
		fault  bool
	}{
		"no room, a login":   {fmt.Errorf("%w: 7 messages", ErrNoRoom), two(mail()), Tempfail, Tempfail, 451, "no room for more held mail: 7 messages", false},
		"refused at once":    {fmt.Errorf("%w: 7 messages", ErrNoRoom), two(mail()), Reject, Reject, 550, "no room for more held mail: 7 messages", false},
		"a local submission": {fmt.Errorf("%w: 7 messages", ErrNoRoom), two(fromCron()), Tempfail, Reject, 550, "no room for more held mail: 7 messages", false},
		"our own fault":      {errors.New("secret"), two(mail()), Tempfail, Tempfail, 451, "cannot be written down", true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolding(t, set)
			h.set.Actions["hold.full"], h.err = c.full, c.err
			v := h.Decide(t.Context(), c.mail)
			last := v.Evidence[len(v.Evidence)-1]
			if v.Action != c.action || v.Rule != "hold.full" || v.Code != c.code || last.Rule != "hold.full" || last.Got != c.got || (v.Err != nil) != c.fault {
				t.Errorf("%s, %+v, %v", v.Reply(), last, v.Err)
			}
			if !strings.HasSuffix(v.Reply(), "[hold.full "+v.ID+"]") {
				t.Error(v.Reply())
			}
			if d, err := h.store.Decision(t.Context(), v.ID); err != nil || d.Rule != "hold.full" {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

func TestHoldNeedsRoomForItself(t *testing.T) {
	h := newHolding(t, func(s *Settings) { s.Actions["identity.header_from"], s.MaxEnvelope = Quarantine, 5000 })
	m := with("From: boss@bank.example")
	m.QueueID = ""
	check(t, h.decide(t, m), Tempfail, "hold.full")
	m = with("From: boss@bank.example")
	m.Recipients = rcpts(many(600, "a-domain-with-a-long-name-in-it.with-more-of-it.remote.example")...)
	check(t, h.decide(t, m), Quarantine, "identity.header_from")
	for i := range 900 {
		m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("b%d@a-domain-with-a-long-name-in-it.with-more-of-it.remote.example", i)})
	}
	check(t, h.decide(t, m), Tempfail, "hold.full")
	if len(h.held) != 1 {
		t.Errorf("%d held", len(h.held))
	}
	panics := newHolding(t, func(s *Settings) { s.Actions["identity.header_from"] = Quarantine })
	panics.set.Hold = func(context.Context, time.Time, state.Held) error { panic("oh") }
	v := panics.Decide(t.Context(), with("From: boss@bank.example"))
	if v.Rule != "hold.full" || v.Err == nil {
		t.Errorf("%s, %v", v.Rule, v.Err)
	}
}

// The record is measured as it is stored, where a % takes three bytes.
func TestHeldRecordIsBounded(t *testing.T) {
	for _, c := range []struct {
		local string
		want  string
	}{{"a", "recipients.envelope"}, {"%", "hold.full"}} {
		h := newHolding(t, func(s *Settings) { s.Actions["recipients.envelope"], s.MaxEnvelope = Quarantine, 1 })
		m := mail()
		for i := range 800 {
			m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("%s%03d@x.example", strings.Repeat(c.local, 50), i)})
		}
		if v := h.Decide(t.Context(), m); v.Rule != c.want {
			t.Errorf("%s: %s: %v", c.local, v.Rule, v.Evidence)
		}
	}
}

// Without Hold, as check and replay are, nothing changes.
func TestNothingIsReallyHeld(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.Actions["identity.header_from"] = Quarantine })
	m := with("From: boss@bank.example")
	m.QueueID = ""
	check(t, b.decide(t, m), Quarantine, "identity.header_from")
}

// What our own fault held has passed no rule: an operator decides.
func TestPanicIsKept(t *testing.T) {
	h := newHolding(t, nil)
	h.Engine.accounts = nil
	v := h.Decide(t.Context(), fromCron())
	if v.Action != Quarantine || v.Rule != "internal.panic" || h.held[0].State != state.HeldKept {
		t.Errorf("%s %s %+v", v.Action, v.Rule, h.held)
	}
}
