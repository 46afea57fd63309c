// Package web answers programs by HTTP: the admin API on a unix socket, metrics and
// health on TCP. Pages for people are in console and customer, what all of them may
// do is in desk. It shows and changes state; it decides nothing.
package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"o2n-milter/internal/chaos"
	"o2n-milter/web/desk"
)

// Admin is the admin API: the desk in JSON. The CLI is its only client.
type Admin struct {
	Desk *desk.Desk
}

// mostBody bounds a request of the admin API.
const mostBody = 64 << 10

// mostMail bounds a message that is asked about, in JSON: 2 MiB of header and
// rules.MaxBody, both in base64, and many recipients.
const mostMail = 8 << 20

// Handler serves /v1/. Errors are the desk's, as a Fault.
func (a *Admin) Handler() http.Handler {
	d := a.Desk
	mux := http.NewServeMux()
	get := func(path string, f func(*http.Request) (any, error)) { mux.HandleFunc("GET "+path, answer(f)) }
	get("/v1/status", func(r *http.Request) (any, error) { return d.Status(r.Context()) })
	get("/v1/shadow", func(r *http.Request) (any, error) { return d.Shadow(r.Context()) })
	get("/v1/wiring", func(*http.Request) (any, error) { return d.Wired(), nil })
	get("/v1/overview", func(r *http.Request) (any, error) { return d.Overview(r.Context()) })
	get("/v1/usage", func(r *http.Request) (any, error) { return d.Usage(r.Context(), r.FormValue("subject")) })
	get("/v1/history", asked(d.History))
	get("/v1/decisions", asked(d.Explanations))
	get("/v1/explain", func(r *http.Request) (any, error) { return d.Explain(r.Context(), r.FormValue("id")) })
	get("/v1/records", a.records)
	get("/v1/blocks", func(r *http.Request) (any, error) { return d.Blocks(r.Context(), all(r)) })
	get("/v1/blocks/show", func(r *http.Request) (any, error) { return d.Block(r.Context(), r.FormValue("id")) })
	get("/v1/requests", func(r *http.Request) (any, error) { return d.Requests(r.Context(), all(r)) })
	get("/v1/exemptions", func(r *http.Request) (any, error) { return d.Exemptions(r.Context(), all(r)) })
	get("/v1/held", a.held)
	get("/v1/held/show", func(r *http.Request) (any, error) { return d.HeldMail(r.Context(), r.FormValue("id")) })
	get("/v1/audit", a.audit)
	mux.HandleFunc("POST /v1/check", answerUpTo(mostMail, func(r *http.Request) (any, error) {
		var in desk.CheckMail
		if err := decode(r, &in); err != nil {
			return nil, err
		}
		return d.Check(r.Context(), in)
	}))
	mux.HandleFunc("POST /v1/reset", change(d.Reset))
	mux.HandleFunc("POST /v1/blocks", change(d.AddBlock))
	mux.HandleFunc("POST /v1/blocks/lift", change(d.LiftBlock))
	mux.HandleFunc("POST /v1/blocks/extend", change(d.ExtendBlock))
	mux.HandleFunc("POST /v1/requests/approve", change(d.Approve))
	mux.HandleFunc("POST /v1/requests/deny", change(d.Deny))
	mux.HandleFunc("POST /v1/exemptions", change(func(ctx context.Context, who desk.Actor, in desk.AddExemption) (desk.ExemptionView, error) {
		in.Owner = cmp.Or(in.Owner, who.Name)
		return d.AddExemption(ctx, who, in)
	}))
	mux.HandleFunc("POST /v1/exemptions/remove", change(d.RemoveExemption))
	mux.HandleFunc("POST /v1/held/wish", change(d.WishHeld))
	mux.HandleFunc("POST /v1/links", change(d.Link))
	mux.HandleFunc("POST /v1/console", change(func(ctx context.Context, who desk.Actor, _ struct{}) (desk.ConsoleLink, error) {
		return d.ConsoleLink(ctx, who)
	}))
	mux.HandleFunc("/", answer(func(r *http.Request) (any, error) {
		return nil, &httpError{http.StatusNotFound, fmt.Sprintf("%s %s is not known", r.Method, r.URL.Path)}
	}))
	return mux
}

