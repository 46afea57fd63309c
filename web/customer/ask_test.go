package customer

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/web/desk"
)

func TestAsk(t *testing.T) {
	w := newWorld(t)
	b := w.blockByHand("account:"+alice, "4h", "why")
	link := w.link(alice)
	out := w.ask(link, "happened", "Première ligne\r\nseconde", "password", "no")
	if out.Code != http.StatusSeeOther || out.Header().Get("Location") != strings.TrimPrefix(link, "/c/") {
		t.Fatalf("status %d to %q: %s", out.Code, out.Header().Get("Location"), seen(t, out.Body.String()))
	}
	list := w.requests()
	if len(list) != 1 {
		t.Fatalf("%d requests", len(list))
	}
	r := list[0]
	if r.Block != b.ID || r.Account != alice || r.State != state.RequestOpen || r.Happened != "Première ligne\nseconde" ||
		r.Done != "I have updated it." || r.Password || r.Self || r.From != "page 192.0.2.66" {
		t.Errorf("%+v", r)
	}
	audit, err := w.desk.Audit(w.Context(), desk.AuditQuery{Target: r.ID})
	if err != nil || len(audit.Audit) != 1 || audit.Audit[0].By != "customer "+alice {
		t.Errorf("%v %v", audit, err)
	}
}

func TestUnblockOneself(t *testing.T) {
	w := newWorld(t)
	w.block("B1AAAAAA", "account:"+alice, alice)
	if out := w.ask(w.link(alice), "self", "1"); out.Code != http.StatusSeeOther {
		t.Fatalf("status %d: %s", out.Code, seen(t, out.Body.String()))
	}
	page := seen(t, w.get(w.link(alice)))
	for _, want := range []string{"You can send mail", "You unblocked yourself.", "ended early"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	w.block("B2AAAAAA", "account:"+alice, alice)
	if page := seen(t, w.get(w.link(alice))); !strings.Contains(page, "1 more time within") {
		t.Error(page)
	}
	w.ask(w.link(alice), "self", "1")
	w.block("B3AAAAAA", "account:"+alice, alice)
	out := w.ask(w.link(alice), "self", "1") // not offered any more
	if out.Code != http.StatusConflict || strings.Contains(out.Body.String(), "Unblock me now") {
		t.Errorf("third time: status %d", out.Code)
	}
	w.sound(out.Body.String())
	if blocks, err := w.desk.Blocks(w.Context(), false); err != nil || len(blocks.Blocks) != 1 {
		t.Errorf("%v %v", blocks, err)
	}
}

func TestUnblockOneselfIsNotFor(t *testing.T) {
	for name, set := range map[string]func(*world) string{
		"the link of an SMTP reply": func(w *world) string {
			w.block("B1AAAAAA", "account:"+alice, alice)
			return w.scoped(alice, desk.ScopeReply)
		},
		"an operator's block": func(w *world) string {
			w.blockByHand("account:"+alice, "4h", "why")
			return w.link(alice)
		},
		"the contract's block": func(w *world) string {
			w.block("B1AAAAAA", "customer:C-1001", alice)
			return w.link(alice)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			out := w.ask(set(w), "self", "1")
			if out.Code != http.StatusUnprocessableEntity || !strings.Contains(out.Body.String(), "My website was hacked.") {
				t.Errorf("status %d", out.Code)
			}
			w.sound(out.Body.String())
			if blocks, err := w.desk.Blocks(w.Context(), false); err != nil || len(blocks.Blocks) != 1 || len(w.requests()) != 0 {
				t.Errorf("%v %v", blocks, err)
			}
		})
	}
}

