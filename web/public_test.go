package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/web/desk"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func at() time.Time { return start }

// sick is a store in trouble.
type sick struct {
	state.Store
	degraded string
	away     bool
	err      error
}

func (s sick) Status(ctx context.Context, now time.Time) (state.Status, error) {
	st, _ := s.Store.Status(ctx, now)
	st.Degraded, st.Away = s.degraded, s.away
	return st, s.err
}

func (s sick) Blocks(ctx context.Context) ([]state.Block, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Blocks(ctx)
}

func (s sick) Take(context.Context, time.Time, state.Ask) (state.Answer, error) {
	return state.Answer{}, s.err
}

func serve(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

func TestHealth(t *testing.T) {
	for name, c := range map[string]struct {
		store state.Store
		path  string
		code  int
		text  string
	}{
		"alive":             {memory.New(), "/healthz", 200, "ok"},
		"alive though sick": {sick{Store: memory.New(), degraded: "disk full"}, "/healthz", 200, "ok"},
		"ready":             {memory.New(), "/readyz", 200, "ready"},
		"disk full":         {sick{Store: memory.New(), degraded: "disk full", away: true}, "/readyz", 503, "store: disk full"},
		"something lost":    {sick{Store: memory.New(), degraded: "damage: ..."}, "/readyz", 200, "ready"},
		"away":              {sick{Store: memory.New(), err: errors.New("gone")}, "/readyz", 503, "store: gone"},
		"nothing":           {memory.New(), "/", 404, "404 page not found"},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(Public(c.store, prometheus.NewRegistry(), at), "GET", c.path, "")
			if got := strings.TrimSpace(w.Body.String()); w.Code != c.code || got != c.text {
				t.Errorf("got %d %q", w.Code, got)
			}
		})
	}
	if w := serve(Public(memory.New(), prometheus.NewRegistry(), at), "POST", "/readyz", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST gives %d", w.Code)
	}
}

