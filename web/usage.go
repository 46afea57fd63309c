package web

import (
	"net/http"
	"strconv"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

const (
	usualHistory = 100
	// mostHistory bounds one answer of history; older ones are asked for with before.
	mostHistory = 10_000
)

// subjectOf reads the subject that a request names.
func subjectOf(s string) (string, error) {
	subject, err := rules.ParseSubject(s)
	if err != nil {
		return "", badRequest("%v", err)
	}
	return subject, nil
}

// subjectOfMail is subjectOf for what finds or blocks messages.
func subjectOfMail(s string) (string, error) {
	subject, err := subjectOf(s)
	if err == nil && rules.IsPair(subject) {
		err = badRequest("subject %q: has windows only; want its account: or its domain:", s)
	}
	return subject, err
}

func (a *Admin) usage(r *http.Request) (any, error) {
	subject, err := subjectOf(r.FormValue("subject"))
	if err != nil {
		return nil, err
	}
	windows, err := a.Windows(r.Context(), a.Now(), subject)
	return Usage{Subject: subject, Windows: windows}, err
}

func (a *Admin) history(r *http.Request) (any, error) {
	subject, err := subjectOfMail(r.FormValue("subject"))
	if err != nil {
		return nil, err
	}
	q := state.Query{Subject: subject, Limit: usualHistory}
	if text := r.FormValue("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > mostHistory {
			return nil, badRequest("limit %q: no number of decisions; want 1 to %d", text, mostHistory)
		}
	}
	if text := r.FormValue("before"); text != "" {
		if q.Before, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, badRequest("before %q: no time; want RFC 3339, 2026-11-23T10:00:00Z", text)
		}
	}
	found, err := a.Store.Decisions(r.Context(), q)
	if err != nil {
		return nil, err
	}
	h := History{Subject: subject, Decisions: make([]DecisionView, len(found))}
	for i, d := range found {
		h.Decisions[i] = DecisionView{
			ID: d.ID, At: d.At.UTC(), Action: d.Action, Rule: d.Rule,
			Account: d.Account, Client: d.Client, From: d.From, Rcpts: d.Rcpts,
		}
	}
	return h, nil
}

func (a *Admin) reset(r *http.Request) (any, error) {
	var in Reset
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	subject, err := subjectOf(in.Subject)
	if err != nil {
		return nil, err
	}
	windows, err := a.Windows(r.Context(), a.Now(), subject)
	if err != nil {
		return nil, err
	}
	done := ResetDone{Subject: subject, Windows: []rules.Window{}}
	for _, w := range windows {
		if w.Used > 0 {
			done.Windows = append(done.Windows, w)
		}
	}
	if in.DryRun {
		return done, nil
	}
	ctx, cancel := carryOn(r.Context())
	defer cancel()
	if done.Cleared, err = a.Store.Reset(ctx, subject); err != nil {
		return nil, err
	}
	a.audit(ctx, "reset", "", subject, in.Reason)
	return done, nil
}