func TestFaultsOfTheForm(t *testing.T) {
	tests := []struct {
		name, field, value string
		want               string // empty: taken
	}{
		{"nothing happened", "happened", "", "Please say in a few words what happened."},
		{"blanks", "happened", " \r\n\t ", "Please say in a few words what happened."},
		{"nothing done", "done", "", "Please say in a few words what you have done."},
		{"just short enough", "happened", strings.Repeat("x", mostAnswer-1), ""},
		{"as long as may be", "happened", strings.Repeat("x", mostAnswer), ""},
		{"too long", "happened", strings.Repeat("x", mostAnswer+1), "This is too long"},
		{"line ends of forms count once", "done", strings.Repeat("x\r\n", mostAnswer/2-1) + "x", ""},
		{"escape", "done", "a\x1b[31m", "characters that cannot be read"},
		{"no UTF-8", "done", "a\xff", "characters that cannot be read"},
		{"not chosen", "password", "", "Please choose yes or no."},
		{"chosen otherwise", "password", "perhaps", "Please choose yes or no."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.blockByHand("account:"+alice, "4h", "why")
			out := w.ask(w.link(alice), test.field, test.value)
			if test.want == "" {
				if out.Code != http.StatusSeeOther {
					t.Errorf("status %d", out.Code)
				}
				return
			}
			if out.Code != http.StatusUnprocessableEntity || len(w.requests()) != 0 {
				t.Errorf("status %d, %d requests", out.Code, len(w.requests()))
			}
			w.sound(out.Body.String())
			page := seen(t, out.Body.String())
			if strings.Count(page, test.want) != 2 { // in the list of faults and at the field
				t.Errorf("%q not said at both places: %s", test.want, page)
			}
			if test.field != "password" && !strings.Contains(out.Body.String(), `aria-invalid="true"`) {
				t.Error("the field is not marked")
			}
			kept := "I have updated it."
			if test.field == "done" {
				kept = "My website was hacked."
			}
			if !strings.Contains(page, kept) {
				t.Errorf("%q is lost", kept)
			}
		})
	}
}

func TestFormShowsItselfHarmlessly(t *testing.T) {
	w := newWorld(t)
	w.blockByHand("account:"+alice, "4h", "why")
	out := w.ask(w.link(alice), "happened", `</textarea><script>alert(1)</script>`, "done", "")
	if strings.Contains(out.Body.String(), "<script") || !strings.Contains(out.Body.String(), "&lt;/textarea&gt;&lt;script&gt;") {
		t.Error(seen(t, out.Body.String()))
	}
	w.sound(out.Body.String())
}

// TestForgedForms: none makes a request; what was written stays on the page.
func TestForgedForms(t *testing.T) {
	tests := []struct {
		name    string
		change  func(w *world, form map[string][]string) (path string)
		headers []string
		want    int
	}{
		{"no token", func(w *world, f map[string][]string) string { delete(f, "form_token"); return "" }, nil, 403},
		{"another link's token", func(w *world, f map[string][]string) string { return w.scoped(alice, desk.ScopeReply) }, nil, 403},
		{"another account's token", func(w *world, f map[string][]string) string { return w.link(bob) }, nil, 403},
		{"too old", func(w *world, f map[string][]string) string { w.now = noon.Add(12 * time.Hour); return "" }, nil, 403},
		{"from another site", func(*world, map[string][]string) string { return "" }, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"from another origin", func(*world, map[string][]string) string { return "" }, []string{"Sec-Fetch-Site", "", "Origin", "https://attacker.example"}, 403},
		{"no form", func(*world, map[string][]string) string { return "" }, []string{"Content-Type", "text/plain"}, 403},
		{"another's block", func(w *world, f map[string][]string) string { f["block"] = []string{"B-bob"}; return "" }, nil, 409},
		{"no block", func(w *world, f map[string][]string) string { f["block"] = []string{"B0"}; return "" }, nil, 409},
		{"an empty block", func(w *world, f map[string][]string) string { f["block"] = []string{""}; return "" }, nil, 409},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.blockByHand("account:"+alice, "24h", "why")
			w.block("B-bob", "account:"+bob, bob)
			link := w.link(alice)
			form := w.form(w.get(link))
			if path := test.change(w, form); path != "" {
				link = path
			}
			out := w.serve(http.MethodPost, link, form.Encode(), test.headers...)
			if out.Code != test.want || len(w.requests()) != 0 {
				t.Errorf("status %d, %d requests; want %d", out.Code, len(w.requests()), test.want)
			}
			if strings.Contains(out.Body.String(), "B-bob") && link != w.link(bob) {
				t.Error("another's block is named")
			}
			w.sound(out.Body.String())
		})
	}
}

