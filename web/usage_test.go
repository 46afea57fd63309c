package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"o2n-milter/accounts"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/web/desk"
	"o2n-milter/web/stats"
)

// office is an admin API with a store that a test can fill.
type office struct {
	http.Handler
	desk  *desk.Desk
	store state.Store
	log   bytes.Buffer
}

// judge is the rules that a test wants.
type judge struct {
	windows func(context.Context, time.Time, string) ([]rules.Window, error)
	set     rules.Settings
}

func (j *judge) WindowsOf(ctx context.Context, now time.Time, subject string) ([]rules.Window, error) {
	return j.windows(ctx, now, subject)
}

// Account knows everybody.
func (j *judge) Account(_ context.Context, login string) (*accounts.Account, error) {
	return &accounts.Account{Login: login}, nil
}

func (j *judge) Settings() *rules.Settings { return &j.set }

const alice = "account:alice@client-a.example"

// newOffice knows alice, who has used 3 of 10 and nothing of 200.
func newOffice(t *testing.T) *office {
	t.Helper()
	d := &office{store: memory.New()}
	minute := state.Window{Limit: "minute", Subject: alice, Length: time.Minute, Max: 10}
	ask := state.Ask{Charges: []state.Charge{{Window: minute, Cost: 3}}}
	if _, err := d.store.Take(context.Background(), start, ask); err != nil {
		t.Fatal(err)
	}
	d.desk = &desk.Desk{
		Store: d.store, Log: slog.New(slog.NewTextHandler(&d.log, nil)), Version: "v1",
		Sessions: func() int { return 2 }, Now: at, Clock: func() string { return "it is late" },
		Judge: &judge{windows: func(ctx context.Context, now time.Time, subject string) ([]rules.Window, error) {
			if subject != alice {
				return []rules.Window{}, nil
			}
			u, err := d.store.Usage(ctx, now, []state.Window{minute})
			if err != nil {
				return nil, err
			}
			return []rules.Window{
				{Limit: "minute", Unit: rules.Messages, Window: "1m", Used: u[0].Used, Max: 10, NextFree: now},
				{Limit: "hour", Unit: rules.Bytes, Window: "1h", Max: 200, NextFree: now.Add(time.Millisecond)},
			}, nil
		}},
	}
	d.Handler = (&Admin{Desk: d.desk}).Handler()
	return d
}

func (d *office) get(t *testing.T, path string, query url.Values) string {
	t.Helper()
	w := serve(d, "GET", path+"?"+query.Encode(), "")
	if w.Code != http.StatusOK {
		t.Fatalf("%s %v: %d %s", path, query, w.Code, w.Body)
	}
	return strings.TrimSpace(w.Body.String())
}

func TestUsage(t *testing.T) {
	d := newOffice(t)
	got := d.get(t, "/v1/usage", url.Values{"subject": {"account:Alice@Client-A.example"}})
	want := `{"subject":"account:alice@client-a.example","windows":[` +
		`{"limit":"minute","unit":"messages","window":"1m","used":3,"max":10,"next_free":"2026-11-23T10:00:00Z"},` +
		`{"limit":"hour","unit":"bytes","window":"1h","used":0,"max":200,"next_free":"2026-11-23T10:00:00.001Z"}]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = d.get(t, "/v1/usage", url.Values{"subject": {"account:a+domain:X.example"}})
	if want := `{"subject":"account:a+domain:x.example","windows":[]}`; got != want {
		t.Errorf("got %s", got)
	}
}

func (d *office) decisions(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		err := d.store.Record(context.Background(), state.Decision{
			ID: fmt.Sprintf("D%03d", i), At: start.Add(time.Duration(i) * time.Second), Action: "accept", Rule: "none",
			Account: "alice@client-a.example", Client: "192.0.2.7", From: "alice@client-a.example", Rcpts: 2, Subjects: []string{alice},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistory(t *testing.T) {
	d := newOffice(t)
	got := d.get(t, "/v1/history", url.Values{"subject": {"account:nobody"}})
	if want := `{"subject":"account:nobody","decisions":[]}`; got != want {
		t.Errorf("got %s", got)
	}
	d.decisions(t, 102)
	got = d.get(t, "/v1/history", url.Values{"subject": {alice}, "limit": {"2"}})
	want := `{"subject":"account:alice@client-a.example","decisions":[` +
		`{"id":"D101","at":"2026-11-23T10:01:41Z","action":"accept","rule":"none","account":"alice@client-a.example","client":"192.0.2.7","from":"alice@client-a.example","rcpts":2},` +
		`{"id":"D100","at":"2026-11-23T10:01:40Z","action":"accept","rule":"none","account":"alice@client-a.example","client":"192.0.2.7","from":"alice@client-a.example","rcpts":2}],"next":"2026-11-23T10:01:40Z/D100"}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		limit, before string
		n             int
		first         string
	}{
		{"", "", 100, "D101"}, {"1", "", 1, "D101"}, {"10000", "", 102, "D101"},
		{"", "2026-11-23T10:01:41Z", 100, "D100"}, {"", "2026-11-23T11:00:02+01:00", 2, "D001"}, {"", "2026-11-23T10:00:00Z", 0, ""},
		{"5", "2026-11-23T10:00:00.001Z", 1, "D000"}, {"5", "2026-11-23T10:01:40Z/D100", 5, "D099"},
	} {
		var h desk.History
		text := d.get(t, "/v1/history", url.Values{"subject": {alice}, "limit": {c.limit}, "before": {c.before}})
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			t.Fatal(err)
		}
		if len(h.Decisions) != c.n || c.n > 0 && h.Decisions[0].ID != c.first {
			t.Errorf("limit %q, before %q: %d decisions, %v", c.limit, c.before, len(h.Decisions), h.Decisions[:min(1, len(h.Decisions))])
		}
	}
}

