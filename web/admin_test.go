package web

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"o2n-milter/rules"
	"o2n-milter/state/memory"
	"o2n-milter/web/desk"
)

// post sends body and reads the answer into out.
func post(t *testing.T, h http.Handler, path, body string, out any) {
	t.Helper()
	w := serve(h, "POST", path, body)
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", path, body, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		t.Fatal(err)
	}
}

// TestAdmin walks every path of the API once, as the commands do.
func TestAdmin(t *testing.T) {
	links, err := desk.NewLinks(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d := &desk.Desk{
		Store: memory.New(), Judge: &judge{set: rules.Settings{SelfUnblock: 1}}, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: at,
		Sessions: func() int { return 0 }, Links: links, PublicURL: "https://sending.example",
	}
	h := (&Admin{Desk: d}).Handler()
	has := func(path string, parts ...string) {
		t.Helper()
		w := serve(h, "GET", path, "")
		for _, part := range parts {
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), part) {
				t.Errorf("%s: %d, no %s in %s", path, w.Code, part, w.Body)
			}
		}
	}
	var b desk.BlockView
	post(t, h, "/v1/blocks", `{"subject":"account:a@x.example","for":"1h","reason":"why"}`, &b)
	has("/v1/blocks", b.ID)
	post(t, h, "/v1/blocks/extend", `{"block":"`+b.ID+`","for":"2h"}`, &b)
	has("/v1/blocks/show?id="+b.ID, `"reason":"why"`, `"earlier":[{`)
	r, err := d.Ask(t.Context(), desk.Actor{}, desk.AskUnblock{Account: "a@x.example", Block: b.ID, Happened: "x"})
	if err != nil {
		t.Fatal(err)
	}
	has("/v1/requests", r.ID)
	post(t, h, "/v1/requests/deny", `{"request":"`+r.ID+`","text":"no"}`, &r)
	if w := serve(h, "POST", "/v1/requests/approve", `{"request":"`+r.ID+`"}`); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "answered already") {
		t.Errorf("answered twice: %d %s", w.Code, w.Body)
	}
	has("/v1/requests", `{"requests":[]}`)
	has("/v1/requests?all=1", r.ID)
	var lifted desk.LiftedList
	post(t, h, "/v1/blocks/lift", `{"block":"`+b.ID+`"}`, &lifted)
	has("/v1/blocks", `{"blocks":[]}`)
	has("/v1/blocks?all=1", b.ID)

	var e desk.ExemptionView
	post(t, h, "/v1/exemptions", `{"subject":"account:a@x.example","rule":"block","for":"30d","owner":"o","reason":"r"}`, &e)
	has("/v1/exemptions", e.ID)
	post(t, h, "/v1/exemptions/remove", `{"id":"`+e.ID+`"}`, &e)
	has("/v1/exemptions", `{"exemptions":[]}`)
	has("/v1/exemptions?all=1", `"state":"removed"`)

	var l desk.LinkView
	post(t, h, "/v1/links", `{"account":"a@x.example","for":"1h"}`, &l)
	var c desk.ConsoleLink
	post(t, h, "/v1/console", `{}`, &c)
	if !strings.HasPrefix(l.URL, "https://sending.example/c/1.") || !strings.HasPrefix(c.URL, "https://sending.example/admin/login?code=") {
		t.Errorf("%+v, %+v", l, c)
	}
	has("/v1/overview", `"alarms":[`)
	has("/v1/audit?target="+b.ID+"&limit=1", `"what":"block lift"`, `"by":"unknown","from":"cli"`)
	has("/v1/audit?subject=account:A@x.example", `"what":"link"`, `"what":"exemption remove"`)
}
