package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/local"
	"o2n-milter/state/memory"
	"o2n-milter/state/statetest"
)

var (
	ctx     = context.Background()
	start   = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	errAway = errors.New("connection refused")
)

// primary is a store that can be away: it then answers from memory what the
// drivers answer from memory.
type primary struct {
	*memory.Store
	away     atomic.Bool
	noBlocks bool
	degraded string
}

func (p *primary) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if p.away.Load() {
		return state.Answer{}, errAway
	}
	return p.Store.Take(ctx, now, ask)
}

func (p *primary) Usage(ctx context.Context, now time.Time, w []state.Window) ([]state.Usage, error) {
	if p.away.Load() {
		return nil, errAway
	}
	return p.Store.Usage(ctx, now, w)
}

func (p *primary) Reset(ctx context.Context, subject string) (int, error) {
	if p.away.Load() {
		return 0, errAway
	}
	return p.Store.Reset(ctx, subject)
}

func (p *primary) ActiveBlocks(ctx context.Context, now time.Time, subjects []string) ([]state.Block, error) {
	if p.noBlocks {
		return nil, errAway
	}
	return p.Store.ActiveBlocks(ctx, now, subjects)
}

func (p *primary) Status(ctx context.Context, now time.Time) (state.Status, error) {
	st, err := p.Store.Status(ctx, now)
	st.Degraded = p.degraded
	return st, err
}

// bench is a store that counts alone when its primary is told to be away.
type bench struct {
	*testing.T
	*local.Store
	primary *primary
	log     bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, primary: &primary{Store: memory.New()}}
	b.Store = local.New(b.primary, slog.New(slog.NewTextHandler(&b.log, nil)))
	return b
}

func window(limitMax int64) state.Window {
	return state.Window{Limit: "minute", Subject: "account:a", Length: time.Minute, Max: limitMax}
}

func (b *bench) take(now time.Time, charges ...state.Charge) state.Answer {
	b.Helper()
	answer, err := b.Take(ctx, now, state.Ask{Charges: charges})
	if err != nil {
		b.Fatal(err)
	}
	return answer
}

// passed is how many of n messages get through.
func (b *bench) passed(now time.Time, n int, w state.Window) int {
	b.Helper()
	passed := 0
	for range n {
		if len(b.take(now, state.Charge{Window: w, Cost: 1}).Full) == 0 {
			passed++
		}
	}
	return passed
}

// With its primary there it is the primary.
func TestSuite(t *testing.T) {
	statetest.Run(t, func(*testing.T) state.Store { return local.New(memory.New(), slog.New(slog.DiscardHandler)) })
}

func TestHalfTheLimits(t *testing.T) {
	for limitMax, want := range map[int64]int{1: 1, 2: 1, 3: 2, 9: 5, 10: 5, 11: 6} {
		b := newBench(t)
		b.primary.away.Store(true)
		if got := b.passed(start, 12, window(limitMax)); got != want {
			t.Errorf("max %d: %d got through, want %d", limitMax, got, want)
		}
		if got := b.Takes(); got != 12 {
			t.Errorf("%d takes of its own", got)
		}
	}
}

// A question is answered, and makes nobody say that this host decides alone.
func TestQuestionsDecideNothing(t *testing.T) {
	b := newBench(t)
	b.primary.away.Store(true)
	answer, err := b.Take(ctx, start, state.Ask{Dry: true, Charges: []state.Charge{{Window: window(1), Cost: 1}}})
	if err != nil || len(answer.Full) > 0 || b.Takes() != 0 || b.log.Len() > 0 {
		t.Errorf("%+v, %v, %d takes; said %s", answer, err, b.Takes(), b.log.String())
	}
	if st, err := b.Status(ctx, start); err != nil || st.Degraded != "" {
		t.Errorf("degraded %q, %v", st.Degraded, err)
	}
	b.passed(start, 1, window(1))
	if b.Takes() != 1 {
		t.Errorf("%d takes of a message", b.Takes())
	}
}

