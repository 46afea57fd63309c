package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// settings are few rules, and at most so many messages an hour.
func settings(most int64) rules.Settings {
	set := rules.Settings{
		Actions: map[string]rules.Action{}, MaxVisible: 10, MaxEnvelope: 10, MaxDuplicates: 1, Language: "en",
		Limits: []rules.Limit{{Name: "hour", Subject: "account", Unit: rules.Messages, Max: most, Window: time.Hour, Action: rules.Tempfail}},
		Blocking: rules.Blocking{
			Automatic: rules.Reject, Strikes: 4, Within: time.Hour, Remember: 24 * time.Hour, Durations: []time.Duration{2 * time.Hour},
			MaxPerHour: 100, MaxShare: 10, CustomerAfter: 3, IPAfter: 3,
		},
		Content: rules.Content{Ask: func(context.Context, *rules.Mail) (rules.Score, error) { panic("asked") }},
	}
	for _, id := range rules.IDs() {
		set.Actions[id] = rules.Off
	}
	set.Actions["block.active"], set.Actions["identity.header_from"] = rules.Reject, rules.Reject
	set.Actions["recipients.envelope"], set.Actions["identity.display_name"] = rules.Reject, rules.Shadow
	set.Actions["content.score"] = rules.Reject
	return set
}

func laneOf(t *testing.T, set rules.Settings) *Lane {
	t.Helper()
	table, clashes := accounts.NewTable([]*accounts.Account{{Login: "alice@client-a.example", Domains: []string{"client-a.example"}}})
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	return NewLane(set, table)
}

func resultOf(t *testing.T, r *Run) Result {
	t.Helper()
	res, err := r.Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func minutes(n int) time.Time { return begin.Add(time.Duration(n) * time.Minute) }

func spanOf(count, first, last int) Span { return Span{count, minutes(first), minutes(last)} }

const alice = "account:alice@client-a.example"

// TestRun: six letters of one hour and one of later, by rules that let two and four an
// hour through.
func TestRun(t *testing.T) {
	var letters []string
	for i := range 6 {
		letters = append(letters, letter(fmt.Sprint(i), 10*i))
	}
	letters = append(letters, letter("later", 200))
	slices.Reverse(letters) // their time counts, not their place
	run := NewRun(laneOf(t, settings(2)), laneOf(t, settings(4)))
	n := 0
	if err := run.Mail(t.Context(), indexOf(t, box(letters...), "-"), Envelope{}, func(int) { n++ }); err != nil || n != 7 {
		t.Fatal(n, err)
	}
	first, last := minutes(0), minutes(200)
	// A window that was full strikes once.
	want := Result{
		Messages: 7, First: &first, Last: &last,
		Rules:    []RuleCount{{"limit.hour", "tempfail", spanOf(4, 20, 50)}, {"none", "accept", spanOf(3, 0, 200)}},
		NewRules: []RuleCount{{"none", "accept", spanOf(5, 0, 200)}, {"limit.hour", "tempfail", spanOf(2, 40, 50)}},
		Subjects: []SubjectCount{{alice, "limit.hour", "tempfail", spanOf(4, 20, 50)}, {alice, "none", "accept", spanOf(3, 0, 200)}},
		Shadow:   []ShadowCount{},
		Changed:  []Change{{alice, "limit.hour", "none", "tempfail", "accept", spanOf(2, 20, 30)}},
		Blocks:   []BlockLine{}, NewBlocks: []BlockLine{}, Unreadable: []Unreadable{}, Notes: []string{},
	}
	if diff := cmp.Diff(want, resultOf(t, run)); diff != "" {
		t.Error(diff)
	}
}

// TestRunBlocks: refusals strike and block in simulated time, and a block ends in it.
func TestRunBlocks(t *testing.T) {
	forge := func(name string, minute int) string {
		return strings.Replace(letter(name, minute), "From: alice@", "From: \"bank@bank.example\" <boss@bank.example>\nX: alice@", 1)
	}
	run := NewRun(laneOf(t, settings(100)), nil)
	x := indexOf(t, box(forge("a", 0), forge("b", 1), letter("blocked", 2), letter("still", 120), letter("free", 121)), "-")
	sender := "alice@client-a.example"
	if err := run.Mail(t.Context(), x, Envelope{Login: &sender}, ignore); err != nil {
		t.Fatal(err)
	}
	res := resultOf(t, run)
	want := []RuleCount{
		{"block.active", "reject", spanOf(2, 2, 120)}, {"identity.header_from", "reject", spanOf(2, 0, 1)}, {"none", "accept", spanOf(1, 121, 121)},
	}
	if diff := cmp.Diff(want, res.Rules); diff != "" {
		t.Error(diff)
	}
	until := minutes(121)
	if diff := cmp.Diff([]BlockLine{{alice, "identity.header_from", minutes(1), &until}}, res.Blocks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]ShadowCount{{"identity.display_name", spanOf(2, 0, 1)}}, res.Shadow); diff != "" {
		t.Error(diff)
	}
}

