package web

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"o2n-milter/hold"
)

func TestHoldMetrics(t *testing.T) {
	stats := hold.Stats{
		Waiting: 3, Kept: 2, Leaving: 1, ByRule: map[string]int{"limit.minute": 4, "content.score": 2}, Oldest: start.Add(-time.Hour),
		Released: 10, Deleted: 9, Bounced: 8, Expired: 7, Gone: 6, AgentErrors: map[string]int64{"list": 5, "find": 0}, Unknown: 4,
	}
	reg := prometheus.NewRegistry()
	RegisterHold(reg, func() hold.Stats { return stats }, at)
	want := `# HELP o2n_milter_held_by_rule Messages held on this host, by the rule that holds them.
# TYPE o2n_milter_held_by_rule gauge
o2n_milter_held_by_rule{rule="content.score"} 2
o2n_milter_held_by_rule{rule="limit.minute"} 4
# HELP o2n_milter_held_expired_total Held messages that went back to their sender after hold.max_age.
# TYPE o2n_milter_held_expired_total counter
o2n_milter_held_expired_total 7
# HELP o2n_milter_held_gone_total Held messages that somebody else released or deleted in the MTA.
# TYPE o2n_milter_held_gone_total counter
o2n_milter_held_gone_total 6
# HELP o2n_milter_held_kept Messages held on this host that wait for an operator.
# TYPE o2n_milter_held_kept gauge
o2n_milter_held_kept 2
# HELP o2n_milter_held_messages Messages held on this host: those that wait, that are kept and that leave.
# TYPE o2n_milter_held_messages gauge
o2n_milter_held_messages 6
# HELP o2n_milter_held_oldest_seconds For how long the oldest is held; 0 when nothing is.
# TYPE o2n_milter_held_oldest_seconds gauge
o2n_milter_held_oldest_seconds 3600
# HELP o2n_milter_held_released_total Held messages that went on their way.
# TYPE o2n_milter_held_released_total counter
o2n_milter_held_released_total 10
# HELP o2n_milter_held_unknown Messages on hold in this host's MTA that are not ours.
# TYPE o2n_milter_held_unknown gauge
o2n_milter_held_unknown 4
# HELP o2n_milter_hold_agent_errors_total What the hold agent did not do, by verb.
# TYPE o2n_milter_hold_agent_errors_total counter
o2n_milter_hold_agent_errors_total{verb="find"} 0
o2n_milter_hold_agent_errors_total{verb="list"} 5
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	stats = hold.Stats{}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`# HELP o2n_milter_held_oldest_seconds For how long the oldest is held; 0 when nothing is.
# TYPE o2n_milter_held_oldest_seconds gauge
o2n_milter_held_oldest_seconds 0
`), "o2n_milter_held_oldest_seconds"); err != nil {
		t.Error(err)
	}
}
