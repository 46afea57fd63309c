package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// pages asks for history page by page, and gives the ids of each.
func (f *fixture) pages(t *testing.T, q HistoryQuery) (pages [][]string) {
	t.Helper()
	for range 100 {
		h, err := f.History(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, dec := range h.Decisions {
			ids = append(ids, dec.ID)
		}
		pages = append(pages, ids)
		if h.Next == "" {
			return pages
		}
		if q.Before, q.Past, err = ParseCursor(h.Next); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("pages without end")
	return nil
}

// A page is full until the last one, which is the last one also when it is full; of
// one time none is shown twice or missed.
func TestHistoryPages(t *testing.T) {
	f := newDesk(t)
	for _, id := range []string{"A", "B", "C", "D", "E", "F"} {
		f.record(t, id, start, "reject")
	}
	subject := "account:" + aliceLogin
	for limit, want := range map[int][][]string{
		1: {{"A"}, {"B"}, {"C"}, {"D"}, {"E"}, {"F"}}, 2: {{"A", "B"}, {"C", "D"}, {"E", "F"}},
		4: {{"A", "B", "C", "D"}, {"E", "F"}}, 5: {{"A", "B", "C", "D", "E"}, {"F"}},
		6: {{"A", "B", "C", "D", "E", "F"}}, 7: {{"A", "B", "C", "D", "E", "F"}},
	} {
		for _, q := range []HistoryQuery{{Subject: subject}, {Rule: "limit.minute"}, {Subject: subject, Action: "reject", Rule: "limit.minute"}} {
			q.Limit = limit
			if diff := cmp.Diff(want, f.pages(t, q)); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", q, diff)
			}
		}
	}
	if got := f.pages(t, HistoryQuery{Subject: subject, Action: "accept", Limit: 3}); len(got) != 1 || len(got[0]) != 0 {
		t.Errorf("accepted: %v", got)
	}
}

func TestHistoryFilters(t *testing.T) {
	f := newDesk(t)
	for i := range 6 {
		d := state.Decision{
			ID: fmt.Sprint(i), At: start.Add(time.Duration(i) * time.Minute), Action: "reject", Rule: "bulk.volume", To: []string{"r@x.example"},
			Subjects: []string{"account:a"},
		}
		if i%2 == 0 {
			d.Action, d.Rule, d.To, d.Subjects = "accept", "none", []string{"s@x.example", "r@x.example"}, []string{"account:b"}
			d.Detail = json.RawMessage(`{"evidence":[{"rule":"limit.tried","shadow":true},{"rule":"identity.sender","shadow":true}]}`)
		}
		if err := f.Store.Record(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for want, q := range map[string]HistoryQuery{
		"531": {Rule: "bulk.volume"}, "420": {Rule: "none"}, "543210": {Recipient: "<R@X.example>"}, "42": {Recipient: "s@x.example", Since: start.Add(time.Minute)},
		"53": {Action: "reject", Since: start.Add(3 * time.Minute)}, "10": {Recipient: "r@x.example", Before: start.Add(2 * time.Minute)},
		"4": {Found: "limit.tried", Since: start.Add(3 * time.Minute)}, "20": {Found: "identity.sender", Subject: "account:b", Before: start.Add(3 * time.Minute)},
		"": {Subject: "account:a", Action: "accept"}, "1": {Subject: "account:a", Recipient: "r@x.example", Before: start.Add(2 * time.Minute)},
	} {
		if got := strings.Join(f.pages(t, q)[0], ""); got != want {
			t.Errorf("%+v: %s, want %s", q, got, want)
		}
	}
	_, err := f.History(t.Context(), HistoryQuery{Action: "refuse"})
	wants(t, err, ErrBad, "want accept, tag, quarantine, tempfail or reject")
	if got := f.pages(t, HistoryQuery{Found: "limit.tried", Limit: 2}); len(got) != 2 || len(got[0]) != 2 || len(got[1]) != 1 {
		t.Errorf("found in shadow: %v", got)
	}
	for _, q := range []HistoryQuery{{Rule: "limit"}, {Rule: "identity.header_form"}, {Found: "identity.header_form"}, {Found: "none"}} {
		_, err = f.History(t.Context(), q)
		wants(t, err, ErrBad, "want a rule's id or limit.NAME")
	}
	_, err = f.History(t.Context(), HistoryQuery{})
	wants(t, err, ErrBad, "want a subject")
	_, err = f.History(t.Context(), HistoryQuery{Recipient: strings.Repeat("x", 2*mostName+1)})
	wants(t, err, ErrBad, "want an address")
	for _, cursor := range []string{"yesterday", "/D1", "2026-11-23"} {
		_, _, err = ParseCursor(cursor)
		wants(t, err, ErrBad, "what a page before named")
	}
}

// Recipients are found by the address, whether decisions have it in the clear or as a
// hash, in one list and page by page; by the hash only those that have it.
func TestHistoryOfHiddenRecipient(t *testing.T) {
	f := newDesk(t)
	data, _ := json.Marshal(map[string][]byte{"key": make([]byte, 32)})
	form := (&rules.AddressKey{}).Hide("bob@remote.example")
	if got := f.pages(t, HistoryQuery{Recipient: "bob@remote.example"}); len(got) != 1 || len(got[0]) != 0 { // no key was made yet
		t.Errorf("%v", got)
	}
	if _, err := f.Store.PutDoc(t.Context(), state.Doc{Kind: "privacy", ID: "addresses", Data: data}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, c := range "ccchhhchchhccccchh" { // newest first; two of one time each
		to, id := "bob@remote.example", fmt.Sprintf("%02d%c", i, c)
		if c == 'h' {
			to = form
		}
		d := state.Decision{ID: id, At: start.Add(-time.Duration(i/2) * time.Second), Action: "accept", Rule: "none", To: []string{to, "carol@remote.example"}}
		if err := f.Store.Record(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		for _, q := range []HistoryQuery{{Recipient: "Bob@Remote.example"}, {Recipient: "bob@remote.example", Action: "accept"}} {
			q.Limit = limit
			pages := f.pages(t, q)
			if diff := cmp.Diff(want, slices.Concat(pages...)); diff != "" || len(pages) != (len(want)+limit-1)/limit {
				t.Errorf("limit %d: %d pages (-want +got):\n%s", limit, len(pages), diff)
			}
		}
	}
	if got := slices.Concat(f.pages(t, HistoryQuery{Recipient: form, Limit: 3})...); len(got) != strings.Count(strings.Join(want, ""), "h") {
		t.Errorf("by the hash: %v", got)
	}
}

// endless has a decision each second without end, of which none is asked for.
type endless struct {
	state.Store
	asked int
}

func (e *endless) Decisions(_ context.Context, q state.Query) ([]state.Decision, error) {
	at := q.Before
	if at.IsZero() {
		at = start
	}
	list := make([]state.Decision, q.Limit)
	for i := range list {
		at = at.Add(-time.Second)
		list[i] = state.Decision{ID: "D", At: at, Action: "accept", Rule: "none"}
	}
	e.asked += q.Limit
	return list, nil
}

func TestHistoryLooksSoFarOnly(t *testing.T) {
	f := newDesk(t)
	e := &endless{Store: f.Store}
	f.Desk.Store = e
	h, err := f.History(t.Context(), HistoryQuery{Action: "reject"})
	want := start.Add(-mostLooked*time.Second).UTC().Format(time.RFC3339) + "/D"
	if err != nil || e.asked != mostLooked || len(h.Decisions) != 0 || h.Next != want {
		t.Errorf("looked at %d, next %s, want %s; %v", e.asked, h.Next, want, err)
	}
}

func TestExplain(t *testing.T) {
	f := newDesk(t)
	detail, err := json.Marshal(rules.Detail{
		Reply: "451 4.7.1 Too many", Subject: "hello", Size: 7, Version: "abc",
		Evidence: []rules.Evidence{{Rule: "limit.minute", Fact: "messages of account:a", Got: "10 used, 1 more", Want: "at most 10 in 1m"}},
		Windows:  []rules.Window{{Limit: "minute", Subject: "account:a", Unit: "messages", Window: "1m", Used: 10, Max: 10, NextFree: start.Add(time.Second)}},
		Config:   []rules.Line{{File: "main.toml", Line: 3, Key: "limit.minute.max", Value: "10"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, d := range map[string]state.Decision{
		"D1": {Action: "tempfail", Rule: "limit.minute", To: []string{"r@x.example"}, Subjects: []string{"account:a"}, Detail: detail},
		"D2": {Action: "accept", Rule: "none", Detail: []byte(`{"evidence":null,"charges":null}`)},
		"D3": {Action: "accept", Rule: "none"}, "D4": {Action: "accept", Rule: "none", Detail: []byte(`{"size":"x"}`)},
	} {
		d.ID, d.At = id, start
		if err := f.Store.Record(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	e, err := f.Explain(t.Context(), " d1 ")
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(e)
	for _, part := range []string{
		`"outcome":"It was refused for now: its sender may try again, by the rule limit.minute."`, `"recipients":["r@x.example"]`,
		`"config":[{"file":"main.toml","line":3,"key":"limit.minute.max","value":"10"}]`, `"used":10,"max":10,"next_free":"2026-03-01T12:00:01Z"`,
		`there is room again at 2026-03-01T12:00:01Z`, `"version":"abc"`, `"mail_subject":"hello"`,
	} {
		if !strings.Contains(string(raw), part) {
			t.Errorf("%s is not in %s", part, raw)
		}
	}
	for _, id := range []string{"D2", "D3"} {
		e, err := f.Explain(t.Context(), id)
		raw, _ := json.Marshal(e)
		if err != nil || strings.Contains(string(raw), "null,") && !strings.Contains(string(raw), `"campaign":null`) || !strings.Contains(string(raw), `"remedies":[]`) {
			t.Errorf("%s, %v", raw, err)
		}
		if strings.Count(string(raw), "null") != 1 { // the campaign
			t.Errorf("%s", raw)
		}
	}
	if _, err := f.Explain(t.Context(), "D4"); err == nil || !strings.Contains(err.Error(), "D4") {
		t.Errorf("a damaged record: %v", err)
	}
	_, err = f.Explain(t.Context(), "D9")
	wants(t, err, ErrNotFound, `no decision "D9"`)
	list, err := f.Explanations(t.Context(), HistoryQuery{Rule: "limit.minute", Limit: 1})
	if err != nil || len(list.Decisions) != 1 || list.Decisions[0].Reply == "" || list.Next != "" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err = f.Explanations(t.Context(), HistoryQuery{Action: "accept"}); err == nil {
		t.Error("a damaged record in a list: no error")
	}
}