// TestReturnPath: the delivery's is the envelope's sender and no field of the message; a
// second one is the sender's own.
func TestReturnPath(t *testing.T) {
	for text, want := range map[string]int{"Return-Path: <boss@bank.example>\n": 0, "Return-Path: <a@b.example>\nReturn-Path: <boss@bank.example>\n": 1} {
		run := NewRun(laneOf(t, settings(2)), nil)
		sender := "alice@client-a.example"
		x := indexOf(t, box(strings.Replace(letter("a", 0), "From: ", text+"From: ", 1)), "-")
		if err := run.Mail(t.Context(), x, Envelope{Login: &sender}, ignore); err != nil {
			t.Fatal(err)
		}
		if res := resultOf(t, run); len(res.Shadow) != want {
			t.Errorf("%q: found %+v; want %d", text, res.Shadow, want)
		}
	}
}

// TestRunInterrupted: what was judged until then counts, and says that it is not all.
func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	run := NewRun(laneOf(t, settings(2)), nil)
	err := run.Mail(ctx, indexOf(t, box(letter("a", 0), letter("b", 1), letter("c", 2)), "-"), Envelope{}, func(n int) {
		if n == 2 {
			cancel()
		}
	})
	if res := resultOf(t, run); err != nil || !res.Partial || res.Messages != 2 {
		t.Errorf("%v: partial %v, %d messages", err, res.Partial, res.Messages)
	}
}

