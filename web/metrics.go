package web

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/notify"
	"o2n-milter/state"
)

// blockKinds are the kinds of subject that can be blocked.
var blockKinds = []string{"account", "customer", "script", "host", "ip", "domain"}

// RegisterState registers what is read from the store when it is asked for.
func RegisterState(reg prometheus.Registerer, store state.Store, now func() time.Time) {
	reg.MustRegister(&blockGauge{store, now}, &storeGauge{store, now})
}

// RegisterClock registers by how much the host's wall clock is ahead of the
// daemon's, which has not followed it.
func RegisterClock(reg prometheus.Registerer, offset func() time.Duration) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "o2n_milter_clock_offset_seconds",
		Help: "By how much the wall clock is ahead of the daemon's clock, which goes on without it; 0 as a rule.",
	}, func() float64 { return offset().Seconds() }))
}

// RegisterLocal registers how many calls were decided alone, while the store was
// away: one for a message, and for each strike.
func RegisterLocal(reg prometheus.Registerer, takes func() uint64) {
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "o2n_milter_store_local_takes_total",
		Help: "Calls that this host decided alone, at half the limits, since the store was away.",
	}, func() float64 { return float64(takes()) }))
}

// storeGauge tells of the store's health when it is collected.
type storeGauge struct {
	store state.Store
	now   func() time.Time
}

var (
	storeDegraded = prometheus.NewDesc("o2n_milter_store_degraded", "1 while the store is not whole, or has lost something lately.", nil, nil)
	storeAway     = prometheus.NewDesc("o2n_milter_store_away", "1 while what is charged cannot be kept.", nil, nil)
	storeBytes    = prometheus.NewDesc("o2n_milter_store_bytes", "Size of the store on disk, or in the server's memory; 0: not known.", nil, nil)
)

func (g *storeGauge) Describe(ch chan<- *prometheus.Desc) {
	ch <- storeDegraded
	ch <- storeAway
	ch <- storeBytes
}

func (g *storeGauge) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	st, err := g.store.Status(ctx, g.now())
	ch <- prometheus.MustNewConstMetric(storeBytes, prometheus.GaugeValue, float64(st.Size))
	for desc, is := range map[*prometheus.Desc]bool{
		storeDegraded: err != nil || st.Degraded != "", storeAway: err != nil || st.Away,
	} {
		value := 0.0
		if is {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
}

// blockGauge counts the blocks in force when it is collected, as a block ends
// without anybody's doing.
type blockGauge struct {
	store state.Store
	now   func() time.Time
}

var blocksActive = prometheus.NewDesc("o2n_milter_blocks_active", "Blocks in force, by kind of subject.", []string{"kind"}, nil)

func (g *blockGauge) Describe(ch chan<- *prometheus.Desc) { ch <- blocksActive }

func (g *blockGauge) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	blocks, err := g.store.Blocks(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(blocksActive, err)
		return
	}
	count := map[string]int{}
	now := g.now()
	for _, b := range blocks {
		if b.State(now) == state.BlockActive {
			kind, _, _ := strings.Cut(b.Subject, ":")
			count[kind]++
		}
	}
	for _, kind := range blockKinds {
		ch <- prometheus.MustNewConstMetric(blocksActive, prometheus.GaugeValue, float64(count[kind]), kind)
	}
}

// Measured is a store whose calls on the way of a message are timed and whose
// errors are counted.
type Measured struct {
	state.Store
	take, blocks, record, addBlock, liftBlock operation
}

// operation is a kind of call.
type operation struct {
	seconds prometheus.Observer
	errors  prometheus.Counter
}

// done notes a call that began then.
func (o operation) done(start time.Time, err error) {
	o.seconds.Observe(time.Since(start).Seconds())
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		o.errors.Inc()
	}
}

// Measure registers o2n_milter_store_seconds and o2n_milter_store_errors_total.
func Measure(reg prometheus.Registerer, store state.Store) *Measured {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "o2n_milter_store_seconds",
		Help:    "Time of store calls, by operation.",
		Buckets: prometheus.ExponentialBuckets(1e-5, 4, 10), // 10 us to 2.6 s
	}, []string{"op"})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_store_errors_total",
		Help: "Store calls that failed, by operation.",
	}, []string{"op"})
	reg.MustRegister(seconds, failed)
	of := func(op string) operation { return operation{seconds.WithLabelValues(op), failed.WithLabelValues(op)} }
	return &Measured{
		Store: store, take: of("take"), blocks: of("blocks"), record: of("record"), addBlock: of("add_block"), liftBlock: of("lift_block"),
	}
}

// Take implements state.Store.
func (m *Measured) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	start := time.Now()
	answer, err := m.Store.Take(ctx, now, ask)
	m.take.done(start, err)
	return answer, err
}

// ActiveBlocks implements state.Store.
func (m *Measured) ActiveBlocks(ctx context.Context, now time.Time, subjects []string) ([]state.Block, error) {
	start := time.Now()
	blocks, err := m.Store.ActiveBlocks(ctx, now, subjects)
	m.blocks.done(start, err)
	return blocks, err
}

// Record implements state.Store.
func (m *Measured) Record(ctx context.Context, d state.Decision) error {
	start := time.Now()
	err := m.Store.Record(ctx, d)
	m.record.done(start, err)
	return err
}

// AddBlock implements state.Store.
func (m *Measured) AddBlock(ctx context.Context, b state.Block) error {
	start := time.Now()
	err := m.Store.AddBlock(ctx, b)
	m.addBlock.done(start, err)
	return err
}

// LiftBlock implements state.Store.
func (m *Measured) LiftBlock(ctx context.Context, id string, now time.Time, by, note string) (state.Block, error) {
	start := time.Now()
	b, err := m.Store.LiftBlock(ctx, id, now, by, note)
	m.liftBlock.done(start, err)
	return b, err
}

// RegisterNotices registers o2n_milter_notices_total{channel,result} and
// o2n_milter_notices_queued.
func RegisterNotices(reg prometheus.Registerer, stats func() notify.Stats) {
	reg.MustRegister(noticeCounts{stats})
}

type noticeCounts struct{ stats func() notify.Stats }

var (
	noticesTotal  = prometheus.NewDesc("o2n_milter_notices_total", "Notices to operators and customers, by channel and result.", []string{"channel", "result"}, nil)
	noticesQueued = prometheus.NewDesc("o2n_milter_notices_queued", "Notices that wait to be sent.", nil, nil)
)

func (n noticeCounts) Describe(ch chan<- *prometheus.Desc) {
	ch <- noticesTotal
	ch <- noticesQueued
}

func (n noticeCounts) Collect(ch chan<- prometheus.Metric) {
	s := n.stats()
	for channel, c := range s.Channels {
		for result, count := range map[string]int64{"sent": c.Sent, "retried": c.Retried, "failed": c.Failed, "dropped": c.Dropped} {
			ch <- prometheus.MustNewConstMetric(noticesTotal, prometheus.CounterValue, float64(count), channel, result)
		}
	}
	ch <- prometheus.MustNewConstMetric(noticesQueued, prometheus.GaugeValue, float64(s.Queued))
}