// Fault is the body of every answer above 399.
type Fault struct {
	Error string `json:"error"`
}

// httpError is a fault of the request itself.
type httpError struct {
	code int
	text string
}

func (e *httpError) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	he := (*httpError)(nil)
	switch {
	case errors.As(err, &he):
		return he.code
	case errors.Is(err, desk.ErrBad):
		return http.StatusBadRequest
	case errors.Is(err, desk.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, desk.ErrConflict):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

// answer writes what f returns as JSON, errors too.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc { return answerUpTo(mostBody, f) }

// answerUpTo is answer for requests of at most so many bytes.
func answerUpTo(most int64, f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, most)
		chaos.Point("command")
		body, err := f(r)
		code := http.StatusOK
		if err != nil {
			code, body = statusOf(err), Fault{Error: err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		// The peer may have gone; there is nobody left to tell.
		_ = json.NewEncoder(w).Encode(body)
	}
}

// change reads what is asked for and has the desk do it, in the name of the system
// user on the other end.
func change[In, Out any](do func(context.Context, desk.Actor, In) (Out, error)) http.HandlerFunc {
	return answer(func(r *http.Request) (any, error) {
		var in In
		if err := decode(r, &in); err != nil {
			return nil, err
		}
		return do(r.Context(), desk.Actor{Name: peerName(r.Context()), From: "cli"}, in)
	})
}

// decode reads the request's body, which holds nothing that in does not know.
func decode(r *http.Request, in any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil {
		return badRequest("body: %v", err)
	}
	return nil
}

// all says that ended ones are wanted too.
func all(r *http.Request) bool { return r.FormValue("all") != "" }

// asked reads which decisions are wanted, and has the desk find them.
func asked[Out any](find func(context.Context, desk.HistoryQuery) (Out, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		q := desk.HistoryQuery{
			Subject: r.FormValue("subject"), Recipient: r.FormValue("rcpt"), Rule: r.FormValue("rule"), Found: r.FormValue("found"), Action: r.FormValue("action"),
		}
		var err error
		if q.Limit, err = limitOf(r, "decisions"); err != nil {
			return nil, err
		}
		if q.Since, err = timeOf(r, "since"); err != nil {
			return nil, err
		}
		if before := r.FormValue("before"); before != "" {
			if q.Before, q.Past, err = desk.ParseCursor(before); err != nil {
				return nil, err
			}
		}
		until, err := timeOf(r, "until")
		if err != nil {
			return nil, err
		}
		if !until.IsZero() && (q.Before.IsZero() || until.Before(q.Before)) {
			q.Before, q.Past = until, ""
		}
		return find(r.Context(), q)
	}
}

func (a *Admin) held(r *http.Request) (any, error) {
	q := desk.HeldQuery{
		ID: r.FormValue("id"), Subject: r.FormValue("subject"), Rule: r.FormValue("rule"), Host: r.FormValue("host"), All: all(r),
	}
	var err error
	if q.Until, err = timeOf(r, "until"); err != nil {
		return nil, err
	}
	return a.Desk.Held(r.Context(), q)
}

// timeOf is the time that the request names; zero when it names none.
func timeOf(r *http.Request, name string) (time.Time, error) {
	text := r.FormValue(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, badRequest("%s %q: no time; want RFC 3339, 2026-11-23T10:00:00Z", name, text)
	}
	return t, nil
}

func (a *Admin) audit(r *http.Request) (any, error) {
	limit, err := limitOf(r, "lines")
	if err != nil {
		return nil, err
	}
	return a.Desk.Audit(r.Context(), desk.AuditQuery{Subject: r.FormValue("subject"), Target: r.FormValue("target"), Limit: limit})
}

// limitOf is how many are wanted; 0 when the request does not say.
func limitOf(r *http.Request, what string) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > desk.MostShown {
		return 0, badRequest("limit %q: no number of %s; want 1 to %d", text, what, desk.MostShown)
	}
	return n, nil
}
