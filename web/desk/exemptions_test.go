package desk

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

func exemption(change func(*AddExemption)) AddExemption {
	in := AddExemption{Subject: "account:Alice@client-a.example", Rule: "recipients.visible", Owner: "support", Reason: "club newsletter", For: "30d"}
	change(&in)
	return in
}

func TestAddExemption(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*AddExemption)
		scope  string
	}{
		"rule":           {func(*AddExemption) {}, "rule"},
		"rule to domain": {func(in *AddExemption) { in.Domain = "Remote.Example" }, "rule to remote.example"},
		"limit":          {func(in *AddExemption) { in.Rule = "limit.minute" }, "rule"},
		"least factor":   {func(in *AddExemption) { in.Rule = "limit.minute"; in.Factor = 2 }, "limit x2"},
		"factor":         {func(in *AddExemption) { in.Rule = "limit.minute"; in.Factor = 1000; in.Domain = "b.example" }, "limit x1000 to b.example"},
		"blocks":         {func(in *AddExemption) { in.Rule = "block" }, "rule"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newDesk(t)
			in := exemption(c.change)
			in.DryRun = true
			if v, err := f.AddExemption(t.Context(), root, in); err != nil || v.Scope != c.scope || v.ID != "" || f.everything(t) != "" {
				t.Errorf("dry run: %+v, %v", v, err)
			}
			in.DryRun = false
			v, err := f.AddExemption(t.Context(), root, in)
			if err != nil {
				t.Fatal(err)
			}
			if v.Scope != c.scope || v.Subject != "account:alice@client-a.example" || v.By != "root" || v.State != ExemptionActive ||
				!v.Until.Equal(start.Add(30*24*time.Hour)) || !regexp.MustCompile(`^E[0-9A-HJKMNP-TV-Z]{8}$`).MatchString(v.ID) {
				t.Errorf("%+v", v)
			}
			stored, err := state.RecordsOf[state.Exemption](t.Context(), f.Store, []string{v.Subject})
			if err != nil || len(stored) != 1 || stored[0].Rule != in.Rule || stored[0].Factor != in.Factor || stored[0].Domain != v.Domain {
				t.Errorf("%+v, %v", stored, err)
			}
			if audit, err := f.Audit(t.Context(), AuditQuery{Target: v.ID}); err != nil || len(audit.Audit) != 1 || audit.Audit[0].What != "exemption add" {
				t.Errorf("%+v, %v", audit, err)
			}
		})
	}
}

func TestAddExemptionRefuses(t *testing.T) {
	f := newDesk(t)
	for name, c := range map[string]struct {
		change func(*AddExemption)
		part   string
	}{
		"subject":         {func(in *AddExemption) { in.Subject = "alice" }, "want account:"},
		"no rule":         {func(in *AddExemption) { in.Rule = "" }, "want a rule's id"},
		"unknown rule":    {func(in *AddExemption) { in.Rule = "identity.nose" }, "want a rule's id"},
		"our fault":       {func(in *AddExemption) { in.Rule = "store.unavailable" }, "nobody can be exempt"},
		"block in force":  {func(in *AddExemption) { in.Rule = "block.active" }, "nobody can be exempt"},
		"the word NAME":   {func(in *AddExemption) { in.Rule = "limit.NAME" }, "no such limit"},
		"unknown limit":   {func(in *AddExemption) { in.Rule = "limit.hour" }, "no such limit"},
		"factor of none":  {func(in *AddExemption) { in.Factor = 3 }, "no max to multiply"},
		"factor of block": {func(in *AddExemption) { in.Rule = "block"; in.Factor = 3 }, "no max to multiply"},
		"factor 1":        {func(in *AddExemption) { in.Rule = "limit.minute"; in.Factor = 1 }, "want 2 to 1000"},
		"factor 1001":     {func(in *AddExemption) { in.Rule = "limit.minute"; in.Factor = 1001 }, "want 2 to 1000"},
		"factor below 0":  {func(in *AddExemption) { in.Rule = "limit.minute"; in.Factor = -2 }, "want 2 to 1000"},
		"domain":          {func(in *AddExemption) { in.Domain = "a b" }, "no domain name"},
		"no owner":        {func(in *AddExemption) { in.Owner = " " }, "who answers for it"},
		"two owners":      {func(in *AddExemption) { in.Owner = "a\nb" }, "one line"},
		"long owner":      {func(in *AddExemption) { in.Owner = strings.Repeat("x", 401) }, "at most 400"},
		"no reason":       {func(in *AddExemption) { in.Reason = "" }, "a few words"},
		"no end":          {func(in *AddExemption) { in.For = "manual" }, "want 30m, 4h or 7d"},
		"no length":       {func(in *AddExemption) { in.For = "" }, "want 30m, 4h or 7d"},
		"too long":        {func(in *AddExemption) { in.For = "3651d" }, "at most 3650d"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.AddExemption(t.Context(), root, exemption(c.change))
			wants(t, err, ErrBad, c.part)
		})
	}
	if f.everything(t) != "" {
		t.Error("something was stored")
	}
}

