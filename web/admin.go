// Package web is everything that speaks HTTP: the admin API on a unix socket,
// and metrics and health on TCP. It shows and changes state; it decides nothing.
package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// Admin is the admin API. The CLI is its only client.
type Admin struct {
	Store    state.Store
	Log      *slog.Logger // audit lines go here
	Version  string
	Sessions func() int
	Now      func() time.Time
	// Windows is rules.Engine's WindowsOf under the rules now in force.
	Windows func(ctx context.Context, now time.Time, subject string) ([]rules.Window, error)
	// Clock says what is wrong with the host's clock; empty when nothing is.
	Clock func() string
}

// mostBody bounds a request of the admin API.
const mostBody = 64 << 10

// Handler serves /v1/.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", answer(a.status))
	mux.HandleFunc("GET /v1/usage", answer(a.usage))
	mux.HandleFunc("GET /v1/history", answer(a.history))
	mux.HandleFunc("POST /v1/reset", answer(a.reset))
	mux.HandleFunc("GET /v1/blocks", answer(a.blocks))
	mux.HandleFunc("POST /v1/blocks", answer(a.addBlock))
	mux.HandleFunc("POST /v1/blocks/lift", answer(a.liftBlock))
	mux.HandleFunc("/", answer(func(r *http.Request) (any, error) {
		return nil, &httpError{http.StatusNotFound, fmt.Sprintf("%s %s is not known", r.Method, r.URL.Path)}
	}))
	return mux
}

// httpError is an answer that the caller can mend.
type httpError struct {
	code int
	text string
}

func (e *httpError) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// answer writes what f returns as JSON, errors too.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		body, err := f(r)
		code := http.StatusOK
		if err != nil {
			code = http.StatusInternalServerError
			if he := (*httpError)(nil); errors.As(err, &he) {
				code = he.code
			}
			body = Fault{Error: err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		// The peer may have gone; there is nobody left to tell.
		_ = json.NewEncoder(w).Encode(body)
	}
}

func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badRequest("body: %v", err)
	}
	return nil
}

func (a *Admin) status(r *http.Request) (any, error) {
	now := a.Now()
	st, err := a.Store.Status(r.Context(), now)
	if err != nil {
		return nil, err
	}
	active, err := a.activeBlocks(r.Context(), now)
	if err != nil {
		return nil, err
	}
	s := Status{
		Version: a.Version, Backend: st.Backend, Degraded: st.Degraded != "", Reason: st.Degraded,
		Sessions: a.Sessions(), Blocks: len(active),
		Size: st.Size, Windows: st.Windows, Memory: st.Memory, Clock: a.Clock(),
	}
	if !st.LastCommit.IsZero() {
		t := st.LastCommit.UTC()
		s.LastCommit = &t
	}
	return s, nil
}

func (a *Admin) activeBlocks(ctx context.Context, now time.Time) ([]state.Block, error) {
	all, err := a.Store.Blocks(ctx)
	if err != nil {
		return nil, err
	}
	var active []state.Block
	for _, b := range all {
		if b.State(now) == state.BlockActive {
			active = append(active, b)
		}
	}
	return active, nil
}

func (a *Admin) blocks(r *http.Request) (any, error) {
	all, err := a.Store.Blocks(r.Context())
	if err != nil {
		return nil, err
	}
	now := a.Now()
	list := BlockList{Blocks: []BlockView{}}
	for _, b := range all {
		if v := viewOf(b, now); v.State == state.BlockActive || r.FormValue("all") != "" {
			list.Blocks = append(list.Blocks, v)
		}
	}
	return list, nil
}

func (a *Admin) addBlock(r *http.Request) (any, error) {
	var in AddBlock
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	subject, err := subjectOfMail(in.Subject)
	if err != nil {
		return nil, err
	}
	now := a.Now().UTC().Truncate(time.Second)
	b := state.Block{
		ID: "B" + rand.Text()[:9], Subject: subject, Rule: "manual",
		Reason: in.Reason, Since: now, By: peerName(r.Context()),
	}
	if in.For != "manual" {
		d, err := rules.ParseDuration(in.For)
		if err != nil || d < time.Second {
			return nil, badRequest("for %q: no duration; want 30m, 4h, 7d or manual", in.For)
		}
		b.Until = now.Add(d)
	}
	if in.DryRun {
		return viewOf(b, now), nil
	}
	ctx, cancel := carryOn(r.Context())
	defer cancel()
	if err := a.Store.AddBlock(ctx, b); err != nil {
		return nil, err
	}
	a.audit(ctx, "block add", b.ID, b.Subject, b.Reason)
	return viewOf(b, now), nil
}

func (a *Admin) liftBlock(r *http.Request) (any, error) {
	var in LiftBlock
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	now := a.Now().UTC().Truncate(time.Second)
	found, err := a.blocksNamed(r.Context(), now, in.Block)
	if err != nil {
		return nil, err
	}
	ctx, cancel := carryOn(r.Context())
	defer cancel()
	list := LiftedList{Blocks: []LiftedBlock{}}
	for _, b := range found {
		active := b.State(now) == state.BlockActive
		if active && !in.DryRun {
			if b, err = a.Store.LiftBlock(ctx, b.ID, now, peerName(ctx), in.Reason); err != nil {
				return nil, err
			}
			a.audit(ctx, "block lift", b.ID, b.Subject, in.Reason)
		}
		list.Blocks = append(list.Blocks, LiftedBlock{viewOf(b, now), active})
	}
	return list, nil
}

// carryOn keeps a change going when its caller hangs up: it would stand all the
// same, without its audit line.
func carryOn(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}

// blocksNamed finds a block by id, whatever its state, or a subject's active ones.
func (a *Admin) blocksNamed(ctx context.Context, now time.Time, name string) ([]state.Block, error) {
	subject := ""
	if strings.Contains(name, ":") {
		var err error
		if subject, err = subjectOfMail(name); err != nil {
			return nil, err
		}
	}
	all, err := a.Store.Blocks(ctx)
	if err != nil {
		return nil, err
	}
	var found []state.Block
	for _, b := range all {
		if b.ID == name || b.Subject == subject && b.State(now) == state.BlockActive {
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		return nil, &httpError{http.StatusNotFound, fmt.Sprintf("no active block %q", name)}
	}
	return found, nil
}

// audit writes who changed what, when and why.
func (a *Admin) audit(ctx context.Context, what, id, subject, why string) {
	a.Log.Info("audit", "what", what, "id", id, "subject", subject, "reason", why, "by", peerName(ctx))
}