// While the primary is away Usage tells what is in force here.
func TestUsageWhileAway(t *testing.T) {
	b := newBench(t)
	b.passed(start, 3, window(10))
	usage := func() state.Usage {
		t.Helper()
		u, err := b.Usage(ctx, start, []state.Window{window(10)})
		if err != nil || len(u) != 1 {
			t.Fatal(u, err)
		}
		return u[0]
	}
	if u := usage(); u.Used != 3 || u.Max != 10 {
		t.Errorf("before: %+v", u)
	}
	b.primary.away.Store(true)
	b.passed(start, 2, window(10))
	if u := usage(); u.Used != 2 || u.Max != 5 {
		t.Errorf("away: %+v", u)
	}
	if n, err := b.Reset(ctx, "account:a"); !errors.Is(err, errAway) {
		t.Errorf("reset: %d, %v", n, err)
	}
	if u := usage(); u.Used != 0 {
		t.Errorf("after the reset: %+v", u)
	}
	b.primary.away.Store(false)
	if u := usage(); u.Used != 3 || u.Max != 10 {
		t.Errorf("back: %+v", u)
	}
	if n, err := b.Reset(ctx, "account:a"); n != 1 || err != nil {
		t.Errorf("reset: %d, %v", n, err)
	}
}

// What fits under the whole max may wait; what does not never passes. Those whom
// only the primary knows are no reason to refuse for good.
func TestTooMuchForHalf(t *testing.T) {
	b := newBench(t)
	b.primary.away.Store(true)
	for cost, free := range map[int64]time.Time{5: {}, 6: start.Add(time.Minute), 10: start.Add(time.Minute), 11: {}} {
		c := state.Charge{Window: window(10), Cost: cost}
		c.Subject = fmt.Sprint("account:", cost)
		answer := b.take(start, c)
		if fits := cost <= 5; fits != (len(answer.Full) == 0) || !fits && !answer.Full[0].Free.Equal(free) {
			t.Errorf("%d: %+v", cost, answer)
		}
		if answer.Windows[0].Max != 5 {
			t.Errorf("%d: max %d is told", cost, answer.Windows[0].Max)
		}
	}
	c := state.Charge{Window: window(2), Set: "recipients", Members: []string{"a", "b", "c"}, Remember: time.Hour}
	if answer := b.take(start, c); len(answer.Full) != 1 || !answer.Full[0].Free.Equal(start.Add(time.Minute)) {
		t.Errorf("members: %+v", answer)
	}
}

func TestBlocksWhileAway(t *testing.T) {
	b := newBench(t)
	if err := b.AddBlock(ctx, state.Block{ID: "B1", Subject: "account:a", Since: start}); err != nil {
		t.Fatal(err)
	}
	b.primary.away.Store(true)
	ask := state.Ask{Charges: []state.Charge{{Window: window(10), Cost: 1}}, Subjects: []string{"ip:1", "account:a"}}
	answer, err := b.Take(ctx, start, ask)
	if err != nil || len(answer.Blocks) != 1 || answer.Blocks[0].ID != "B1" {
		t.Errorf("%+v, %v", answer, err)
	}
	ask.Subjects = []string{"ip:1"}
	if answer, err = b.Take(ctx, start, ask); err != nil || len(answer.Blocks) != 0 || answer.Windows[0].Used != 1 {
		t.Errorf("another subject: %+v, %v", answer, err)
	}
	b.primary.noBlocks = true
	if answer, err = b.Take(ctx, start, ask); !errors.Is(err, errAway) {
		t.Errorf("blocks are not known: %+v, %v", answer, err)
	}
}