// FuzzForm: whatever is filled in, it is taken or told of, and shown harmlessly.
func FuzzForm(f *testing.F) {
	f.Add("My website was hacked.", "I have updated it.", "yes", "")
	f.Add(nasty, "\xff", "no", "1")
	f.Add(" ", "\x00", "perhaps", "x")
	f.Fuzz(func(t *testing.T, happened, done, password, self string) {
		w := newWorld(t)
		w.block("B1AAAAAA", "account:"+alice, alice)
		out := w.ask(w.link(alice), "happened", happened, "done", done, "password", password, "self", self)
		switch out.Code {
		case http.StatusSeeOther:
			w.get(w.link(alice))
		case http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
			w.sound(out.Body.String())
		default:
			t.Errorf("status %d", out.Code)
		}
		if stored := len(w.requests()); (stored == 1) != (out.Code == http.StatusSeeOther) {
			t.Errorf("status %d and %d requests", out.Code, stored)
		}
	})
}

func TestOldFormKeepsItsText(t *testing.T) {
	w := newWorld(t)
	w.blockByHand("account:"+alice, "24h", "why")
	link := w.link(alice)
	form := w.form(w.get(link))
	w.now = noon.Add(12 * time.Hour)
	out := w.serve(http.MethodPost, link, form.Encode())
	page := seen(t, out.Body.String())
	if !strings.Contains(page, "open for too long") || !strings.Contains(page, "My website was hacked.") {
		t.Fatal(page)
	}
	// What is on that page can be sent.
	if out := w.serve(http.MethodPost, link, w.form(out.Body.String()).Encode()); out.Code != http.StatusSeeOther {
		t.Errorf("status %d", out.Code)
	}
}

func TestBlockEndsWhileTheFormIsFilledIn(t *testing.T) {
	w := newWorld(t)
	w.blockByHand("account:"+alice, "1h", "why")
	link := w.link(alice)
	form := w.form(w.get(link))
	w.now = noon.Add(time.Hour)
	out := w.serve(http.MethodPost, link, form.Encode())
	page := seen(t, out.Body.String())
	if out.Code != http.StatusConflict || !strings.Contains(page, "You can send mail") || len(w.requests()) != 0 {
		t.Errorf("status %d: %s", out.Code, page)
	}
	form.Set("done", "")
	out = w.serve(http.MethodPost, link, form.Encode())
	if page = seen(t, out.Body.String()); !strings.Contains(page, "not in force any more") {
		t.Error(page)
	}
	w.sound(out.Body.String())
}

func TestSecondRequestIsAConflict(t *testing.T) {
	w := newWorld(t)
	w.blockByHand("account:"+alice, "4h", "why")
	link := w.link(alice)
	form := w.form(w.get(link)).Encode()
	if out := w.serve(http.MethodPost, link, form); out.Code != http.StatusSeeOther {
		t.Fatalf("status %d", out.Code)
	}
	out := w.serve(http.MethodPost, link, form)
	if out.Code != http.StatusConflict || len(w.requests()) != 1 || !strings.Contains(out.Body.String(), "Waiting for an answer") {
		t.Errorf("status %d, %d requests", out.Code, len(w.requests()))
	}
}

func TestRequestsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.blockByHand("account:"+alice, "24h", "why")
	link := w.link(alice)
	form := w.form(w.get(link)).Encode()
	post := func() int { return w.serve(http.MethodPost, link, form).Code }
	codes := []int{303, 409, 409, 409, 409, 429}
	for i, want := range codes {
		if code := post(); code != want {
			t.Errorf("request %d: status %d; want %d", i+1, code, want)
		}
	}
	w.now = noon.Add(12*time.Minute - 1)
	if code := post(); code != 429 {
		t.Errorf("just before: status %d", code)
	}
	w.now = noon.Add(12 * time.Minute)
	if code := post(); code != 409 {
		t.Errorf("after twelve minutes: status %d", code)
	}
}
