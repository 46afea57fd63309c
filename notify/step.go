package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"o2n-milter/internal/chaos"
	"o2n-milter/state"
)

const (
	firstPause = time.Minute   // after the first try; it doubles with each
	mostPause  = 6 * time.Hour // between two tries
	giveUp     = 3 * 24 * time.Hour
	mostHooks  = 5 // tries of a program: what it should do is soon too late
	// A channel in which a try did not succeed rests for so long, whatever waits:
	// a dead server costs one timeout a minute.
	restAfter = time.Minute
	// batch is how many tries a Step makes, so that it ends well within gone.
	batch = 10

	beatEvery = 15 * time.Minute // a host with notices says that it lives
	gone      = time.Hour        // without a sign its notices are another's
	forgotten = 24 * time.Hour   // signs of life are kept
)

// mostWhy bounds an error in the log, in octets.
const mostWhy = 1000

// errGone says that the notice has no one to go to any more.
var errGone = errors.New("not configured any more")

// permanent is an error that another try cannot mend.
type permanent struct{ error }

// sender delivers what is in a job, within ctx.
type sender func(ctx context.Context, now time.Time, j job) error

// job is what one try delivers: a notice, or all that wait for a digest, of which
// the oldest leads: its times and tries are the digest's.
type job struct {
	notice
	rest []notice
}

// Run sends until ctx ends.
func (n *Notifier) Run(ctx context.Context) {
	for ctx.Err() == nil {
		now := n.opts.Now()
		timer := time.NewTimer(n.Step(ctx, now).Sub(now))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-n.wake:
		}
		timer.Stop()
	}
}

// Step sends what is due at now and says when the next one is wanted. One at a time.
func (n *Notifier) Step(ctx context.Context, now time.Time) time.Time {
	if err := n.incidents.forget(ctx, now, n.set.Load().Digest); err != nil {
		n.opts.Log.Error("incidents", "error", err)
	}
	chaos.Point("notices")
	list, err := n.box.all(ctx)
	n.mu.Lock()
	n.queued = len(list)
	n.mu.Unlock()
	own, e := n.own(ctx, now, list)
	if err = errors.Join(err, e); err != nil {
		n.opts.Log.Error("outbox", "error", err)
		return earlier(n.sendDue(ctx, now, own), now.Add(restAfter))
	}
	return n.sendDue(ctx, now, own)
}

// own are the notices that this host sends: its own and those of hosts that are
// gone. While there are any it gives its sign of life.
func (n *Notifier) own(ctx context.Context, now time.Time, list []notice) ([]notice, error) {
	var own, others []notice
	for _, v := range list {
		if v.Host == n.opts.Host {
			own = append(own, v)
		} else {
			others = append(others, v)
		}
	}
	seen, err := n.signs(ctx, now)
	for _, v := range others {
		if err != nil || now.Before(v.Made.Add(gone)) || now.Before(seen[v.Host].Add(gone)) {
			continue
		}
		v.Host = n.opts.Host
		if v, e := n.box.change(ctx, v); e == nil { // else another one took it, or will
			n.opts.Log.Info("notice taken over", "id", v.id, "channel", v.Channel)
			own = append(own, v)
		}
	}
	if len(own) > 0 && !now.Before(n.lastBeat.Add(beatEvery)) {
		err = errors.Join(err, n.beat(ctx, now))
	}
	return own, err
}

// signs are the hosts' last signs of life; very old ones are removed.
func (n *Notifier) signs(ctx context.Context, now time.Time) (map[string]time.Time, error) {
	docs, err := n.opts.Store.Docs(ctx, hostKind)
	seen := make(map[string]time.Time)
	for _, doc := range docs {
		var at time.Time
		if json.Unmarshal(doc.Data, &at) == nil && now.Before(at.Add(forgotten)) {
			seen[doc.ID] = at
			continue
		}
		doc.Data = nil
		if _, e := n.opts.Store.PutDoc(ctx, doc); e != nil && !errors.Is(e, state.ErrConflict) {
			err = e
		}
	}
	return seen, err
}

