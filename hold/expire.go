package hold

import (
	"context"
	"slices"
	"strings"
	"time"

	"o2n-milter/hold/wire"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// Bounds of what is over.
const (
	mostBounces = 20             // reports in a Step, so that it ends
	mostForgot  = 500            // in a round
	endedFor    = 24 * time.Hour // records of mail that is held no more are kept
	mostEnded   = 1000           // and no more than so many
	bounceAgain = time.Hour      // after a report that was not taken
	// mostRefused reports that were not taken, one after another, put off all others for
	// reportRest: a mail system that hangs must not keep what has room from leaving.
	mostRefused = 2
	reportRest  = 5 * time.Minute
	// mostPatience after the agent is back nothing is sent back yet; less where max_age
	// is under three days.
	mostPatience = 2 * time.Hour
)

// expire sends back what has been held for too long. What cannot go back, or is to
// be kept, waits for an operator. While nothing could leave mail has grown old without
// its fault: what has room is let go first.
func (k *Keeper) expire(ctx context.Context, now time.Time) {
	k.nextExpire = now.Add(roundEvery)
	set, kept, bounced := k.set.Load(), 0, 0
	if back := now.Sub(k.returned); back >= 0 && back < min(mostPatience, set.MaxAge/36) {
		return
	}
	for _, it := range k.book.all() {
		waits := it.State == state.HeldWaiting || it.State == state.HeldKept
		if !waits || it.Wish != state.WishNone || it.unsaved || now.Sub(it.Since) < set.MaxAge || now.Before(it.rest) {
			continue
		}
		switch {
		case !k.agent.here(now) || !k.store.here(now) || !k.mayReport(now) || ctx.Err() != nil:
			return
		case bounced == mostBounces || kept == mostDues:
			k.nextExpire = now.Add(syncEvery)
			return
		case isKept(set.Keep, it.Rule) || !rules.MayBounce(it.Held):
			if it.State != state.HeldKept {
				kept++
				k.keep(ctx, now, it, "", "it was held for "+rules.FormatDuration(set.MaxAge))
			}
		default:
			bounced++
			if k.bounce(ctx, now, it) {
				k.tell.expired.Add(1)
			}
		}
	}
}

// isKept says that a rule, or its table, is listed.
func isKept(list []string, rule string) bool {
	table, _, _ := strings.Cut(rule, ".")
	return slices.Contains(list, rule) || slices.Contains(list, table)
}

// bounce reports to the sender and deletes the message. The report goes first, so
// that nothing is lost; a crash before the record says so sends it twice.
func (k *Keeper) bounce(ctx context.Context, now time.Time, it *item) bool {
	it.rest = now.Add(restAfter)
	if !k.mayReport(now) {
		return false
	}
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	found, err := k.opts.Agent.Find(call, it.QueueID)
	if !k.heard(now, wire.VerbFind, err) {
		return false
	}
	if found[it.QueueID] != QueueHold { // it went on its way meanwhile
		k.end(ctx, now, it, state.HeldGone)
		return false
	}
	err = k.sendReport(ctx, now, it)
	k.reportEnded(now, err)
	if err != nil {
		it.rest = now.Add(bounceAgain)
		why := oneLine(err.Error(), 300)
		k.opts.Log.Warn("held mail does not go back to its sender yet", "id", it.ID, "error", why)
		if k.opts.Lasting(err) && it.State != state.HeldKept {
			k.keep(ctx, now, it, it.Rule, "its report was refused: "+why)
		}
		return false
	}
	// Ended first: what is deleted and not ended would be taken for gone. What is
	// ended and not deleted is deleted by the next round.
	if !k.end(ctx, now, it, state.HeldBounced) {
		it.rest = now.Add(bounceAgain)
		return false
	}
	k.drop(ctx, now, []*item{it})
	return true
}

func (k *Keeper) sendReport(ctx context.Context, now time.Time, it *item) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	r := report{Held: it.Held, host: k.Host(), now: now, language: k.set.Load().Language}
	return k.opts.Send(ctx, now, it.From, r.compose)
}

// mayReport says whether the mail system may be given a report.
func (k *Keeper) mayReport(now time.Time) bool {
	return !now.Before(k.nextReport) || now.Before(k.nextReport.Add(-2*reportRest))
}

// reportEnded notes how the mail system has taken a report.
func (k *Keeper) reportEnded(now time.Time, err error) {
	if err == nil || k.opts.Lasting(err) {
		k.refused = 0
		return
	}
	if k.refused++; k.refused >= mostRefused {
		k.refused, k.nextReport = 0, now.Add(reportRest)
	}
}

// forget deletes the records of mail that has not been held for long.
func (k *Keeper) forget(ctx context.Context, now time.Time) {
	ended := slices.DeleteFunc(k.book.all(), func(it *item) bool { return it.isOpen() })
	slices.SortFunc(ended, func(a, b *item) int { return b.Ended.Compare(a.Ended) })
	forgot := 0
	for i, it := range ended {
		if i < mostEnded && now.Sub(it.Ended) < endedFor {
			continue
		}
		if forgot == mostForgot || !k.store.here(now) {
			return
		}
		forgot++
		if err := state.DeleteRecord(ctx, k.opts.Store, it.Held); err != nil {
			k.opts.Log.Warn("held mail", "id", it.ID, "error", err)
			return
		}
		k.book.forgot(it)
	}
}

// forgot drops a record that the store has no more.
func (b *book) forgot(it *item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.items, it.ID)
	delete(b.known, it.ID)
}
