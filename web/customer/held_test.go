package customer

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/web/desk"
	"o2n-milter/web/page/pagetest"
)

// held stores a message of an account on hold, as more changes it.
func (w *world) held(id, account string, more ...func(*state.Held)) {
	w.Helper()
	h := state.Held{
		ID: id, Subject: "account:" + account, Rule: "limit.minute", Reason: "10 used, 1 more", Account: account, Customer: "C-1001",
		Host: "mx1.host.example", QueueID: "4Xy" + id, From: account, Recipients: []string{"friend@remote.example"}, About: "Mail " + id,
		Since: w.now, State: state.HeldWaiting, Due: w.now.Add(25 * time.Minute),
	}
	for _, change := range more {
		change(&h)
	}
	w.must(state.PutRecord(w.Context(), w.store, &h))
}

// wishOf is what somebody wants done with a message.
func (w *world) wishOf(id string) state.Wish {
	w.Helper()
	list, err := state.Records[state.Held](w.Context(), w.store)
	w.must(err)
	for _, h := range list {
		if h.ID == id {
			return h.Wish
		}
	}
	w.Fatalf("no held mail %s", id)
	return ""
}

// deleteForm is the form of a page that deletes a message, box ticked.
func (w *world) deleteForm(page, id string) url.Values {
	w.Helper()
	for n := range parse(w, page).Descendants() {
		if n.Data != "form" {
			continue
		}
		form := url.Values{}
		for in := range n.Descendants() {
			if in.Data == "input" {
				form.Set(pagetest.Attr(in, "name"), pagetest.Attr(in, "value"))
			}
		}
		if form.Get("held") == id {
			return form
		}
	}
	w.Fatalf("no form deletes %s: %s", id, seen(w, page))
	return nil
}

