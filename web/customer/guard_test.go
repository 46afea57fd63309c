package customer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/desk"
)

// TestEveryTokenFaultIsTheSamePage also holds for paths that are none.
func TestEveryTokenFaultIsTheSamePage(t *testing.T) {
	w := newWorld(t)
	w.block("B1AAAAAA", "account:"+alice, alice)
	good := w.link(alice)
	other, err := desk.NewLinks([]byte(strings.Repeat("x", 32)))
	w.must(err)
	bad := []string{
		"/c/", "/c/x", "/c/1.2.3.4", good + "A", good[:len(good)-1], good + "/", good + "/x", "/c" + good, "/", "/c/" + strings.Repeat("a", 3000),
		"/c/" + w.desk.Links.Mint(alice, desk.ScopeFull, w.now.Add(-time.Second)),
		"/c/" + other.Mint(alice, desk.ScopeFull, w.now.Add(time.Hour)),
		strings.Replace(good, "/c/1.", "/c/1r.", 1), strings.Replace(good, "/c/1.", "/c/2.", 1), "/c/%2e%2e/", "/c/" + w.desk.Links.Mint("a+domain:b", desk.ScopeFull, w.now.Add(time.Hour)),
	}
	var first string
	for _, path := range bad {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			out := w.serve(method, path, "")
			if out.Code != http.StatusNotFound {
				t.Errorf("%s %.80s: status %d", method, path, out.Code)
			}
			if first == "" {
				first = out.Body.String()
			}
			if out.Body.String() != first {
				t.Errorf("%s %.80s: another page", method, path)
			}
		}
	}
	w.sound(first)
	w.desk.Links = nil
	if out := w.serve(http.MethodGet, good, ""); out.Code != http.StatusNotFound || out.Body.String() != first {
		t.Errorf("without a key: status %d", out.Code)
	}
}

func TestLinkEnds(t *testing.T) {
	w := newWorld(t)
	link := w.link(alice)
	w.now = noon.Add(24 * time.Hour)
	w.get(link)
	w.now = noon.Add(24*time.Hour + time.Second)
	if out := w.serve(http.MethodGet, link, ""); out.Code != http.StatusNotFound {
		t.Errorf("status %d", out.Code)
	}
}

const nasty = `</title></p><script>alert(1)</script><img src=x onerror=alert(1)>"' onmouseover=x {{.}} ` + "\u202ertl\u200b\u2066"

