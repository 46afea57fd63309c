package redisdb

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// The scripts answer what the ledger answers, to the nanosecond: random messages go
// to both, with windows of odd lengths, large amounts, sets, dry calls
// and a clock that is set forward and back.
func TestSameAsMemory(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 5))
			s, m := open(t, Options{URL: common(t).url(), HostTime: true}), memory.New()
			now := time.Date(2026, 3, 1, 12, 0, 0, 333_000_000, time.UTC)
			full, charged := 0, 0
			for range 400 {
				now = now.Add(step(rnd))
				ask := randomAsk(rnd, seed)
				want, err := m.Take(t.Context(), now, ask)
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.Take(t.Context(), now, ask)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("at %s, %+v (-memory +redis):\n%s", now.Format(time.RFC3339Nano), ask, d)
				}
				if len(want.Full) > 0 {
					full++
				} else {
					charged++
				}
				sameUsage(t, s, m, now.Add(step(rnd)), ask)
			}
			if full < 30 || charged < 30 {
				t.Errorf("%d full, %d charged: the traffic shows nothing", full, charged)
			}
			wantReset(t, s, m, "account:a")
		})
	}
}

func sameUsage(t *testing.T, s, m state.Store, now time.Time, ask state.Ask) {
	t.Helper()
	var windows []state.Window
	for _, c := range ask.Charges {
		windows = append(windows, c.Window)
	}
	want, err := m.Usage(t.Context(), now, windows)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Usage(t.Context(), now, windows)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" && len(windows) > 0 {
		t.Fatalf("usage at %s (-memory +redis):\n%s", now.Format(time.RFC3339Nano), d)
	}
}

func wantReset(t *testing.T, s, m state.Store, subject string) {
	t.Helper()
	want, err := m.Reset(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Reset(t.Context(), subject); err != nil || got != want {
		t.Errorf("reset: %d, %v; want %d", got, err, want)
	}
}

func step(rnd *rand.Rand) time.Duration {
	switch rnd.IntN(30) {
	case 0:
		return -time.Hour
	case 1:
		return time.Duration(rnd.Int64N(int64(2 * time.Hour)))
	case 2:
		return -time.Duration(rnd.Int64N(int64(30 * time.Second)))
	case 3:
		return 0
	}
	return time.Duration(rnd.Int64N(int64(4 * time.Second)))
}

func randomAsk(rnd *rand.Rand, seed uint64) state.Ask {
	lengths := []time.Duration{time.Second, 7 * time.Second, time.Minute, 61*time.Second + 7, time.Hour, 24*time.Hour + 59, state.MaxLength, state.MaxLength - 1}
	large := int64(1)
	if seed%2 == 1 {
		large = math.MaxInt64 / 12
	}
	ask := state.Ask{Dry: rnd.IntN(6) == 0}
	subjects := []string{"account:a", "account:b", "ip:192.0.2.1"}
	for range rnd.IntN(5) {
		n := rnd.IntN(4)
		length := lengths[(n*2+int(seed))%len(lengths)]
		c := state.Charge{
			Window:    window(fmt.Sprint("w", n), subjects[rnd.IntN(len(subjects))], length, large*(3+rnd.Int64N(9))),
			Cost:      large * rnd.Int64N(4),
			CountOnly: rnd.IntN(4) == 0,
		}
		if large == 1 && rnd.IntN(3) == 0 {
			c.Set, c.Remember = fmt.Sprint("s", n%2), []time.Duration{time.Minute, time.Hour}[n%2]
			for range rnd.IntN(4) {
				c.Members = append(c.Members, fmt.Sprint("r", rnd.IntN(30)))
			}
		}
		ask.Charges = append(ask.Charges, c)
	}
	return ask
}

// A window's length changes with every look, as state.Slots does it: what has left
// one length stays forgotten.
func TestLengthChanges(t *testing.T) {
	lengths := []time.Duration{time.Second, 7*time.Second + 1, time.Minute, 61*time.Second + 7, time.Hour, 24*time.Hour + 59, 30 * 24 * time.Hour, state.MaxLength - 1}
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		s := open(t, Options{URL: common(t).url(), HostTime: true})
		var clock state.Clock
		var slots state.Slots
		now := start
		for range 300 {
			now = now.Add(step(rnd) * time.Duration(1+rnd.IntN(20)))
			w := window("w", "account:a", lengths[rnd.IntN(len(lengths))], 1<<40)
			a, err := s.Take(t.Context(), now, state.Ask{Charges: []state.Charge{{Window: w, Cost: 3}}})
			if err != nil {
				t.Fatal(err)
			}
			line := clock.At(now)
			slots.Expire(line)
			slots.Advance(w.Length, line)
			slots.Charge(3, line)
			if a.Windows[0].Used != slots.Used() {
				t.Fatalf("seed %d at %s, %s: used %d; want %d", seed, now, w.Length, a.Windows[0].Used, slots.Used())
			}
			w.Max = slots.Used() // full: when is the first place free?
			u, err := s.Usage(t.Context(), now, []state.Window{w})
			if err != nil {
				t.Fatal(err)
			}
			at, _ := slots.FreeAt(1, w.Max, line)
			if want := now.Add(time.Duration(at - line)); !u[0].NextFree.Equal(want) {
				t.Fatalf("seed %d at %s, %s: free at %s; want %s", seed, now, w.Length, u[0].NextFree, want)
			}
		}
	}
}