// A wrong question is the caller's fault, and nothing is away.
func TestCallersFault(t *testing.T) {
	b := newBench(t)
	for _, down := range []bool{false, true} {
		b.primary.away.Store(down)
		_, err := b.Take(ctx, start, state.Ask{Charges: []state.Charge{{Window: window(10), Cost: -1}}})
		if err == nil {
			t.Error("a negative cost is taken")
		}
		if _, err := b.Usage(ctx, start, []state.Window{{}}); err == nil {
			t.Error("a window without a name is told")
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := b.Take(ended, start, state.Ask{Charges: []state.Charge{{Window: window(10), Cost: 1}}}); err == nil {
			t.Error("nobody waits, and it is counted")
		}
	}
	if b.Takes() != 0 || b.log.Len() > 0 {
		t.Errorf("%d takes, log %s", b.Takes(), &b.log)
	}
}

// It is said once when the primary goes and once when it is back for good.
func TestItSaysSo(t *testing.T) {
	b := newBench(t)
	degraded := func(now time.Time) string {
		t.Helper()
		st, err := b.Status(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		return st.Degraded
	}
	said := func() (went, back int) {
		return strings.Count(b.log.String(), "store is away"), strings.Count(b.log.String(), "store is back")
	}
	const alone = "this host counts alone, at half the limits, since 2026-11-23T10:00:01Z"
	type saying struct {
		down       bool
		second     int
		degraded   string
		went, back int
	}
	for _, want := range []saying{
		{false, 0, "", 0, 0},
		{true, 1, alone, 1, 0},
		{true, 2, alone, 1, 0},
		{false, 3, alone, 1, 0}, // a moment later it may be away again
		{true, 4, alone, 1, 0},
		{false, 13, alone, 1, 0},
		{false, 14, "", 1, 1},
		{false, 15, "", 1, 1},
		{true, 16, strings.Replace(alone, ":01Z", ":16Z", 1), 2, 1},
	} {
		b.primary.away.Store(want.down)
		now := start.Add(time.Duration(want.second) * time.Second)
		b.take(now, state.Charge{Window: window(100), Cost: 1})
		went, back := said()
		got := saying{want.down, want.second, degraded(now), went, back}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(saying{})); diff != "" {
			t.Errorf("after %d s (-want +got):\n%s", want.second, diff)
		}
	}
	if !strings.Contains(b.log.String(), `error="connection refused"`) || !strings.Contains(b.log.String(), "calls=3") {
		t.Errorf("log: %s", &b.log)
	}
	// Without mail the primary's own word counts.
	later := start.Add(time.Hour)
	if got := degraded(later); got != "" {
		t.Errorf("an hour without mail: %q", got)
	}
	b.primary.degraded = "no server"
	if got := degraded(later); got != strings.Replace(alone, ":01Z", ":16Z", 1)+": no server" {
		t.Errorf("an hour without mail and server: %q", got)
	}
}

// However calls and outages mix, nobody gets more than a max and a half.
func TestRaceOverAnOutage(t *testing.T) {
	b := newBench(t)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				if i == 0 && j%10 == 0 {
					b.primary.away.Store(j%20 == 0)
				}
				answer, err := b.Take(ctx, start, state.Ask{Charges: []state.Charge{{Window: window(100), Cost: 1}}})
				if err != nil {
					t.Error(err)
				}
				if len(answer.Full) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n < 50 || n > 150 {
		t.Errorf("%d got through, want 50 to 150", n)
	}
}

// Alone, a campaign may have half as many recipients, rounded up; what the caller gave
// stays as it is.
func TestLettersAlone(t *testing.T) {
	b := newBench(t)
	send := func(known, fresh int64, full bool, members ...string) {
		t.Helper()
		ask := state.Ask{Letters: []state.Letter{{Subject: "account:a", Max: 5, Members: members, Remember: time.Hour}}}
		a, err := b.Take(ctx, start, ask)
		want := state.Campaign{ID: state.CampaignID("account:a", state.Sketch{}), Known: known, New: fresh, Full: full}
		if err != nil || len(a.Campaigns) != 1 || a.Campaigns[0] != want || ask.Letters[0].Max != 5 {
			t.Errorf("%+v, %v, max %d; want %+v, and 5", a.Campaigns, err, ask.Letters[0].Max, want)
		}
	}
	send(0, 4, false, "r1", "r2", "r3", "r4")
	b.primary.away.Store(true)
	send(0, 4, true, "r1", "r2", "r3", "r4") // nobody is known here
	send(0, 3, false, "r1", "r2", "r3")
	send(3, 1, true, "r4")
	b.primary.away.Store(false)
	send(4, 1, false, "r5")
	if _, err := b.Reset(ctx, "account:a"); err != nil {
		t.Fatal(err)
	}
	b.primary.away.Store(true)
	send(0, 1, false, "r1")
}