func TestHeldMail(t *testing.T) {
	w := newWorld(t)
	if page := seen(t, w.get(w.link(alice))); strings.Contains(page, "Held mail") {
		t.Errorf("nothing is held: %s", page)
	}
	ago := func(d time.Duration) func(*state.Held) { return func(h *state.Held) { h.Since = w.now.Add(-d) } }
	w.held("H1", alice, ago(9*time.Minute))
	w.held("H2", alice, ago(8*time.Minute), func(h *state.Held) { h.Due = w.now })
	w.held("H3", alice, ago(7*time.Minute), func(h *state.Held) { h.Rule, h.Due = "block.active", time.Time{} })
	w.held("H4", alice, ago(6*time.Minute), func(h *state.Held) { h.State, h.Rule = state.HeldKept, "identity.header_from" })
	w.held("H5", alice, ago(5*time.Minute), func(h *state.Held) { h.State = state.HeldLeaving })
	w.held("H6", alice, ago(4*time.Minute), func(h *state.Held) { h.Wish, h.WishBy = state.WishBounce, "olivia" })
	w.held("H7", alice, ago(3*time.Minute), func(h *state.Held) { h.Wish = state.WishDelete })
	w.held("H8", alice, ago(2*time.Minute), func(h *state.Held) { h.Wish = state.WishRelease })
	w.held("H9", alice, ago(time.Minute), func(h *state.Held) {
		h.Rule, h.Due, h.About = "store.unavailable", time.Time{}, ""
		h.Recipients = []string{"a@x.example", "b@x.example", "c@x.example", "d@x.example", "e@x.example", "f@x.example", "g@x.example"}
	})
	w.held("held-gone", alice, func(h *state.Held) { h.State = state.HeldReleased })
	w.held("held-bob", bob)
	page := w.get(w.link(alice))
	en, fr := seen(t, page), seen(t, w.get(w.link(alice), "Accept-Language", "fr"))
	for _, want := range []string{
		"You need not send them again.",
		"(no subject line) To: a@x.example , b@x.example , c@x.example , d@x.example , e@x.example and 2 more 23 Nov, 11:59 UTC by itself, as soon as possible Delete Yes, delete this message for good Delete Message not to be checked",
		"Mail H8 To: friend@remote.example 23 Nov, 11:58 UTC right now: your provider lets it go Delete",
		"Mail H7 To: friend@remote.example 23 Nov, 11:57 UTC never: it is being deleted Sending limit Mail H6",
		"Mail H6 To: friend@remote.example 23 Nov, 11:56 UTC never: your provider sends it back to you Delete",
		"Mail H5 To: friend@remote.example 23 Nov, 11:55 UTC right now Sending limit Mail H4",
		"Mail H4 To: friend@remote.example 23 Nov, 11:54 UTC when your provider has looked at it Delete Mail H4 Yes, delete this message for good Delete Your own From address",
		"Mail H3 To: friend@remote.example 23 Nov, 11:53 UTC when the block has ended Delete Mail H3 Yes, delete this message for good Delete No sending while blocked",
		"Mail H2 To: friend@remote.example 23 Nov, 11:52 UTC as soon as your limits have room Delete",
		"Mail H1 To: friend@remote.example 23 Nov, 11:51 UTC 23 Nov, 12:25 UTC (in 25 minutes) Delete Mail H1 Yes, delete this message for good Delete Sending limit",
	} {
		if !strings.Contains(en, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, want := range []string{
		"Courrier retenu", "Vous n’avez pas à les renvoyer.", "et 2 de plus", "de lui-même, dès que possible", "maintenant : votre hébergeur le laisse partir",
		"jamais : il est en cours de suppression", "jamais : votre hébergeur vous le renvoie", "quand votre hébergeur l’aura examiné", "à la fin du blocage",
		"dès que vos limites le permettent", "(dans 25 minutes)", "Limite d’envoi", "Oui, supprimer ce message définitivement",
	} {
		if !strings.Contains(fr, want) {
			t.Errorf("the French page lacks %q", want)
		}
	}
	for _, bad := range []string{"held-gone", "held-bob", "olivia", "mx1.host", "4XyH1", "10 used, 1 more", "C-1001", "f@x.example"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if n := strings.Count(page, "<details><summary>Delete"); n != 7 {
		t.Errorf("%d can be deleted; want 7", n)
	}
	if t.Failed() {
		t.Log(en)
	}
}

func TestHeldMailIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 102 {
		w.held(fmt.Sprintf("H%03d", i), alice, func(h *state.Held) { h.Since = w.now.Add(time.Duration(i-200) * time.Second) })
		want := map[int]string{99: "", 100: "And 1 older message.", 101: "And 2 older messages."}
		more, look := want[i]
		if !look {
			continue
		}
		page := seen(t, w.get(w.link(alice)))
		if n := strings.Count(page, "friend@remote.example"); n != min(i+1, 100) || !strings.Contains(page, more) || strings.Contains(page, "older") != (more != "") {
			t.Errorf("of %d: %d shown, want %q: %s", i+1, n, more, page)
		}
		if strings.Contains(page, "Mail H000") != (i < 100) {
			t.Errorf("of %d the oldest should stay behind", i+1)
		}
	}
}

func TestDeleteHeld(t *testing.T) {
	w := newWorld(t)
	w.held("H1", alice)
	w.held("H2", alice)
	// A form to ask for unblocking is on the page too: each goes its own way.
	w.blockByHand("account:"+alice, "4h", "why")
	link := w.link(alice)
	out := w.serve(http.MethodPost, link, w.deleteForm(w.get(link), "H1").Encode())
	if out.Code != http.StatusSeeOther || out.Header().Get("Location") != strings.TrimPrefix(link, "/c/") {
		t.Fatalf("status %d to %q", out.Code, out.Header().Get("Location"))
	}
	if w.wishOf("H1") != state.WishDelete || w.wishOf("H2") != "" || len(w.requests()) != 0 {
		t.Errorf("H1 %q, H2 %q, %d requests", w.wishOf("H1"), w.wishOf("H2"), len(w.requests()))
	}
	if page := seen(t, w.get(link)); !strings.Contains(page, "never: it is being deleted") {
		t.Error(page)
	}
	audit, err := w.desk.Audit(w.Context(), desk.AuditQuery{Target: "H1"})
	if err != nil || len(audit.Audit) != 1 || audit.Audit[0].By != "customer "+alice || audit.Audit[0].From != "page 192.0.2.66" || audit.Audit[0].What != "held delete" {
		t.Errorf("%+v, %v", audit, err)
	}
	if out := w.ask(link); out.Code != http.StatusSeeOther || len(w.requests()) != 1 {
		t.Errorf("asking: status %d, %d requests", out.Code, len(w.requests()))
	}
}

// TestForgedDeletes: none deletes anything, and nobody is told what there is of
// another's.
func TestForgedDeletes(t *testing.T) {
	tests := []struct {
		name    string
		change  func(w *world, form url.Values) (path string)
		headers []string
		want    int
		said    string
	}{
		{"no token", func(_ *world, f url.Values) string { f.Del("form_token"); return "" }, nil, 403, "nothing was deleted"},
		{"the token of the other form", func(w *world, f url.Values) string {
			w.blockByHand("account:"+alice, "4h", "why")
			f.Set("form_token", w.form(w.get(w.link(alice))).Get("form_token"))
			return ""
		}, nil, 422, ""},
		{"another account's page", func(w *world, _ url.Values) string { return w.link(bob) }, nil, 403, "nothing was deleted"},
		{"the link of a reply", func(w *world, _ url.Values) string { return w.scoped(alice, desk.ScopeReply) }, nil, 403, ""},
		{"too old", func(w *world, _ url.Values) string { w.now = noon.Add(12 * time.Hour); return "" }, nil, 403, "open for too long"},
		{"from another site", func(*world, url.Values) string { return "" }, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"from another origin", func(*world, url.Values) string { return "" }, []string{"Sec-Fetch-Site", "", "Origin", "https://attacker.example"}, 403, ""},
		{"no form", func(*world, url.Values) string { return "" }, []string{"Content-Type", "text/plain"}, 403, ""},
		{"not sure", func(_ *world, f url.Values) string { f.Del("sure"); return "" }, nil, 422, "Please tick the box"},
		{"another's mail", func(_ *world, f url.Values) string { f.Set("held", "held-bob"); return "" }, nil, 409, "not held any more"},
		{"a colleague's mail", func(_ *world, f url.Values) string { f.Set("held", "held-amy"); return "" }, nil, 409, "not held any more"},
		{"no such mail", func(_ *world, f url.Values) string { f.Set("held", "H0"); return "" }, nil, 409, "not held any more"},
		{"a queue id", func(_ *world, f url.Values) string { f.Set("held", "4XyH1"); return "" }, nil, 409, "not held any more"},
		{"nothing", func(_ *world, f url.Values) string { f.Set("held", ""); return "" }, nil, 409, "not held any more"},
		{"it is leaving", func(_ *world, f url.Values) string { f.Set("held", "HL"); return "" }, nil, 409, "not held any more"},
		{"it has left", func(_ *world, f url.Values) string { f.Set("held", "HR"); return "" }, nil, 409, "not held any more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			for id, account := range map[string]string{"H1": alice, "held-bob": bob, "held-amy": amy, "HL": alice, "HR": alice} {
				w.held(id, account, func(h *state.Held) {
					h.State = map[string]state.HeldState{"HL": state.HeldLeaving, "HR": state.HeldReleased}[id]
					if h.State == "" {
						h.State = state.HeldWaiting
					}
				})
			}
			link := w.link(alice)
			form := w.deleteForm(w.get(link), "H1")
			if path := test.change(w, form); path != "" {
				link = path
			}
			out := w.serve(http.MethodPost, link, form.Encode(), test.headers...)
			if page := seen(t, out.Body.String()); out.Code != test.want || !strings.Contains(page, test.said) {
				t.Errorf("status %d, want %d and %q: %s", out.Code, test.want, test.said, page)
			}
			for _, id := range []string{"H1", "held-bob", "held-amy", "HL", "HR"} {
				if wish := w.wishOf(id); wish != "" {
					t.Errorf("%s is to be %s", id, wish)
				}
			}
			if strings.Contains(out.Body.String(), "held-bob") && link != w.link(bob) || strings.Contains(out.Body.String(), "held-amy") {
				t.Error("another's mail is named")
			}
			w.sound(out.Body.String())
		})
	}
}