func TestStoreIsMeasured(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := Measure(reg, sick{Store: memory.New(), err: errors.New("gone")})
	if _, err := m.Take(context.Background(), start, state.Ask{}); err == nil {
		t.Fatal("no error")
	}
	if _, err := m.LiftBlock(context.Background(), "B1", start, "", ""); !errors.Is(err, state.ErrNotFound) {
		t.Fatal(err)
	}
	metrics := serve(Public(m, reg, at), "GET", "/metrics", "").Body.String()
	for _, line := range []string{
		`o2n_milter_store_errors_total{op="take"} 1`, `o2n_milter_store_errors_total{op="lift_block"} 0`, `o2n_milter_store_errors_total{op="record"} 0`,
		`o2n_milter_store_seconds_count{op="take"} 1`, `o2n_milter_store_seconds_count{op="lift_block"} 1`, `o2n_milter_store_seconds_count{op="record"} 0`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

func TestActiveBlocksByKind(t *testing.T) {
	store := memory.New()
	for id, b := range map[string]state.Block{
		"B1": {Subject: "account:a@x.example", Since: start, Until: start.Add(time.Hour)},
		"B2": {Subject: "account:b@x.example", Since: start.Add(-time.Hour), Until: start},
		"B3": {Subject: "ip:192.0.2.7", Since: start},
	} {
		b.ID = id
		if err := store.AddBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	reg := prometheus.NewRegistry()
	RegisterState(reg, store, at)
	want := `# HELP o2n_milter_blocks_active Blocks in force, by kind of subject.
# TYPE o2n_milter_blocks_active gauge
o2n_milter_blocks_active{kind="account"} 1
o2n_milter_blocks_active{kind="customer"} 0
o2n_milter_blocks_active{kind="domain"} 0
o2n_milter_blocks_active{kind="host"} 0
o2n_milter_blocks_active{kind="ip"} 1
o2n_milter_blocks_active{kind="script"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "o2n_milter_blocks_active"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func TestAdminFaults(t *testing.T) {
	admin := (&Admin{Desk: &desk.Desk{
		Store: memory.New(), Judge: &judge{}, Log: slog.New(slog.DiscardHandler), Sessions: func() int { return 0 }, Now: at,
	}}).Handler()
	for name, c := range map[string]struct {
		method, path, body string
		code               int
		text               string
	}{
		"no JSON":         {"POST", "/v1/blocks", "x", 400, "body: "},
		"unknown field":   {"POST", "/v1/blocks", `{"sbject":"x"}`, 400, `unknown field "sbject"`},
		"too long":        {"POST", "/v1/blocks", `{"reason":"` + strings.Repeat("x", mostBody) + `"}`, 400, "too large"},
		"bad subject":     {"POST", "/v1/blocks", `{"subject":"alice","for":"1h"}`, 400, "want account:"},
		"no duration":     {"POST", "/v1/blocks", `{"subject":"account:a"}`, 400, "want 30m, 4h, 7d or manual"},
		"half a second":   {"POST", "/v1/blocks", `{"subject":"account:a","for":"0s"}`, 400, "want 30m"},
		"unknown block":   {"POST", "/v1/blocks/lift", `{"block":"B1"}`, 404, "no active block"},
		"empty lift":      {"POST", "/v1/blocks/lift", `{}`, 404, "no active block"},
		"unknown path":    {"GET", "/v1/bogus", "", 404, "is not known"},
		"GET on a change": {"GET", "/v1/blocks/lift", "", 404, "is not known"},
		"no such block":   {"GET", "/v1/blocks/show?id=B1", "", 404, `no block "B1"`},
		"extend none":     {"POST", "/v1/blocks/extend", `{"block":"B1","for":"1h"}`, 404, `no block "B1"`},
		"no such request": {"POST", "/v1/requests/approve", `{"request":"R1"}`, 404, `no request "R1"`},
		"deny none":       {"POST", "/v1/requests/deny", `{"request":"R1","text":"no"}`, 404, `no request "R1"`},
		"exempt nobody":   {"POST", "/v1/exemptions", `{}`, 400, "want account:"},
		"no exemption":    {"POST", "/v1/exemptions/remove", `{"id":"E1"}`, 404, `no exemption "E1"`},
		"no link key":     {"POST", "/v1/links", `{"account":"a"}`, 409, "web.link_key_file"},
		"no console":      {"POST", "/v1/console", `{}`, 409, "web.listen"},
		"console, body":   {"POST", "/v1/console", `{"name":"x"}`, 400, "unknown field"},
		"audit of a word": {"GET", "/v1/audit?subject=x", "", 400, "want account:"},
		"audit, limit":    {"GET", "/v1/audit?limit=0", "", 400, `limit "0": no number of lines`},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(admin, c.method, c.path, c.body)
			var f Fault
			if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil {
				t.Fatalf("%v in %q", err, w.Body)
			}
			if w.Code != c.code || !strings.Contains(f.Error, c.text) {
				t.Errorf("got %d %q, want %d %q", w.Code, f.Error, c.code, c.text)
			}
		})
	}
}

func TestStoreHealthIsMeasured(t *testing.T) {
	for name, c := range map[string]struct {
		store          sick
		away, degraded string
	}{
		"whole":     {sick{Store: memory.New()}, "0", "0"},
		"damaged":   {sick{Store: memory.New(), degraded: "damage: ..."}, "0", "1"},
		"disk full": {sick{Store: memory.New(), degraded: "disk full", away: true}, "1", "1"},
	} {
		reg := prometheus.NewRegistry()
		RegisterState(reg, c.store, at)
		body := serve(Public(c.store, reg, at), "GET", "/metrics", "").Body.String()
		for _, want := range []string{"o2n_milter_store_away " + c.away, "o2n_milter_store_degraded " + c.degraded} {
			if !strings.Contains(body, "\n"+want+"\n") {
				t.Errorf("%s: no %q", name, want)
			}
		}
	}
}
