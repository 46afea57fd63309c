package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/hold"
)

// RegisterHold registers o2n_milter_held_messages and what else there is to count of
// held mail: of this host.
func RegisterHold(reg prometheus.Registerer, stats func() hold.Stats, now func() time.Time) {
	reg.MustRegister(heldCounts{stats, now})
}

type heldCounts struct {
	stats func() hold.Stats
	now   func() time.Time
}

var (
	heldMessages = prometheus.NewDesc("o2n_milter_held_messages", "Messages held on this host: those that wait, that are kept and that leave.", nil, nil)
	heldByRule   = prometheus.NewDesc("o2n_milter_held_by_rule", "Messages held on this host, by the rule that holds them.", []string{"rule"}, nil)
	heldKept     = prometheus.NewDesc("o2n_milter_held_kept", "Messages held on this host that wait for an operator.", nil, nil)
	heldOldest   = prometheus.NewDesc("o2n_milter_held_oldest_seconds", "For how long the oldest is held; 0 when nothing is.", nil, nil)
	heldReleased = prometheus.NewDesc("o2n_milter_held_released_total", "Held messages that went on their way.", nil, nil)
	heldExpired  = prometheus.NewDesc("o2n_milter_held_expired_total", "Held messages that went back to their sender after hold.max_age.", nil, nil)
	heldGone     = prometheus.NewDesc("o2n_milter_held_gone_total", "Held messages that somebody else released or deleted in the MTA.", nil, nil)
	agentErrors  = prometheus.NewDesc("o2n_milter_hold_agent_errors_total", "What the hold agent did not do, by verb.", []string{"verb"}, nil)
	heldUnknown  = prometheus.NewDesc("o2n_milter_held_unknown", "Messages on hold in this host's MTA that are not ours.", nil, nil)
)

func (h heldCounts) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{heldMessages, heldByRule, heldKept, heldOldest, heldReleased, heldExpired, heldGone, agentErrors, heldUnknown} {
		ch <- d
	}
}

func (h heldCounts) Collect(ch chan<- prometheus.Metric) {
	s := h.stats()
	oldest := 0.0
	if !s.Oldest.IsZero() {
		oldest = max(0, h.now().Sub(s.Oldest).Seconds())
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(heldMessages, float64(s.Waiting+s.Kept+s.Leaving))
	for rule, n := range s.ByRule {
		gauge(heldByRule, float64(n), rule)
	}
	gauge(heldKept, float64(s.Kept))
	gauge(heldOldest, oldest)
	gauge(heldUnknown, float64(s.Unknown))
	count(heldReleased, s.Released)
	count(heldExpired, s.Expired)
	count(heldGone, s.Gone)
	for verb, n := range s.AgentErrors {
		count(agentErrors, n, verb)
	}
}
