package customer

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/tests/campaign"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

// estate is what each of the three accounts has, by id: whose it is.
func estate(w *world) map[string]string {
	whose := map[string]string{"B0CUSTOM": "C-1001", "B0NOBODY": "", "": "", "B1": "", "R12345678": ""}
	for i, account := range []string{alice, amy, bob} {
		v := w.forge(account, "hello")
		whose[v.ID] = account
		for kind, b := range map[string]state.Block{
			"A": {By: rules.Automatic, Rule: "identity.header_from", Subject: "account:" + account},
			"M": {By: "olivia", Rule: "manual", Subject: "account:" + account},
		} {
			b.ID, b.Since, b.Account, b.Decisions = fmt.Sprintf("B%s%dAAAAA", kind, i), w.now, account, []string{v.ID}
			w.must(w.store.AddBlock(w.Context(), b))
			whose[b.ID] = account
		}
		held := fmt.Sprintf("H%dAAAAAA", i)
		w.held(held, account)
		whose[held] = account
	}
	w.must(w.store.AddBlock(w.Context(), state.Block{ID: "B0CUSTOM", Subject: "customer:C-1001", Rule: "manual", By: "olivia", Since: w.now}))
	w.must(w.store.AddBlock(w.Context(), state.Block{ID: "B0NOBODY", Subject: "ip:192.0.2.7", Rule: "identity.sender", By: rules.Automatic, Since: w.now}))
	return whose
}

// touched is everybody's but an account's own: blocks, requests, held mail.
func (w *world) touched(own string) string {
	w.Helper()
	var all strings.Builder
	blocks, err := w.store.Blocks(w.Context())
	w.must(err)
	for _, b := range blocks {
		if b.Account != own {
			fmt.Fprintln(&all, b.ID, b.State(w.now), b.LiftedBy)
		}
	}
	for _, r := range w.requests() {
		if r.Account != own {
			fmt.Fprintln(&all, r.ID, r.Block, r.State)
		}
	}
	for i, account := range []string{alice, amy, bob} {
		if account != own {
			fmt.Fprintln(&all, account, w.wishOf(fmt.Sprintf("H%dAAAAAA", i)))
		}
	}
	return all.String()
}

// TestAttackOthers: of every account each form is sent with every id that there is, with
// both links: what is another's stays as it is, and the answer is that of an id that
// nobody has.
func TestAttackOthers(t *testing.T) {
	rnd := campaign.Rand(t)
	count := campaign.Counting(t, "web", "one customer at another's blocks, requests and mail")
	for range campaign.Pick(1, 20) {
		w := newWorld(t)
		whose := estate(w)
		ids := slices.Sorted(maps.Keys(whose))
		for _, account := range []string{alice, amy, bob} {
			for _, scope := range []desk.Scope{desk.ScopeFull, desk.ScopeReply} {
				rnd.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				for _, id := range ids[:campaign.Pick(4, len(ids))] {
					if whose[id] == account || whose[id] == "C-1001" && account != bob {
						continue
					}
					for what, fields := range map[string]url.Values{
						"ask": {"block": {id}}, "unblock": {"block": {id}, "self": {"1"}}, "delete": {"held": {id}, "sure": {"yes"}},
					} {
						w.now = w.now.Add(time.Hour) // for the limits
						link := w.scoped(account, scope)
						send := func(id string) (int, string) {
							body := w.filled(link, what, fields, id)
							out := w.serve(http.MethodPost, link, body.Encode())
							return out.Code, seen(w, out.Body.String())
						}
						before := w.touched(account)
						code, page := send(id)
						if after := w.touched(account); after != before {
							count.Failed()
							t.Fatalf("%s of %s by %s: before %s\nafter %s", what, id, account, before, after)
						}
						if none, unknown := send("Z9ZZZZZZ"); code != none || page != unknown || code < 400 {
							count.Failed()
							t.Errorf("%s of %s by %s: %d %s\nof nobody's: %d %s", what, id, account, code, page, none, unknown)
							continue
						}
						count.Held()
					}
				}
			}
		}
	}
}

