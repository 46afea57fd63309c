package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html/atom"

	"o2n-milter/state"
	"o2n-milter/web/page/pagetest"
)

// wishOf is what the store holds of a message.
func (w *world) wishOf(id string) state.Wish {
	w.t.Helper()
	h, err := w.desk.HeldMail(w.t.Context(), id)
	w.must(err)
	return h.Wish
}

// TestHeldPages: all messages of a subject stand on one page each, the oldest first.
func TestHeldPages(t *testing.T) {
	w := newWorld(t)
	const n = 2*perPage + 7
	for i := range n {
		w.held(fmt.Sprintf("H%07d", i), "x", func(h *state.Held) { h.Since = w.now.Add(time.Duration(i-n) * time.Second) })
	}
	b := w.operator("zoe")
	var ids []string
	pages := 0
	for path := aliceHeld; path != ""; pages++ {
		p := b.get(path)
		path = ""
		for a := range all(p.tree, atom.A) {
			if id, ok := strings.CutPrefix(pagetest.Attr(a, "href"), "/admin/held/"); ok {
				ids = append(ids, id)
			}
			if pagetest.Attr(a, "rel") == "next" {
				path = "/admin/held" + pagetest.Attr(a, "href")
			}
		}
		if !strings.Contains(p.text(), fmt.Sprintf("All %d of them", n)) {
			t.Errorf("%s", p.text())
		}
	}
	if pages != 3 || len(ids) != n || ids[0] != "H0000000" || ids[n-1] != fmt.Sprintf("H%07d", n-1) {
		t.Errorf("%d messages on %d pages: %v", len(ids), pages, ids)
	}
	if text := b.get(aliceURL).text(); strings.Count(text, " waiting ") != mostNewest || !strings.Contains(text, fmt.Sprintf("All of it: %d", n)) {
		t.Errorf("%s", text)
	}
}