// TestForeignTextIsHarmless puts it into every field that is stored.
func TestForeignTextIsHarmless(t *testing.T) {
	w := newWorld(t)
	evil := `<b>"evil"@client-a.example`
	evidence := `[{"rule":"identity.header_from","fact":"header From","got":"<script>alert(2)</script>\u001b[31m\u202e","want":"<i>"}]`
	w.must(w.store.Record(w.Context(), state.Decision{
		ID: "D<b>1", At: w.now, Action: "<b>reject", Rule: nasty, Account: evil, Subjects: []string{"account:" + evil},
	}))
	w.must(w.store.Record(w.Context(), state.Decision{
		ID: "D2", At: w.now, Action: "reject", Rule: "identity.header_from", Account: evil, Subjects: []string{"account:" + evil},
		Detail: []byte(`{"mail_subject":"\u001b]0;x</th><script>alert(3)</script>\u202e\u200f","evidence":` + evidence + `}`),
	}))
	for i, id := range []string{"B1AAAAAA", "B2AAAAAA"} {
		w.must(w.store.AddBlock(w.Context(), state.Block{
			ID: id, Subject: "account:" + evil, Rule: nasty, Reason: nasty, Since: w.now.Add(-time.Hour), Until: w.now.Add(time.Duration(i) * time.Hour),
			By: nasty, Account: evil, Decisions: []string{"D2"}, Evidence: []byte(evidence),
		}))
		for state := range map[state.RequestState]bool{state.RequestDenied: true, "<script>": true} {
			w.request(id, evil, state)
		}
	}
	w.held("H1", evil, func(h *state.Held) { h.About, h.Rule, h.Recipients = nasty, nasty, []string{nasty, evil} })
	page := w.get(w.link(evil))
	for _, bad := range []string{"<script", "<img", "onmouseover=x \"", "<b>", "\u202e", "\u200b", "\x1b", "\u200f"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, want := range []string{"&lt;script&gt;alert(1)", "&lt;script&gt;alert(2)", "&lt;script&gt;alert(3)", "[U+202E]", "[U+001B]"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func (w *world) request(block, account string, s state.RequestState) {
	w.Helper()
	w.must(state.PutRecord(w.Context(), w.store, &state.Request{
		ID: rules.NewID(), Block: block, Subject: "account:" + account, Account: account, At: w.now, Happened: nasty, Done: nasty,
		State: s, AnsweredAt: w.now, AnsweredBy: nasty, Answer: nasty, From: nasty,
	}))
}

// TestOneSeesNothingOfAnother: of two accounts of different customers and two of one.
func TestOneSeesNothingOfAnother(t *testing.T) {
	w := newWorld(t)
	for _, account := range []string{alice, amy, bob} {
		name, _, _ := strings.Cut(account, "@")
		v := w.forge(account, "secret of "+name)
		b := w.block("B-"+name, "account:"+account, account, v)
		w.blockByHand("account:"+account, "4h", "reason of "+name)
		w.held("H-"+name, account, func(h *state.Held) { h.About, h.Recipients = "letter of "+name, []string{"friend of " + name} })
		_, err := w.desk.Ask(w.Context(), operator, desk.AskUnblock{Account: account, Block: b.ID, Happened: "words of " + name})
		w.must(err)
	}
	w.must(w.store.AddBlock(w.Context(), state.Block{ID: "B-ip", Subject: "ip:192.0.2.7", Rule: "manual", Reason: "reason of the address", Since: w.now}))
	for _, account := range []string{alice, amy, bob} {
		page := w.get(w.link(account))
		for _, other := range []string{"alice", "amy", "bob", "address"} {
			own := strings.HasPrefix(account, other)
			for _, what := range []string{"secret of ", "reason of ", "words of ", "B-", "letter of ", "friend of ", "H-"} {
				if has := strings.Contains(page, what+other); has != own {
					t.Errorf("%s sees %q: %v", account, what+other, has)
				}
			}
		}
	}
}

// away is a store that cannot answer.
type away struct{ state.Store }

func (away) Blocks(context.Context) ([]state.Block, error) {
	return nil, errors.New("secret of the store")
}

func TestStoreAway(t *testing.T) {
	w := newWorld(t)
	w.desk.Store = away{w.store}
	out := w.serve(http.MethodGet, w.link(alice), "")
	if out.Code != http.StatusServiceUnavailable || strings.Contains(out.Body.String(), "secret") {
		t.Errorf("status %d: %s", out.Code, seen(t, out.Body.String()))
	}
	if !strings.Contains(w.log.String(), "secret of the store") {
		t.Errorf("log: %s", w.log.String())
	}
}

func TestViewsAreLimited(t *testing.T) {
	w := newWorld(t)
	get := func(account string) int { return w.serve(http.MethodGet, w.link(account), "").Code }
	for i := range 20 {
		if code := get(alice); code != http.StatusOK {
			t.Fatalf("view %d: status %d", i+1, code)
		}
	}
	if code := get(alice); code != http.StatusTooManyRequests {
		t.Errorf("view 21: status %d", code)
	}
	if code := get(bob); code != http.StatusOK {
		t.Errorf("another account: status %d", code)
	}
	w.now = noon.Add(3*time.Second - 1)
	if code := get(alice); code != http.StatusTooManyRequests {
		t.Errorf("just before: status %d", code)
	}
	w.now = noon.Add(3 * time.Second)
	if code := get(alice); code != http.StatusOK {
		t.Errorf("after three seconds: status %d", code)
	}
}

func TestGetChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.block("B1AAAAAA", "account:"+alice, alice)
	link := w.link(alice)
	form := w.form(w.get(link)).Encode()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if out := w.serve(method, link+"?"+form+"&self=1", form); out.Code != http.StatusOK {
			t.Errorf("%s: status %d", method, out.Code)
		}
	}
	if blocks, err := w.desk.Blocks(w.Context(), false); err != nil || len(blocks.Blocks) != 1 || len(w.requests()) != 0 {
		t.Errorf("%v %v %v", blocks, w.requests(), err)
	}
}