// TestResultContract: what scripts rely on has these names, and lists are never null.
func TestResultContract(t *testing.T) {
	raw, err := json.Marshal(resultOf(t, NewRun(laneOf(t, settings(2)), nil)))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"messages":0,"partial":false,"rules":[],"subjects":[],"shadow":[],"changed":[],"new_rules":[],"blocks":[],"new_blocks":[],` +
		`"undated":0,"failed":0,"unreadable":[],"notes":[]}`; string(raw) != want {
		t.Errorf("got %s", raw)
	}
	raw, err = json.Marshal(Change{alice, "none", "limit.hour", "accept", "tempfail", spanOf(3, 0, 1)})
	if want := `{"subject":"` + alice + `","from":"none","to":"limit.hour","from_action":"accept","to_action":"tempfail",` +
		`"count":3,"first":"2025-11-01T10:00:00Z","last":"2025-11-01T10:01:00Z"}`; err != nil || string(raw) != want {
		t.Errorf("got %s, %v", raw, err)
	}
}

// recorded is a store with so many decisions, two of each millisecond, the first of
// which is at begin.
func recorded(t *testing.T, n int) *memory.Store {
	t.Helper()
	store := memory.New()
	for i := range n {
		d := state.Decision{ID: fmt.Sprintf("D%05d", i), At: begin.Add(time.Duration(i/2) * time.Millisecond), Account: "alice@client-a.example",
			Rcpts: 1, Subjects: []string{alice, "domain:remote.example"}, Detail: []byte(`{"size":7,"login":"alice@client-a.example"}`)}
		if err := store.Record(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// TestTape: every decision once, oldest first, however many pages they take.
func TestTape(t *testing.T) {
	for _, n := range []int{0, 1, page - 1, page, page + 1, 2*page + 3} {
		store := recorded(t, n)
		tape, err := Record(t.Context(), store.Decisions, begin, now, ignore)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		last := time.Time{}
		err = tape.Each(t.Context(), func(d state.Decision) error {
			if d.At.Before(last) || string(d.Detail) != `{"size":7,"login":"alice@client-a.example"}` {
				t.Fatalf("%d: %v after %v", n, d, last)
			}
			seen[d.ID], last = true, d.At
			return nil
		})
		if err != nil || len(seen) != n || tape.Len() != n {
			t.Errorf("of %d: got %d, %d, %v", n, len(seen), tape.Len(), err)
		}
		if err := tape.Close(); err != nil {
			t.Error(err)
		}
	}
	gone := errors.New("gone")
	_, err := Record(t.Context(), func(context.Context, state.Query) ([]state.Decision, error) { return nil, gone }, begin, now, ignore)
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestRunDecisions(t *testing.T) {
	tape, err := Record(t.Context(), recorded(t, 10).Decisions, begin, begin.Add(4*time.Millisecond), ignore)
	if err != nil {
		t.Fatal(err)
	}
	defer tape.Close()
	run := NewRun(laneOf(t, settings(3)), laneOf(t, settings(100)))
	if err := run.Decisions(t.Context(), tape, ignore); err != nil {
		t.Fatal(err)
	}
	res := resultOf(t, run)
	if res.Messages != 8 || len(res.Changed) != 1 || res.Changed[0].Count != 5 || res.Changed[0].From != "limit.hour" {
		t.Errorf("%+v", res)
	}
}

// TestExempt: an exemption that was in force then lets mail of then pass, and the
// window of the limit is empty when it ends.
func TestExempt(t *testing.T) {
	lane := laneOf(t, settings(1))
	err := lane.Exempt(t.Context(), []state.Exemption{{ID: "E1", Subject: alice, Rule: "limit.hour", Since: minutes(0), Until: minutes(2)}})
	if err != nil {
		t.Fatal(err)
	}
	run := NewRun(lane, nil)
	x := indexOf(t, box(letter("a", 0), letter("b", 1), letter("c", 2), letter("d", 3)), "-")
	if err := run.Mail(t.Context(), x, Envelope{}, ignore); err != nil {
		t.Fatal(err)
	}
	want := []RuleCount{{"none", "accept", spanOf(3, 0, 2)}, {"limit.hour", "tempfail", spanOf(1, 3, 3)}}
	if diff := cmp.Diff(want, resultOf(t, run).Rules); diff != "" {
		t.Error(diff)
	}
}

// TestRunEach: every message once it is judged, with both verdicts; an error ends it.
func TestRunEach(t *testing.T) {
	run := NewRun(laneOf(t, settings(1)), laneOf(t, settings(2)))
	var got []Judged
	run.Each = func(j Judged) error {
		got = append(got, j)
		if len(got) == 3 {
			return io.ErrClosedPipe
		}
		return nil
	}
	a := strings.Replace(letter("a", 0), "From: ", "Message-ID: <a@client-a.example>\nFrom: ", 1)
	x := indexOf(t, box(a, letter("b", 1), letter("c", 2), letter("d", 3)), "-")
	if err := run.Mail(t.Context(), x, Envelope{}, ignore); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	want := []Judged{
		{minutes(0), "", "-, message 1", "<a@client-a.example>", alice, "accept", "none", "accept", "none"},
		{minutes(1), "", "-, message 2", "", alice, "tempfail", "limit.hour", "accept", "none"},
		{minutes(2), "", "-, message 3", "", alice, "tempfail", "limit.hour", "tempfail", "limit.hour"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