func TestReset(t *testing.T) {
	d := newOffice(t)
	window := `{"limit":"minute","unit":"messages","window":"1m","used":3,"max":10,"next_free":"2026-11-23T10:00:00Z"}`
	for _, c := range []struct{ body, want string }{
		{`{"subject":"account:bob"}`, `{"subject":"account:bob","windows":[],"cleared":0}`},
		{`{"subject":"account:ALICE@client-a.example","dry_run":true}`, `{"subject":"` + alice + `","windows":[` + window + `],"cleared":0}`},
		{`{"subject":"account:ALICE@client-a.example","reason":"ticket 1"}`, `{"subject":"` + alice + `","windows":[` + window + `],"cleared":1}`},
		{`{"subject":"account:alice@client-a.example"}`, `{"subject":"` + alice + `","windows":[],"cleared":0}`},
	} {
		w := serve(d, "POST", "/v1/reset", c.body)
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != c.want {
			t.Errorf("%s: %d\ngot  %s\nwant %s", c.body, w.Code, got, c.want)
		}
	}
	if n := strings.Count(d.log.String(), "what=reset"); n != 3 {
		t.Errorf("%d audit lines: %s", n, &d.log)
	}
	if want := `msg=audit what=reset id="" subject=account:alice@client-a.example reason="ticket 1" by=unknown from=cli`; !strings.Contains(d.log.String(), want) {
		t.Errorf("log: %s", &d.log)
	}
}

