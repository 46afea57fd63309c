package desk

import (
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/stats"
)

func TestStatus(t *testing.T) {
	f := newDesk(t)
	f.block(t, "account:x")
	f.Clock = func() string { return "late" }
	got, err := f.Status(t.Context())
	if err != nil || got.Version != "v1" || got.Backend != "memory" || got.Degraded || got.Sessions != 3 || got.Clock != "late" || got.Blocks != 1 || got.LastCommit != nil {
		t.Errorf("%+v, %v", got, err)
	}
	raw, err := json.Marshal(got)
	if want := `{"version":"v1","backend":"memory","degraded":false,"reason":"","sessions":3,"last_commit":null,"blocks":1,"held":0,`; err != nil || !strings.HasPrefix(string(raw), want) {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestOverview(t *testing.T) {
	f := newDesk(t)
	empty, err := f.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := json.Marshal(empty); err != nil || strings.Contains(string(raw), "null") {
		t.Errorf("%s, %v", raw, err)
	}
	f.Stats = stats.New(f.Store, "a", slog.New(slog.DiscardHandler))
	f.Stats.Count(&rules.Verdict{At: start, Rule: "none", Action: rules.Accept, Subjects: []string{"account:x"}})
	f.Stats.Count(&rules.Verdict{At: start, Rule: "internal.panic", Action: rules.Tempfail, Subjects: []string{"account:x"}})
	f.judge.set.Limits = nil
	f.automatic(t, "B1", "account:"+aliceLogin)
	f.ask(t, aliceLogin, "B1")
	got, err := f.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Hours) != 24 || len(got.Rules) != 2 || !slices.Equal(got.Senders, []SenderCount{{Subject: "account:x", Messages: 2, Refused: 1}}) ||
		len(got.Blocks) != 1 || len(got.Requests) != 1 {
		t.Errorf("%+v", got)
	}
	if len(got.Alarms) != 2 || !strings.Contains(got.Alarms[0], "internal error stopped 1 messages") || !strings.Contains(got.Alarms[1], "no limit") {
		t.Errorf("alarms %q", got.Alarms)
	}
}

func TestSearch(t *testing.T) {
	f := newDesk(t)
	f.block(t, "account:alice@client-a.example")
	f.block(t, "customer:C-1")
	if _, err := f.AddExemption(t.Context(), root, exemption(func(in *AddExemption) { in.Subject = "script:alice@web1.example" })); err != nil {
		t.Fatal(err)
	}
	err := f.Store.Record(t.Context(), state.Decision{ID: "D", At: start, Subjects: []string{"domain:alice.example", "ip:192.0.2.7", "account:alice@client-a.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{
		" ALICE ":                        {"account:alice@client-a.example", "domain:alice.example", "script:alice@web1.example"},
		"Carol@client-c.example":         {"account:carol@client-c.example"},
		"192.0.2":                        {"ip:192.0.2.7"},
		"customer:C-1":                   {"customer:C-1"},
		"c-1":                            {"customer:C-1"},
		"account:Alice@client-a.example": {"account:alice@client-a.example"},
		"account:nobody":                 {"account:nobody"}, // so that its page can be opened
		"nobody":                         {},
	} {
		if got, err := f.Search(t.Context(), text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", strings.Repeat("x", mostName+1)} {
		_, err := f.Search(t.Context(), text)
		wants(t, err, ErrBad, "want 1 to 400")
	}
	for i := range mostFound + 5 {
		f.record(t, strings.Repeat("x", i+1), start, "accept")
		f.automatic(t, "BX"+strings.Repeat("x", i), "host:h"+strings.Repeat("x", i))
	}
	if got, err := f.Search(t.Context(), "host:h"); err != nil || len(got) != mostFound || got[0] != "host:h" {
		t.Errorf("%d, %v", len(got), err)
	}
}

func TestUsageAndReset(t *testing.T) {
	f := newDesk(t)
	free := start.Add(time.Minute)
	f.judge.windows["account:x"] = []rules.Window{
		{Limit: "minute", Unit: rules.Messages, Window: "1m", Used: 10, Max: 10, NextFree: free}, {Limit: "day", Unit: rules.Bytes, Window: "24h", NextFree: start},
	}
	got, err := f.Usage(t.Context(), "account:X")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(got)
	if want := `{"subject":"account:x","windows":[{"limit":"minute","unit":"messages","window":"1m","used":10,"max":10,"next_free":"2026-03-01T12:01:00Z"},`; err != nil || !strings.HasPrefix(string(raw), want) {
		t.Errorf("%s, %v", raw, err)
	}
	none, err := f.Usage(t.Context(), "account:nobody")
	if raw, _ := json.Marshal(none); err != nil || string(raw) != `{"subject":"account:nobody","windows":[]}` {
		t.Errorf("%s, %v", raw, err)
	}
	window := state.Window{Limit: "minute", Subject: "account:x", Length: time.Minute, Max: 10}
	if _, err := f.Store.Take(t.Context(), start, state.Ask{Charges: []state.Charge{{Window: window, Cost: 3}}}); err != nil {
		t.Fatal(err)
	}
	if r, err := f.Reset(t.Context(), root, Reset{Subject: "account:x", DryRun: true}); err != nil || len(r.Windows) != 1 || r.Windows[0].Used != 10 || r.Cleared != 0 || f.everything(t) != "" {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	if r, err := f.Reset(t.Context(), root, Reset{Subject: "account:X", Reason: "ticket 2"}); err != nil || r.Subject != "account:x" || len(r.Windows) != 1 || r.Cleared != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if usage, err := f.Store.Usage(t.Context(), start, []state.Window{window}); err != nil || usage[0].Used != 0 {
		t.Errorf("%+v, %v", usage, err)
	}
	if audit, err := f.Audit(t.Context(), AuditQuery{Subject: "account:x"}); err != nil || len(audit.Audit) != 1 || audit.Audit[0].What != "reset" || audit.Audit[0].Reason != "ticket 2" {
		t.Errorf("%+v, %v", audit, err)
	}
	_, err = f.Usage(t.Context(), "x")
	wants(t, err, ErrBad, "want account:")
	_, err = f.Reset(t.Context(), root, Reset{Subject: "x"})
	wants(t, err, ErrBad, "want account:")
	f.judge.err = errors.New("away")
	_, err = f.Usage(t.Context(), "account:x")
	wants(t, err, f.judge.err, "away")
}

func TestHistory(t *testing.T) {
	f := newDesk(t)
	for i := range 120 {
		f.record(t, string(rune('A'+i/10))+string(rune('0'+i%10)), start.Add(time.Duration(i)*time.Second), "accept")
	}
	h, err := f.History(t.Context(), HistoryQuery{Subject: "account:" + strings.ToUpper(aliceLogin)})
	if err != nil || len(h.Decisions) != 100 || h.Decisions[0].ID != "L9" || h.Subject != "account:"+aliceLogin {
		t.Errorf("%d, %+v, %v", len(h.Decisions), h.Subject, err)
	}
	h, err = f.History(t.Context(), HistoryQuery{Subject: "account:" + aliceLogin, Limit: 1, Before: start.Add(119 * time.Second)})
	raw, _ := json.Marshal(h)
	if want := `{"subject":"account:alice@client-a.example","decisions":[{"id":"L8","at":"2026-03-01T12:01:58Z","action":"accept","rule":"limit.minute","account":"alice@client-a.example","client":"","from":"","rcpts":2}],"next":"2026-03-01T12:01:58Z/L8"}`; err != nil || string(raw) != want {
		t.Errorf("%s, %v", raw, err)
	}
	if h, err = f.History(t.Context(), HistoryQuery{Subject: "account:nobody"}); err != nil || h.Decisions == nil || len(h.Decisions) != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	_, err = f.History(t.Context(), HistoryQuery{Subject: ""})
	wants(t, err, ErrBad, "want a subject, such as account:")
	_, err = f.History(t.Context(), HistoryQuery{Subject: "account:a+domain:b.example"})
	wants(t, err, ErrBad, "has windows only")
}

func TestDecision(t *testing.T) {
	f := newDesk(t)
	f.record(t, "D1", start, "accept")
	if err := f.Store.Record(t.Context(), state.Decision{ID: "D2", At: start, Detail: json.RawMessage(`{"size":"x"}`)}); err != nil {
		t.Fatal(err)
	}
	if v, err := f.Decision(t.Context(), "D1"); err != nil || v.ID != "D1" || len(v.Subjects) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := f.Decision(t.Context(), "D2"); err == nil || !strings.Contains(err.Error(), "D2") {
		t.Errorf("unreadable: %v", err)
	}
	_, err := f.Decision(t.Context(), "D3")
	wants(t, err, ErrNotFound, `no decision "D3"`)
}