// TestHeldAllIsWhatWasSeen: mail that came after the page was made stays, and so do
// other subjects', other rules' and what is leaving.
func TestHeldAllIsWhatWasSeen(t *testing.T) {
	w := newWorld(t)
	w.held("H1", "x")
	w.held("H2", "x", func(h *state.Held) { h.Since = w.now })
	w.held("H3", "x", func(h *state.Held) { h.Rule = "block.active" })
	w.held("H4", "x", func(h *state.Held) { h.Subject = "account:bob@client-a.example" })
	b := w.operator("zoe")
	form := b.form(aliceHeld, "/admin/held", url.Values{"wish": {"delete"}})
	w.held("H5", "x", func(h *state.Held) { h.Since = w.now.Add(1) })
	w.held("H6", "x", func(h *state.Held) { h.State = state.HeldLeaving })
	p := b.do(http.MethodPost, "/admin/held", form)
	if p.status != http.StatusSeeOther || p.header.Get("Location") != aliceHeld {
		t.Fatalf("%d to %s: %s", p.status, p.header.Get("Location"), p.text())
	}
	if text := b.get(aliceHeld).text(); !strings.Contains(text, "that are to be deleted: 2. Left already: 1.") {
		t.Errorf("%s", text)
	}
	for id, want := range map[string]state.Wish{"H1": state.WishDelete, "H2": state.WishDelete, "H3": "", "H4": "", "H5": "", "H6": ""} {
		if got := w.wishOf(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

// Mail of an unknown sender is not sent back, and that is said.
func TestHeldToAStranger(t *testing.T) {
	w := newWorld(t)
	w.held("H1", "x", func(h *state.Held) { h.From = "" })
	w.held("H2", "x")
	b := w.operator("zoe")
	fill := url.Values{"wish": {"bounce"}}
	if text := b.submit("/admin/held/H1", "/admin/held/H1", fill).text(); !strings.Contains(text, "Message H1 cannot be sent back: its envelope sender") {
		t.Errorf("%s", text)
	}
	if text := b.submit(aliceHeld, "/admin/held", fill).text(); !strings.Contains(text, "to be sent back: 1. With an envelope sender that is not known to be who sent it: 1, which stay.") {
		t.Errorf("%s", text)
	}
	if w.wishOf("H1") != "" || w.wishOf("H2") != state.WishBounce {
		t.Errorf("H1 %q, H2 %q", w.wishOf("H1"), w.wishOf("H2"))
	}
}

// TestHeldTooLate: a message that has left while the page was open.
func TestHeldTooLate(t *testing.T) {
	for s, status := range map[state.HeldState]int{
		state.HeldLeaving: http.StatusSeeOther, state.HeldReleased: http.StatusSeeOther, "": http.StatusNotFound,
	} {
		w := newWorld(t)
		w.held("H1", "x")
		b := w.operator("zoe")
		form := b.form("/admin/held/H1", "/admin/held/H1", url.Values{"wish": {"bounce"}})
		list, err := state.Records[state.Held](t.Context(), w.store)
		w.must(err)
		if h := list[0]; s == "" {
			w.must(state.DeleteRecord(t.Context(), w.store, h))
		} else {
			h.State = s
			w.must(state.PutRecord(t.Context(), w.store, &h))
		}
		before := w.everything()
		p := b.do(http.MethodPost, "/admin/held/H1", form)
		if p.status != status || w.everything() != before {
			t.Errorf("%s: %d, want %d: %s", s, p.status, status, p.text())
		}
		if s == "" {
			continue
		}
		text := b.get("/admin/held/H1").text()
		if !strings.Contains(text, fmt.Sprintf("Message H1 is %s already: nothing was changed.", s)) || strings.Contains(text, "What is to become of it") {
			t.Errorf("%s: %s", s, text)
		}
	}
}

// TestHeldForged: a form of another site, session, page or message does nothing.
func TestHeldForged(t *testing.T) {
	w := newWorld(t)
	w.fill("hello")
	b, other := w.operator("zoe"), w.operator("mallory")
	fill := url.Values{"wish": {"delete"}}
	foreign := other.form("/admin/held/H1111111", "/admin/held/H1111111", fill)
	ofOther := b.form("/admin/held/H2222222", "/admin/held/H2222222", fill)
	good := b.form("/admin/held/H1111111", "/admin/held/H1111111", fill)
	bulk := b.form(aliceHeld, "/admin/held", fill)
	with := func(form url.Values, name, value string) url.Values {
		changed := url.Values{}
		for k, v := range form {
			changed[k] = v
		}
		changed.Set(name, value)
		return changed
	}
	before := w.everything()
	for _, tt := range []struct {
		name, path string
		form       url.Values
		site       string
		want       int
	}{
		{"no token", "/admin/held/H1111111", url.Values{"wish": {"delete"}, "sure": {"yes"}}, "same-origin", 403},
		{"another session's", "/admin/held/H1111111", foreign, "same-origin", 403},
		{"another message's", "/admin/held/H1111111", ofOther, "same-origin", 403},
		{"one message's for all", "/admin/held", with(good, "subject", alice), "same-origin", 403},
		{"cross-site", "/admin/held/H1111111", good, "cross-site", 403},
		{"cross-site, all", "/admin/held", bulk, "cross-site", 403},
		{"no wish", "/admin/held/H1111111", with(good, "wish", ""), "same-origin", 422},
		{"another wish", "/admin/held/H1111111", with(good, "wish", "burn"), "same-origin", 422},
		{"all, of nobody", "/admin/held", with(bulk, "subject", ""), "same-origin", 422},
		{"all, at no time", "/admin/held", with(bulk, "until", "now"), "same-origin", 422},
		{"all, of the zero time", "/admin/held", with(bulk, "until", "0001-01-01T00:00:00Z"), "same-origin", 422},
	} {
		b.header = http.Header{"Sec-Fetch-Site": {tt.site}}
		if p := b.do(http.MethodPost, tt.path, tt.form); p.status != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, p.status, tt.want, p.text())
		}
	}
	if got := w.everything(); got != before {
		t.Errorf("the store has changed:\n%s\nwas\n%s", got, before)
	}
}