func (n *Notifier) beat(ctx context.Context, now time.Time) error {
	docs, err := n.opts.Store.Docs(ctx, hostKind)
	if err != nil {
		return err
	}
	sign := state.Doc{Kind: hostKind, ID: n.opts.Host}
	for _, doc := range docs {
		if doc.ID == sign.ID {
			sign.Rev = doc.Rev
		}
	}
	if sign.Data, err = json.Marshal(now.UTC()); err != nil {
		return err
	}
	if _, err = n.opts.Store.PutDoc(ctx, sign); err == nil {
		n.lastBeat = now
	}
	return err
}

// sendDue tries what is due, oldest first, and says when something will be next.
func (n *Notifier) sendDue(ctx context.Context, now time.Time, own []notice) time.Time {
	next, tries := now.Add(beatEvery), 0
	for _, j := range jobs(own) {
		due := later(j.Due, n.rest[j.Channel])
		if !due.After(now) && tries < batch && ctx.Err() == nil {
			tries++
			due = n.try(ctx, now, j)
		}
		if !due.IsZero() {
			next = earlier(next, due)
		}
	}
	return next
}

func jobs(own []notice) []job {
	var list []job
	digest := -1
	for _, v := range own {
		switch {
		case v.Channel != toDigest:
			list = append(list, job{notice: v})
		case digest < 0:
			digest = len(list)
			list = append(list, job{notice: v})
		default:
			list[digest].rest = append(list[digest].rest, v)
		}
	}
	return list
}

// try makes one try. It says when to look at the job again; zero: it is done.
//
// The next try is put down before this one is made, so that after a crash it is
// made again, and that a host which was taken for gone and is not sends nothing
// that another one has taken.
func (n *Notifier) try(ctx context.Context, now time.Time, j job) time.Time {
	j.Tries++
	j.Due = now.Add(pause(j.Tries)).UTC()
	claimed, err := n.box.change(ctx, j.notice)
	switch {
	case errors.Is(err, state.ErrConflict):
		return time.Time{}
	case err != nil:
		n.opts.Log.Error("outbox", "error", err)
		n.rest[j.Channel] = now.Add(restAfter)
		return n.rest[j.Channel]
	}
	j.notice = claimed
	err = n.deliver(ctx, now, j)
	if err != nil && ctx.Err() != nil { // we are stopping
		return j.Due
	}
	return n.settle(ctx, now, j, err)
}

func (n *Notifier) deliver(ctx context.Context, now time.Time, j job) error {
	send := n.send[j.Channel]
	if send == nil {
		return permanent{errors.New("no such channel")}
	}
	timeout := n.set.Load().Timeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := send(ctx, now, j)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not done within %s: %w", timeout, err)
	}
	return err
}

// settle does what follows from a try.
func (n *Notifier) settle(ctx context.Context, now time.Time, j job, err error) time.Time {
	all := int64(1 + len(j.rest))
	why := ""
	if err != nil {
		why = clean(err.Error(), mostWhy) // a server's words may be in it
	}
	log := n.opts.Log.With("id", j.id, "channel", j.Channel, "event", j.Event.What, "tries", j.Tries, "events", all)
	var hopeless permanent
	switch {
	case err == nil:
		log.Info("notice sent")
		n.count(j.Channel, func(c *Count) { c.Sent += all })
	case errors.Is(err, errGone):
		log.Warn("notice dropped", "error", why)
		n.count(j.Channel, func(c *Count) { c.Dropped += all })
	case errors.As(err, &hopeless), j.Channel == toExec && j.Tries >= mostHooks, j.Due.After(j.First.Add(giveUp)):
		log.Error("notice given up", "error", why)
		n.count(j.Channel, func(c *Count) { c.Failed += all })
	default:
		log.Warn("notice not sent yet", "next", j.Due, "error", why)
		n.count(j.Channel, func(c *Count) { c.Retried++ })
		n.rest[j.Channel] = now.Add(restAfter)
		return j.Due
	}
	n.end(ctx, j)
	return time.Time{}
}

// end removes what is done with, also when we are stopping: it would come twice.
func (n *Notifier) end(ctx context.Context, j job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
	defer cancel()
	for _, v := range append(j.rest, j.notice) {
		n.box.remove(ctx, v)
	}
}

// pause is the time between try number tries and the next.
func pause(tries int) time.Duration {
	p := firstPause
	for i := 1; i < tries && p < mostPause; i++ {
		p *= 2
	}
	return min(p, mostPause)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
