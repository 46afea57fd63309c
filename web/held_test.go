package web

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/web/desk"
)

// TestHeldAdmin: the paths of held mail, as the commands use them.
func TestHeldAdmin(t *testing.T) {
	store := memory.New()
	for id, rule := range map[string]string{"H1": "limit.minute", "H2": "block.active"} {
		err := state.PutRecord(t.Context(), store, &state.Held{
			ID: id, Subject: alice, Rule: rule, Account: "alice@client-a.example", Host: "mx1.host.example", QueueID: "Q" + id,
			Recipients: []string{"x@remote.example"}, Since: start.Add(-time.Hour), State: state.HeldWaiting, Ask: json.RawMessage(`{"secret":1}`),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	d := &desk.Desk{
		Store: store, Judge: &judge{}, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: at, Sessions: func() int { return 0 },
		HeldUnknown: func() []desk.UnknownHeld {
			return []desk.UnknownHeld{{Host: "mx1.host.example", QueueID: "U1", Since: start}}
		},
	}
	h := (&Admin{Desk: d}).Handler()
	get := func(path string, query ...string) (int, string) {
		q := url.Values{}
		for i := 0; i < len(query); i += 2 {
			q.Set(query[i], query[i+1])
		}
		w := serve(h, "GET", path+"?"+q.Encode(), "")
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	_, all := get("/v1/held")
	want := `{"held":[{"id":"H1","host":"mx1.host.example","queue_id":"QH1","subject":"account:alice@client-a.example","rule":"limit.minute",` +
		`"since":"2026-11-23T09:00:00Z","due":null,"state":"waiting",`
	if !strings.HasPrefix(all, want) || !strings.Contains(all, `"more":0,"unknown":[{"host":"mx1.host.example","queue_id":"U1",`) || strings.Contains(all, "secret") {
		t.Errorf("%s", all)
	}
	for _, tt := range []struct {
		query []string
		has   string // ids
	}{
		{[]string{"rule", "limit.minute"}, "H1"}, {[]string{"id", "QH2"}, "H2"}, {[]string{"subject", alice}, "H1H2"}, {[]string{"host", "mx2"}, ""},
		{[]string{"until", "2026-11-23T08:59:59.999999999Z"}, ""}, {[]string{"until", "2026-11-23T10:00:00+01:00"}, "H1H2"},
	} {
		code, body := get("/v1/held", tt.query...)
		for _, id := range []string{"H1", "H2"} {
			if code != http.StatusOK || strings.Contains(body, `"id":"`+id+`"`) != strings.Contains(tt.has, id) {
				t.Errorf("%q: %d %s; want %s", tt.query, code, body, tt.has)
			}
		}
	}
	for _, tt := range []struct {
		path  string
		query []string
		code  int
		said  string
	}{
		{"/v1/held", []string{"until", "yesterday"}, 400, `until \"yesterday\": no time; want RFC 3339`},
		{"/v1/held", []string{"subject", "alice"}, 400, "want account:"},
		{"/v1/held/show", []string{"id", "h1"}, 200, `"to":["x@remote.example"]`},
		{"/v1/held/show", nil, 404, `no held mail`},
	} {
		if code, body := get(tt.path, tt.query...); code != tt.code || !strings.Contains(body, tt.said) {
			t.Errorf("%s %q: %d %s", tt.path, tt.query, code, body)
		}
	}
	var done desk.WishedList
	post(t, h, "/v1/held/wish", `{"wish":"delete","ids":["QH1"],"reason":"ticket 7","dry_run":true}`, &done)
	if len(done.Held) != 1 || done.Held[0].Outcome != desk.HeldWould {
		t.Errorf("%+v", done)
	}
	post(t, h, "/v1/held/wish", `{"wish":"release","subject":"`+alice+`","rule":"block.active"}`, &done)
	if len(done.Held) != 1 || done.Held[0].ID != "H2" || done.Held[0].Outcome != desk.HeldAsked || done.Held[0].WishBy != "unknown" {
		t.Errorf("%+v", done)
	}
	for body, code := range map[string]int{
		`{"wish":"burn","ids":["H1"]}`: 400, `{"wish":"delete"}`: 400, `{"wish":"delete","ids":["H9"]}`: 404, `{"wish":"delete","ids":["H1"],"force":true}`: 400,
	} {
		if w := serve(h, "POST", "/v1/held/wish", body); w.Code != code {
			t.Errorf("%s: %d %s; want %d", body, w.Code, w.Body, code)
		}
	}
	for path, code := range map[string]int{"/v1/status": 200, "/v1/overview": 200} {
		if got, body := get(path); got != code || !strings.Contains(body, `"held":2,`) {
			t.Errorf("%s: %d %s", path, got, body)
		}
	}
	if w := serve(h, "GET", "/v1/held/wish", ""); w.Code == http.StatusOK {
		t.Errorf("GET: %d", w.Code)
	}
}