func TestStatus(t *testing.T) {
	d := newOffice(t)
	var got map[string]any
	if err := json.Unmarshal([]byte(d.get(t, "/v1/status", nil)), &got); err != nil {
		t.Fatal(err)
	}
	if got["windows"].(float64) < 1 || got["memory"].(float64) < 1 {
		t.Errorf("windows %v, memory %v", got["windows"], got["memory"])
	}
	delete(got, "windows")
	delete(got, "memory")
	want := map[string]any{
		"version": "v1", "backend": "memory", "degraded": false, "reason": "", "sessions": 2.0, "last_commit": "2026-11-23T10:00:00Z",
		"blocks": 0.0, "held": 0.0, "size": 0.0, "clock": "it is late", "hold": "", "all_shadow": false, "expiring": []any{}, "configuration": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShadow(t *testing.T) {
	d := newOffice(t)
	if got := d.get(t, "/v1/shadow", nil); got != `{"shadow":[]}` {
		t.Errorf("nobody counts: %s", got)
	}
	d.desk.Stats = stats.New(d.store, "a", slog.New(slog.DiscardHandler))
	d.desk.Stats.Count(&rules.Verdict{At: start, Hits: []rules.Hit{{Rule: "limit.day", Subject: alice}}})
	want := `{"shadow":[{"rule":"limit.day","subject":"` + alice + `","count":1,"first":"2026-11-23T10:00:00Z","last":"2026-11-23T10:00:00Z"}]}`
	if got := d.get(t, "/v1/shadow", nil); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSubjectFaults(t *testing.T) {
	d := newOffice(t)
	pair := url.QueryEscape("account:a+domain:b.example")
	for name, c := range map[string]struct{ method, path, body, text string }{
		"usage of nobody":     {"GET", "/v1/usage", "", "want account:"},
		"usage of a word":     {"GET", "/v1/usage?subject=alice", "", "want account:"},
		"usage of no address": {"GET", "/v1/usage?subject=ip:10.0.0.0/8", "", "no IP address"},
		"history of a word":   {"GET", "/v1/history?subject=alice", "", "want account:"},
		"history of a pair":   {"GET", "/v1/history?subject=" + pair, "", "has windows only; want its account: or its domain:"},
		"limit 0":             {"GET", "/v1/history?subject=account:a&limit=0", "", `limit "0": no number of decisions; want 1 to 10000`},
		"limit too large":     {"GET", "/v1/history?subject=account:a&limit=10001", "", "want 1 to 10000"},
		"limit of letters":    {"GET", "/v1/history?subject=account:a&limit=all", "", "want 1 to 10000"},
		"before of letters":   {"GET", "/v1/history?subject=account:a&before=noon", "", `before "noon": no time; want RFC 3339`},
		"reset of a word":     {"POST", "/v1/reset", `{"subject":"alice"}`, "want account:"},
		"reset of all":        {"POST", "/v1/reset", `{}`, "want account:"},
		"reset misspelt":      {"POST", "/v1/reset", `{"subject":"account:a","dryrun":true}`, "unknown field"},
		"block of a pair":     {"POST", "/v1/blocks", `{"subject":"account:a+domain:b.example","for":"1h"}`, "has windows only"},
		"lift of a pair":      {"POST", "/v1/blocks/lift", `{"block":"account:a+domain:b.example"}`, "has windows only"},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(d, c.method, c.path, c.body)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), strings.ReplaceAll(c.text, `"`, `\"`)) {
				t.Errorf("%d %s, want 400 with %s", w.Code, w.Body, c.text)
			}
		})
	}
	if d.log.Len() > 0 {
		t.Errorf("log: %s", &d.log)
	}
}

// What the store cannot say is an answer too, and no change without it.
func TestStoreAway(t *testing.T) {
	gone := errors.New("gone")
	log := &bytes.Buffer{}
	h := (&Admin{Desk: &desk.Desk{
		Store: away{memory.New(), gone}, Log: slog.New(slog.NewTextHandler(log, nil)), Sessions: func() int { return 0 }, Now: at,
		Judge: &judge{windows: func(context.Context, time.Time, string) ([]rules.Window, error) { return nil, gone }},
	}}).Handler()
	for _, path := range []string{"/v1/usage", "/v1/history"} {
		if w := serve(h, "GET", path+"?subject=account:a", ""); w.Code != 500 || !strings.Contains(w.Body.String(), `{"error":"gone"}`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := serve(h, "POST", "/v1/reset", `{"subject":"account:a"}`); w.Code != 500 || log.Len() > 0 {
		t.Errorf("%d %s, log %s", w.Code, w.Body, log)
	}
}

type away struct {
	state.Store
	err error
}

func (a away) Decisions(context.Context, state.Query) ([]state.Decision, error) { return nil, a.err }

func TestClockAndLocalAreMeasured(t *testing.T) {
	reg := prometheus.NewRegistry()
	RegisterClock(reg, func() time.Duration { return -90 * time.Second })
	RegisterLocal(reg, func() uint64 { return 7 })
	want := `# HELP o2n_milter_clock_offset_seconds By how much the wall clock is ahead of the daemon's clock, which goes on without it; 0 as a rule.
# TYPE o2n_milter_clock_offset_seconds gauge
o2n_milter_clock_offset_seconds -90
# HELP o2n_milter_store_local_takes_total Calls that this host decided alone, at half the limits, since the store was away.
# TYPE o2n_milter_store_local_takes_total counter
o2n_milter_store_local_takes_total 7
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
