//go:build mta

package hold

import (
	"context"
	"testing"

	"o2n-milter/hold"
	"o2n-milter/tests/mta"
)

// What a blocked sender still has in the queue is put on hold, and leaves at the lift.
func TestQueuedPostfix(t *testing.T) {
	t.Parallel()
	exerciseQueued(t, postfix(t))
}

func TestQueuedSendmail(t *testing.T) {
	t.Parallel()
	exerciseQueued(t, sendmail(t))
}

func exerciseQueued(t *testing.T, p *place) {
	const n = 3
	d := p.startDaemon(t, "[block]\nhold_queued = true\n")
	p.sink.Refuse(true)
	p.burst(t, n)
	mta.Poll(t, "all are deferred", func() bool {
		deferred := 0
		err := p.agent.List(context.Background(), func(hold.Queued) error { deferred++; return nil }, hold.QueueDeferred)
		return err == nil && deferred == n
	})
	d.Command(t, "block", "add", "script:"+local, "--for", "1h")
	mta.Poll(t, "all are on hold", func() bool { return p.Held(t) == n && len(heldList(t, d)) == n })
	for _, h := range heldList(t, d) {
		if h.Rule != "block.active" || h.Subject != "script:"+local || h.From != local {
			t.Errorf("%+v", h)
		}
	}
	p.sink.Refuse(false)
	d.Command(t, "block", "lift", "script:"+local)
	mta.Poll(t, "all have arrived", func() bool { return len(p.sink.All()) == n })
	mta.Poll(t, "nothing is held", func() bool { return len(heldList(t, d)) == 0 && p.Held(t) == 0 })
}
