// Package customer is the customer page, /c/TOKEN: am I blocked, by which sending
// rule, what was seen, until when, what can I do, and a form to ask for it. It
// decides nothing and shows only what the desk gives to the account that the
// token names.
//
// Invariants: GET changes nothing; every fault of a token is the same page, found
// on the same way; a page needs no script and no cookie.
package customer

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

//go:embed page.html block.html held.html
var files embed.FS

var (
	words    = page.NewWords(english, french)
	template = page.Parse(words, files, "page.html", "block.html", "held.html")
)

// prefix is the path of the pages; a reverse proxy may put its own before it,
// hence every address in a page is relative.
const prefix = "/c/"

// formName binds the form tokens to the form that asks for unblocking.
const formName = "ask"

type handler struct {
	desk *desk.Desk
	page *page.Kit
	// All count by visit.whose. A view reads up to 20,000 decisions of the store.
	views   *page.Limiter
	asks    *page.Limiter
	deletes *page.Limiter
}

// Handler serves /c/TOKEN.
func Handler(d *desk.Desk, k *page.Kit) http.Handler {
	return k.Wrap(&handler{
		desk: d, page: k,
		views: page.NewLimiter(20, time.Minute),
		asks:  page.NewLimiter(5, time.Hour),
		// Who has more to delete than the page shows asks his provider.
		deletes: page.NewLimiter(100, time.Hour),
	})
}

// visit is one request with a good token.
type visit struct {
	*handler
	w       http.ResponseWriter
	r       *http.Request
	token   string
	account string
	scope   desk.Scope
}

// ServeHTTP opens the token and shows the page or takes its form.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &visit{handler: h, w: w, r: r, token: strings.TrimPrefix(r.URL.Path, prefix)}
	err := desk.ErrBadToken
	if h.desk.Links != nil {
		v.account, v.scope, err = h.desk.Links.Open(v.token, h.desk.Now())
	}
	switch {
	case err != nil:
		h.page.Fail(w, r, http.StatusNotFound)
	case r.Method == http.MethodPost:
		v.post()
	default:
		v.show(http.StatusOK, entry{}, "")
	}
}

// actor is the customer, for the record.
func (v *visit) actor() desk.Actor {
	return desk.Actor{Name: "customer " + v.account, From: "page " + v.page.Address(v.r).String()}
}

// whose is for counting: the account, and what his link may be used for. Who has
// stolen a password has the links of replies; he uses up nothing of whoever comes
// from the customer area.
func (v *visit) whose() string { return fmt.Sprint(int(v.scope), " ", v.account) }

// again leads to the same page: its address is relative, below whatever path it is
// served.
func (v *visit) again() {
	v.w.Header().Set("Location", v.token)
	v.w.WriteHeader(http.StatusSeeOther)
}

// show writes the page as things stand now, with what a form held that was not
// taken, and a note: the key of a text, or empty.
func (v *visit) show(status int, e entry, note string) {
	if ok, _ := v.views.Allow(v.desk.Now(), v.whose()); !ok {
		v.page.Fail(v.w, v.r, http.StatusTooManyRequests)
		return
	}
	customer, err := v.desk.Customer(v.r.Context(), v.account)
	if err != nil {
		v.fail(err)
		return
	}
	answered, err := v.desk.Answered(v.r.Context(), v.account)
	if err != nil {
		v.fail(err)
		return
	}
	onHold, err := v.desk.CustomerHeld(v.r.Context(), v.account)
	if err != nil {
		v.fail(err)
		return
	}
	view := v.page.View(v.r)
	view.Title = words.Text(view.Lang, "title", page.Visible(customer.Account))
	view.Site = words.Text(view.Lang, "site")
	view.Bound = v.token
	s := v.sheet(view, customer, answered, e, note)
	s.Held, s.HeldMore, s.HeldArea = v.heldMail(view.Lang, onHold.Held), int64(onHold.More), v.scope != desk.ScopeFull
	view.Data = s
	v.page.Render(v.w, v.r, status, template, view)
}

// fail writes the page for an error that the customer cannot mend.
func (v *visit) fail(err error) {
	switch {
	case errors.Is(err, desk.ErrNotFound):
		v.page.Fail(v.w, v.r, http.StatusNotFound)
	case errors.Is(err, context.Canceled), errors.Is(v.r.Context().Err(), context.Canceled):
		// The browser has gone, or the server is being closed.
	default:
		v.desk.Log.Error("customer page", "account", v.account, "error", err)
		v.page.Fail(v.w, v.r, http.StatusServiceUnavailable)
	}
}