// A link of an SMTP reply shows the mail and has no form; one made by hand does
// nothing.
func TestHeldWithTheLinkOfAReply(t *testing.T) {
	w := newWorld(t)
	w.held("H1", alice)
	link := w.scoped(alice, desk.ScopeReply)
	page := w.get(link)
	if text := seen(t, page); !strings.Contains(text, "Mail H1") || !strings.Contains(text, "open this page from your customer area") || strings.Contains(page, "<form") {
		t.Errorf("%s", text)
	}
	// The token that the page would give, had it the form.
	form := w.deleteForm(w.get(w.link(alice)), "H1")
	if out := w.serve(http.MethodPost, link, form.Encode()); out.Code != http.StatusForbidden || w.wishOf("H1") != "" {
		t.Errorf("status %d, wish %q", out.Code, w.wishOf("H1"))
	}
}

func TestDeletesAreLimited(t *testing.T) {
	w := newWorld(t)
	w.held("H1", alice)
	link := w.link(alice)
	form := w.deleteForm(w.get(link), "H1").Encode()
	post := func(n int) int {
		code := 0
		for i := range n {
			// Each from an address of its own: what one address may send is less.
			r := fmt.Sprintf("203.0.113.%d", i%250)
			code = w.from(r, link, form)
		}
		return code
	}
	if code := post(100); code != http.StatusSeeOther {
		t.Errorf("the 100th: status %d", code)
	}
	if code := post(1); code != http.StatusTooManyRequests {
		t.Errorf("the 101st: status %d", code)
	}
	w.now = noon.Add(36*time.Second - 1)
	if code := post(1); code != http.StatusTooManyRequests {
		t.Errorf("just before: status %d", code)
	}
	w.now = noon.Add(36 * time.Second)
	if code := post(1); code != http.StatusSeeOther {
		t.Errorf("after 36 seconds: status %d", code)
	}
}

// FuzzDeleteHeld: whatever is sent, nothing but an own message goes, and only with
// the box ticked.
func FuzzDeleteHeld(f *testing.F) {
	f.Add("H1", "yes")
	f.Add("held-bob", "yes")
	f.Add("h1", "on")
	f.Add(nasty, "\x00")
	f.Fuzz(func(t *testing.T, id, sure string) {
		w := newWorld(t)
		w.held("H1", alice)
		w.held("held-bob", bob)
		link := w.link(alice)
		form := w.deleteForm(w.get(link), "H1")
		form.Set("held", id)
		form.Set("sure", sure)
		out := w.serve(http.MethodPost, link, form.Encode())
		good := id == "H1" && sure == "yes"
		if (out.Code == http.StatusSeeOther) != good || out.Code >= 500 || (w.wishOf("H1") != "") != good || w.wishOf("held-bob") != "" {
			t.Errorf("status %d, H1 %q, HB %q", out.Code, w.wishOf("H1"), w.wishOf("held-bob"))
		}
		if !good && out.Code != http.StatusRequestEntityTooLarge {
			w.sound(out.Body.String())
		}
	})
}
