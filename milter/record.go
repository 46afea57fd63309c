package milter

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// Log is the Recorder of the daemon: one log line and the counters for every verdict.
type Log struct {
	log       *slog.Logger
	decisions *prometheus.CounterVec
	passed    prometheus.Counter // of decisions: that of nearly all mail
	seconds   prometheus.Histogram
	sessions  prometheus.Gauge
	kept      *prometheus.CounterVec
	strikes   *prometheus.CounterVec
	blocks    *prometheus.CounterVec
	ceiling   prometheus.Counter
	shadow    *prometheus.CounterVec
	open      atomic.Int64
	refused   atomic.Bool
}

// NewLog registers o2n_milter_decisions_total, o2n_milter_decision_seconds,
// o2n_milter_sessions, o2n_milter_kept_sessions_total, o2n_milter_strikes_total, o2n_milter_automatic_blocks_total,
// o2n_milter_block_ceiling_total and o2n_milter_shadow_total. No label ever holds an
// address, a login or an IP.
func NewLog(log *slog.Logger, reg prometheus.Registerer) *Log {
	l := &Log{
		log: log,
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "o2n_milter_decisions_total",
			Help: "Messages by the rule that decided and the action taken.",
		}, []string{"rule", "action"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "o2n_milter_decision_seconds",
			Help:    "Time from the end of a message to its verdict.",
			Buckets: prometheus.ExponentialBuckets(1e-5, 4, 11), // 10 us to 10 s
		}),
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "o2n_milter_sessions",
			Help: "Open milter connections.",
		}),
	}
	l.kept = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_kept_sessions_total",
		Help: "Sessions that systemd kept while the daemon was away, by what became of them.",
	}, []string{"result"})
	l.strikes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_strikes_total",
		Help: "Refused messages that counted as abuse, by rule.",
	}, []string{"rule"})
	l.blocks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_automatic_blocks_total",
		Help: "Blocks that strikes led to, by kind of subject.",
	}, []string{"kind"})
	l.ceiling = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "o2n_milter_block_ceiling_total",
		Help: "Automatic blocks that were not made, as there were too many.",
	})
	l.shadow = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_shadow_total",
		Help: "Messages in which a rule in shadow found something, by rule.",
	}, []string{"rule"})
	reg.MustRegister(l.decisions, l.seconds, l.sessions, l.kept, l.strikes, l.blocks, l.ceiling, l.shadow)
	l.passed = l.decisions.WithLabelValues("none", "accept")
	l.decisions.WithLabelValues("internal.overload", "tempfail") // a counter that begins at 1 has no increase
	l.kept.WithLabelValues("resumed")
	l.kept.WithLabelValues("closed")
	for _, kind := range []string{"account", "customer", "script", "host", "ip", "domain"} {
		l.blocks.WithLabelValues(kind)
	}
	return l
}

// OnlyRefused leaves out the lines of messages that pass and in which nothing was
// found. They are counted all the same.
func (l *Log) OnlyRefused(only bool) { l.refused.Store(only) }

// Sessions implements Recorder.
func (l *Log) Sessions(open int) {
	l.open.Store(int64(open))
	l.sessions.Set(float64(open))
}

// Kept implements Recorder.
func (l *Log) Kept(goesOn bool) {
	result := "closed"
	if goesOn {
		result = "resumed"
	}
	l.kept.WithLabelValues(result).Inc()
}

// Open is how many sessions are open.
func (l *Log) Open() int { return int(l.open.Load()) }

// Record implements Recorder. The keys stand in a fixed order.
func (l *Log) Record(m *rules.Mail, v rules.Verdict, took time.Duration) {
	if v.Rule == "none" && v.Action == rules.Accept {
		l.passed.Inc()
	} else {
		l.decisions.WithLabelValues(v.Rule, v.Action.String()).Inc()
	}
	l.seconds.Observe(took.Seconds())
	l.countShadow(v.Evidence)
	plain := v.Action == rules.Accept && len(v.Evidence) == 0 && v.Err == nil
	if !plain || !l.refused.Load() {
		l.line(m, &v, took)
	}
	if v.Struck > 0 {
		l.struck(&v)
	}
}