func TestRemoveExemption(t *testing.T) {
	f := newDesk(t)
	v, err := f.AddExemption(t.Context(), root, exemption(func(in *AddExemption) { in.For = "1h" }))
	if err != nil {
		t.Fatal(err)
	}
	short, err := f.AddExemption(t.Context(), root, exemption(func(in *AddExemption) { in.For = "1s" }))
	if err != nil {
		t.Fatal(err)
	}
	before := f.everything(t)
	if dry, err := f.RemoveExemption(t.Context(), root, RemoveExemption{ID: v.ID, DryRun: true}); err != nil || dry.State != ExemptionRemoved || !dry.Changed || f.everything(t) != before {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	f.now = start.Add(time.Second)
	got, err := f.RemoveExemption(t.Context(), Actor{Name: "bob"}, RemoveExemption{ID: v.ID, Reason: "no more"})
	if err != nil || got.State != ExemptionRemoved || got.RemovedBy != "bob" || !got.RemovedAt.Equal(f.now) {
		t.Errorf("%+v, %v", got, err)
	}
	before = f.everything(t)
	if got, err = f.RemoveExemption(t.Context(), root, RemoveExemption{ID: v.ID}); err != nil || got.RemovedBy != "bob" || got.Changed {
		t.Errorf("twice: %+v, %v", got, err)
	}
	if got, err = f.RemoveExemption(t.Context(), root, RemoveExemption{ID: short.ID}); err != nil || got.State != ExemptionExpired || f.everything(t) != before {
		t.Errorf("at its end: %+v, %v", got, err)
	}
	_, err = f.RemoveExemption(t.Context(), root, RemoveExemption{ID: "ENOSUCH0"})
	wants(t, err, ErrNotFound, "no exemption")
	_, err = f.RemoveExemption(t.Context(), root, RemoveExemption{ID: v.ID, Reason: "\x00"})
	wants(t, err, ErrBad, "control character")
	if list, err := f.Exemptions(t.Context(), false); err != nil || len(list.Exemptions) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := f.Exemptions(t.Context(), true); err != nil || len(list.Exemptions) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
}

// Somebody else changed it in between: looked at again, not overwritten.
func TestRemoveExemptionRace(t *testing.T) {
	f := newDesk(t)
	v, err := f.AddExemption(t.Context(), root, exemption(func(*AddExemption) {}))
	if err != nil {
		t.Fatal(err)
	}
	inner, once := f.Store, false
	f.Store = &failing{Store: inner, put: func(doc state.Doc) error {
		if doc.Kind == "exemption" && !once {
			once = true
			outer := f.Store
			f.Store = inner
			if _, err := f.RemoveExemption(t.Context(), Actor{Name: "first"}, RemoveExemption{ID: v.ID}); err != nil {
				t.Error(err)
			}
			f.Store = outer
		}
		return nil
	}}
	got, err := f.RemoveExemption(t.Context(), Actor{Name: "second"}, RemoveExemption{ID: v.ID})
	if err != nil || got.RemovedBy != "first" || !once {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOldExemptionsGo(t *testing.T) {
	f := newDesk(t)
	old, err := f.AddExemption(t.Context(), root, exemption(func(in *AddExemption) { in.For = "1s" }))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		kept  bool
	}{{endedKept + time.Second, true}, {endedKept + 2*time.Second, false}} {
		f.now = start.Add(c.after)
		if _, err := f.AddExemption(t.Context(), root, exemption(func(*AddExemption) {})); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(f.everything(t), "exemption "+old.ID) != c.kept {
			t.Errorf("after %s: kept %v", c.after, !c.kept)
		}
	}
}

// Status shows what ends within 7 days, the next one first, and not what has ended.
func TestExpiringExemptions(t *testing.T) {
	f := newDesk(t)
	for subject, left := range map[string]time.Duration{
		"account:now": expiresSoon, "account:later": expiresSoon + time.Nanosecond, "account:first": time.Nanosecond, "account:ended": 0,
	} {
		x := state.Exemption{ID: "E" + subject[8:], Subject: subject, Rule: "block", Since: start.Add(-time.Hour), Until: start.Add(left)}
		if err := state.PutRecord(t.Context(), f.Store, &x); err != nil {
			t.Fatal(err)
		}
	}
	st, err := f.Status(t.Context())
	if err != nil || len(st.Expiring) != 2 || st.Expiring[0].Subject != "account:first" || st.Expiring[1].Subject != "account:now" {
		t.Errorf("%+v, %v", st.Expiring, err)
	}
}
