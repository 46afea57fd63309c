// Package console is the operator console, /admin/: pages of forms over the desk,
// for people. It decides nothing, and every change goes through a method of the
// desk, with the operator's name.
//
// Invariants: GET changes nothing; a POST needs a session and a form token of that
// session; no page needs a script.
package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

// Options make a console.
type Options struct {
	Desk *desk.Desk
	Page *page.Kit
	// TrustedProxies may name the operator in UserHeader; empty: operators come by
	// one-time links only, as they still may when both are set.
	TrustedProxies []netip.Prefix
	UserHeader     string
	Now            func() time.Time
}

// console is the Handler behind the guard.
type console struct {
	Options
	mux      *http.ServeMux
	sessions *sessions
	tries    *page.Limiter // logins, by client address
}

// Handler serves /admin/.
func Handler(o Options) http.Handler {
	c := &console{
		Options: o, mux: http.NewServeMux(), sessions: newSessions(),
		// A person clicks once, or a few times when his browser drops cookies. A
		// code has far more bits than anybody can try (desk).
		tries: page.NewLimiter(10, time.Minute),
	}
	c.routes()
	return o.Page.Wrap(c.mux)
}

func (c *console) routes() {
	c.mux.HandleFunc("GET /admin/login", c.loginPage)
	c.mux.HandleFunc("POST /admin/login", c.login)

	c.get("/admin/{$}", (*visit).overview)
	c.get("/admin/search", (*visit).search)
	c.get("/admin/subject", (*visit).subject)
	c.get("/admin/blocks", (*visit).blocks)
	c.get("/admin/blocks/{id}", (*visit).block)
	c.get("/admin/requests", (*visit).requests)
	c.get("/admin/held", (*visit).held)
	c.get("/admin/held/{id}", (*visit).heldMail)
	c.get("/admin/exemptions", (*visit).exemptions)
	c.get("/admin/audit", (*visit).audit)
	c.get("/admin/decisions/{id}", (*visit).decision)
	c.get("/admin/", func(*visit) (*sheet, error) { return nil, missing("no such page") })

	c.post("/admin/logout", form{}, (*visit).logout, (*visit).overview)
	c.post("/admin/subject/block", form{Name: "block"}, (*visit).addBlock, (*visit).subject)
	c.post("/admin/subject/reset", form{Name: "reset"}, (*visit).reset, (*visit).subject)
	c.post("/admin/subject/exempt", form{Name: "exempt"}, (*visit).exemptSubject, (*visit).subject)
	c.post("/admin/blocks/{id}/lift", form{Name: "lift"}, (*visit).lift, (*visit).block)
	c.post("/admin/blocks/{id}/extend", form{Name: "extend"}, (*visit).extend, (*visit).block)
	c.post("/admin/requests/{id}", form{Name: "answer"}, (*visit).answer, (*visit).requests)
	c.post("/admin/held", form{Name: "heldall"}, (*visit).wishAll, (*visit).held)
	c.post("/admin/held/{id}", form{Name: "held"}, (*visit).wishOne, (*visit).heldMail)
	c.post("/admin/exemptions", form{Name: "exempt"}, (*visit).exempt, (*visit).exemptions)
	c.post("/admin/exemptions/{id}/remove", form{Name: "remove"}, (*visit).removeExemption, (*visit).exemptions)
}

// visit is one request of an operator who is logged in.
type visit struct {
	*console
	w       http.ResponseWriter
	r       *http.Request
	session session
	key     key
	form    form // as it was sent, when the page is shown again for a fault in it
}

// actor is who does it, for the record.
func (v *visit) actor() desk.Actor {
	return desk.Actor{Name: v.session.Operator, From: "console " + v.Page.Address(v.r).String()}
}

// show finds what a page shows.
type show func(*visit) (*sheet, error)

// deed changes something and says what was done and which page comes next.
type deed func(*visit) (to, done string, err error)

// get serves a page.
func (c *console) get(path string, f show) {
	c.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		v := c.visit(w, r)
		if v == nil {
			return
		}
		s, err := f(v)
		if err != nil {
			v.fail(err)
			return
		}
		v.render(http.StatusOK, s)
	})
}

// post serves a form of the page that back shows. What was done is said on the next
// page; a fault that the operator can mend on the same one.
func (c *console) post(path string, sent form, f deed, back show) {
	c.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		v := c.visit(w, r)
		if v == nil {
			return
		}
		if err := c.Page.CheckForm(r, v.session.bound, r.URL.Path); err != nil {
			v.refuse(page.FormStatus(err))
			return
		}
		to, done, err := f(v)
		if err == nil {
			if done != "" {
				c.sessions.flash(v.key, done)
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		v.again(sent, err, back)
	})
}

// again shows the page of a form with what was wrong with it.
func (v *visit) again(sent form, err error, back show) {
	status := statusOf(err)
	if status != http.StatusUnprocessableEntity && status != http.StatusConflict {
		v.fail(err)
		return
	}
	sent.ID, sent.values = v.r.PathValue("id"), v.r.PostForm
	sent.field, sent.fault = sent.place(err.Error())
	v.form = sent
	s, err := back(v)
	if err != nil {
		v.fail(err)
		return
	}
	v.render(status, s)
}

// statusOf is the answer to a fault of the desk.
func statusOf(err error) int {
	switch {
	case errors.Is(err, desk.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, desk.ErrBad):
		return http.StatusUnprocessableEntity
	case errors.Is(err, desk.ErrConflict):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

// fail shows what went wrong. What the operator cannot mend is in the log.
func (v *visit) fail(err error) {
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		v.Desk.Log.Error("console", "path", v.r.URL.Path, "error", err)
		v.refuse(status)
		return
	}
	v.render(status, &sheet{Title: http.StatusText(status), template: failPage, Page: err.Error()})
}

// refuse shows the page of a status that needs no words of its own.
func (v *visit) refuse(status int) {
	view := v.view(v.r, &sheet{})
	v.render(status, &sheet{
		Title: view.T(fmt.Sprintf("fail.%d.title", status)), template: failPage, Page: view.T(fmt.Sprintf("fail.%d.text", status)),
	})
}