// filled is a form with sound tokens, whatever the page offers.
func (w *world) filled(link, what string, fields url.Values, id string) url.Values {
	form := url.Values{"happened": {"x"}, "done": {"y"}, "password": {"yes"}}
	maps.Copy(form, fields)
	name := map[string]string{"delete": heldForm}[what]
	if name != "" {
		form.Set("held", id)
	} else {
		form.Set("block", id)
	}
	form.Set("form_token", w.token(link, cmp.Or(name, formName)))
	return form
}

// token is that of a form, whether the page has the form or not.
func (w *world) token(link, form string) string {
	view := kit(w).View(httptest.NewRequest(http.MethodGet, "/", nil))
	view.Bound = strings.TrimPrefix(link, prefix)
	_, value, _ := strings.Cut(string(view.Token(form)), `value="`)
	return strings.TrimSuffix(value, `">`)
}

// kit signs as newWorld's does.
func kit(w *world) *page.Kit {
	return page.New(page.Options{
		PublicURL: "https://sending.example", Key: []byte("for tests"), Language: func() string { return "en" }, Log: w.desk.Log, Now: w.desk.Now,
	})
}

// TestAttackSelfUnblock: from many places, on two hosts and by every link that there is, an
// account unblocks itself no more often than it may.
func TestAttackSelfUnblock(t *testing.T) {
	count := campaign.Counting(t, "web", "races to unblock oneself")
	for range campaign.Pick(2, 100) {
		w := newWorld(t)
		hosts := []http.Handler{w.http, Handler(w.desk, kit(w))}
		var blocks []string
		for i := range 8 {
			subject := "account:" + alice
			if i%2 == 1 {
				subject = fmt.Sprintf("script:www-data@web1.example/%d.php", i)
			}
			blocks = append(blocks, fmt.Sprintf("B%dAAAAAA", i))
			w.must(w.store.AddBlock(w.Context(), state.Block{ID: blocks[i], Subject: subject, Rule: "identity.sender", By: rules.Automatic, Since: w.now, Account: alice}))
		}
		var wg sync.WaitGroup
		for i := range 40 {
			link := w.scoped(alice, desk.ScopeFull)
			body := w.filled(link, "unblock", url.Values{"self": {"1"}}, blocks[i%len(blocks)]).Encode()
			wg.Go(func() {
				r := httptest.NewRequest(http.MethodPost, "https://sending.example"+link, strings.NewReader(body))
				r.RemoteAddr = fmt.Sprintf("203.0.113.%d:4711", i)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				hosts[i%2].ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		wg.Wait()
		list, err := w.desk.Blocks(context.Background(), false)
		w.must(err)
		own := 0
		for _, r := range w.requests() {
			if r.Self {
				own++
			}
		}
		if lifted := len(blocks) - len(list.Blocks); lifted > 2 || own > 2 || lifted != own {
			count.Failed()
			t.Fatalf("%d blocks lifted, %d requests kept; 2 are allowed", lifted, own)
		}
		count.Held()
	}
}

// TestAttackRequestFlood: however many forms are sent in a day, from wherever, what is kept is
// a request for each block, and as much of the record.
func TestAttackRequestFlood(t *testing.T) {
	w := newWorld(t)
	count := campaign.Counting(t, "web", "floods of requests")
	estate(w)
	long := strings.Repeat("x", 4000)
	for i := range campaign.Pick(10, 1000) {
		w.now = w.now.Add(5 * time.Minute)
		for _, account := range []string{alice, amy} {
			for _, scope := range []desk.Scope{desk.ScopeFull, desk.ScopeReply} {
				link := w.scoped(account, scope)
				id := []string{"BA0AAAAA", "BM0AAAAA", "BA1AAAAA", "BM1AAAAA", "B0CUSTOM"}[i%5]
				form := w.filled(link, "ask", url.Values{"happened": {long}, "done": {long}}, id)
				w.from(fmt.Sprintf("203.0.113.%d", i%250), link, form.Encode())
				count.Held()
			}
		}
	}
	audit, err := w.desk.Audit(w.Context(), desk.AuditQuery{})
	w.must(err)
	if n := len(w.requests()); n != 5 || len(audit.Audit) > 5 {
		count.Failed()
		t.Errorf("%d requests and %d lines of the record are kept, want one for each of 5 blocks", n, len(audit.Audit))
	}
}
