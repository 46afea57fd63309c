package desk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// mostAudit lines are kept; older ones are in the log.
const mostAudit = 2000

// shownByDefault bounds a list when nobody says how much of it he wants.
const shownByDefault = 100

// MostShown bounds a list when somebody says it; the rest is asked for by time.
const MostShown = 10_000

// change is what an audit line says beside who and when.
type change struct {
	what    string // "block lift"
	target  string // id of what was changed; empty for windows
	subject string
	reason  string
}

// audit writes who changed what, when and why. The change stands by then: where
// the line cannot be kept, the log has it, and says so.
func (d *Desk) audit(ctx context.Context, who Actor, c change) {
	d.Log.Info("audit", "what", c.what, "id", c.target, "subject", c.subject, "reason", c.reason, "by", who.Name, "from", who.From)
	now := d.Now().UTC()
	line := state.AuditLine{
		ID: fmt.Sprintf("%s-%08X-%s", now.Format("20060102T150405.000000"), d.lines.Add(1), rules.NewID()), At: now,
		By: who.Name, From: who.From, What: c.what, Target: c.target, Subject: c.subject, Reason: c.reason,
	}
	err := state.PutRecord(ctx, d.Store, &line)
	if err == nil {
		err = d.pruneAudit(ctx)
	}
	if err != nil {
		d.Log.Error("audit line not kept", "what", c.what, "id", c.target, "error", err)
	}
}

func (d *Desk) pruneAudit(ctx context.Context) error {
	lines, err := state.Records[state.AuditLine](ctx, d.Store)
	if err != nil {
		return err
	}
	return deleteAll(lines[:max(0, len(lines)-mostAudit)], func(line state.AuditLine) error {
		return state.DeleteRecord(ctx, d.Store, line)
	})
}

// endedKept is how long requests and exemptions stay after their end: a year and a
// month, to be compared with last year's.
const endedKept = 400 * 24 * time.Hour

// deleteAll deletes records; of several hosts that do so at once one comes late.
func deleteAll[T any](list []T, del func(T) error) error {
	for _, v := range list {
		if err := del(v); err != nil && !isGone(err) {
			return err
		}
	}
	return nil
}

// Audit returns the record of changes.
func (d *Desk) Audit(ctx context.Context, q AuditQuery) (AuditList, error) {
	if q.Subject != "" {
		var err error
		if q.Subject, err = parseSubject(q.Subject); err != nil {
			return AuditList{}, err
		}
	}
	lines, err := state.Records[state.AuditLine](ctx, d.Store)
	if err != nil {
		return AuditList{}, err
	}
	list := AuditList{Audit: []state.AuditLine{}}
	for _, line := range slices.Backward(lines) {
		if len(list.Audit) == limitOf(q.Limit) {
			break
		}
		if (q.Subject == "" || line.Subject == q.Subject) && (q.Target == "" || line.Target == q.Target) {
			list.Audit = append(list.Audit, line)
		}
	}
	return list, nil
}

func limitOf(n int) int { return min(cmp.Or(max(n, 0), shownByDefault), MostShown) }