// countShadow counts a message once for each rule.
func (l *Log) countShadow(found []rules.Evidence) {
	var counted []string
	for _, ev := range found {
		if ev.Shadow && !slices.Contains(counted, ev.Rule) {
			counted = append(counted, ev.Rule)
			l.shadow.WithLabelValues(ev.Rule).Inc()
		}
	}
}

// line is the line of a message; its keys are API.
func (l *Log) line(m *rules.Mail, v *rules.Verdict, took time.Duration) {
	level := slog.LevelInfo
	if v.Err != nil {
		level = slog.LevelError
	}
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	line := slog.NewRecord(time.Now(), level, "message", 0) // without the place in our source, which Logger looks up for nobody
	line.AddAttrs(
		slog.String("action", v.Action.String()),
		slog.String("rule", v.Rule),
		slog.String("id", v.ID),
		slog.String("account", bounded(v.Account)),
		slog.String("client", clientText(m)),
		slog.String("qid", bounded(m.QueueID)),
		slog.String("from", bounded(m.Sender)),
		slog.Int("rcpts", len(m.Recipients)),
		slog.Int("code", v.Code),
		slog.String("evidence", evidenceText(v)),
		slog.String("took", tookText(took)),
	)
	if v.Err != nil {
		line.AddAttrs(slog.String("error", bounded(v.Err.Error())))
	}
	_ = l.log.Handler().Handle(context.Background(), line) // as Logger has it
}

// struck tells what a strike led to.
func (l *Log) struck(v *rules.Verdict) {
	l.strikes.WithLabelValues(v.Rule).Inc()
	tell := func(msg string, b state.Block) {
		until := "it is lifted"
		if !b.Until.IsZero() {
			until = b.Until.UTC().Format(time.RFC3339)
		}
		l.log.Warn(msg, "block", b.ID, "subject", b.Subject, "rule", b.Rule, "until", until, "id", v.ID)
	}
	for _, b := range v.Blocked {
		kind, _, _ := strings.Cut(b.Subject, ":")
		l.blocks.WithLabelValues(kind).Inc()
		tell("blocked", b)
	}
	for _, b := range v.WouldBlock {
		tell("would be blocked (block.automatic is shadow)", b)
	}
	if v.Alarm != "" {
		l.ceiling.Inc()
		l.log.Error("alarm", "alarm", v.Alarm, "id", v.ID)
	}
}

// mostEvidence bounds the evidence of a log line, in octets; journald cuts lines
// at 48 KiB (journald.conf LineMax).
const mostEvidence = 4000

// bounded cuts what the MTA told: an address has 320 octets at most (RFC 5321
// 4.5.3.1), a peer that is none may send a megabyte.
func bounded(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

func clientText(m *rules.Mail) string {
	if !m.Client.IsValid() {
		return ""
	}
	return m.Client.String()
}

// tookText is in milliseconds: "0.123ms".
func tookText(took time.Duration) string {
	var room [32]byte
	return string(append(strconv.AppendFloat(room[:0], float64(took)/float64(time.Millisecond), 'f', 3, 64), "ms"...))
}

// evidenceText puts all evidence on the line: "identity.header_from: header From boss@bank.example; ...".
//
// The decision record has the rest of what does not fit.
func evidenceText(v *rules.Verdict) string {
	if v.Own {
		return "our own notice, not judged"
	}
	if !v.Judged {
		return "inbound mail, not judged"
	}
	found := v.Evidence
	if len(found) == 0 {
		return ""
	}
	var b strings.Builder
	for i, ev := range found {
		if b.Len() > mostEvidence {
			fmt.Fprintf(&b, "; and %d more", len(found)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(ev.Rule)
		if ev.Shadow {
			b.WriteString(" (shadow)")
		}
		b.WriteString(": " + ev.Fact + " " + bounded(ev.Got))
	}
	return b.String()
}
