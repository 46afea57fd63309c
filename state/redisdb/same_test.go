package redisdb

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

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
			full, charged, most := 0, 0, int64(0)
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
				for _, c := range want.Campaigns {
					most = max(most, c.Known)
				}
				if len(want.Full) > 0 {
					full++
				} else {
					charged++
				}
				sameUsage(t, s, m, now.Add(step(rnd)), ask)
			}
			if full < 30 || charged < 30 || most < 5 {
				t.Errorf("%d full, %d charged, %d of one campaign at most: the traffic shows nothing", full, charged, most)
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
	for range rnd.IntN(3) {
		ask.Letters = append(ask.Letters, randomLetter(rnd, subjects[rnd.IntN(2)], 5))
	}
	return ask
}

// randomLetter is like one of so many, which are far from one another.
func randomLetter(rnd *rand.Rand, subject string, kinds int) state.Letter {
	base := rand.New(rand.NewPCG(uint64(rnd.IntN(kinds)), 9))
	l := state.Letter{Subject: subject, Near: 5, Max: rnd.Int64N(20), Remember: 10 * time.Minute}
	for i := range l.Sketch {
		l.Sketch[i] = base.Uint64()
	}
	for range rnd.IntN(6) { // two of a kind are up to 10 bits apart
		l.Sketch[rnd.IntN(4)] ^= 1 << rnd.IntN(64)
	}
	for range rnd.IntN(4) {
		l.Members = append(l.Members, fmt.Sprint("r", rnd.IntN(30)))
	}
	return l
}

// Many campaigns of one subject: the same ones are forgotten.
func TestSameCampaigns(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 10))
	s, m := open(t, Options{URL: common(t).url(), HostTime: true}), memory.New()
	now, known := start, 0
	for range 1200 {
		now = now.Add(time.Duration(rnd.Int64N(int64(500 * time.Millisecond))))
		l := randomLetter(rnd, "account:a", 2*state.MaxCampaigns)
		l.Near, l.Max = 10, 1<<40
		ask := state.Ask{Letters: []state.Letter{l}}
		want, err := m.Take(t.Context(), now, ask)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Take(t.Context(), now, ask)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("at %s (-memory +redis):\n%s", now.Format(time.RFC3339Nano), d)
		}
		if want.Campaigns[0].Known > 0 {
			known++
		}
	}
	if known < 300 || known > 900 {
		t.Errorf("%d letters of known campaigns; the traffic shows nothing", known)
	}
}

// A window's length changes with every look, as state.Slots does it: what has left
// one length stays forgotten.
func TestLengthChanges(t *testing.T) {
	lengths := []time.Duration{
		time.Second, 7*time.Second + 1, time.Minute, 61*time.Second + 7, time.Hour, 24*time.Hour + 59, 30 * 24 * time.Hour, state.MaxLength - 1,
		// Two lengths with slots of one width, which is odd: no slot may move.
		60 * 1_016_666_667, 60*1_016_666_667 + 1, 60 * 43_200_000_000_007, 60*43_200_000_000_007 + 1,
	}
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

// A nanosecond decides which slot a charge is in, for any length: doubles do not.
func TestSlotEdges(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url(), HostTime: true})
	rnd := rand.New(rand.NewPCG(1, 7))
	for n, at := 0, start; n < 300; n++ {
		length := time.Second + time.Duration(rnd.Int64N(int64(time.Minute)<<rnd.IntN(17)))
		width := int64(length) / 60
		k := at.UnixNano()/width + 1
		for _, ns := range []int64{k*width - 1, k * width} {
			subject := fmt.Sprint("account:", n, ns)
			if _, err := s.Take(t.Context(), time.Unix(0, ns), state.Ask{Charges: []state.Charge{{Window: window("w", subject, length, 9), Cost: 1}}}); err != nil {
				t.Fatal(err)
			}
			if got := srv.do(t, "HGET", limitKey("w", subject), "n"); got != fmt.Sprint(ns/width) {
				t.Fatalf("%s at %d: slot %v; want %d", length, ns, got, ns/width)
			}
			at = time.Unix(0, ns)
		}
	}
}

// Two lengths with slots of one width: no charge moves to another slot.
func TestSameWidth(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url(), HostTime: true})
	rnd := rand.New(rand.NewPCG(1, 8))
	at := start
	for n := range 200 {
		width := int64(time.Second)/60 + 1 + rnd.Int64N(int64(time.Second)<<rnd.IntN(17))
		subject := fmt.Sprint("account:", n)
		slot := at.UnixNano() / width
		for _, length := range []int64{60 * width, 60*width + 1} {
			charges := []state.Charge{{Window: window("w", subject, time.Duration(length), 9), Cost: 1}}
			if _, err := s.Take(t.Context(), at, state.Ask{Charges: charges}); err != nil {
				t.Fatal(err)
			}
			at = at.Add(time.Duration(2 * width))
		}
		want := []any{fmt.Sprint(slot), fmt.Sprint(slot + 2)}
		if got := srv.do(t, "HMGET", limitKey("w", subject), "o", "n"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("slots %d ns wide: %v; want %v", width, got, want)
		}
	}
}

// What an undo finds less of than it gives back, or of another length, it leaves right.
func TestUndo(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url()})
	undo := func(length time.Duration, slot, cost int64) {
		t.Helper()
		err := s.link.do(t.Context(), func(ctx context.Context, c redis.UniversalClient) error {
			_, err := run(ctx, c, undoScript, []string{"o2n:w"}, []any{int64(length), slot, cost})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		length     time.Duration
		slot, cost int64
		want       string
	}{
		{time.Minute, 7, 1, "[w 60000000000 u 9 o 7 n 8 7 4 8 5]"},
		{time.Minute, 7, 5, "[w 60000000000 u 5 o 7 n 8 8 5]"},
		{time.Minute, 7, 12, "[w 60000000000 u 5 o 7 n 8 8 5]"},
		{time.Minute, 9, 1, "[w 60000000000 u 10 o 7 n 8 7 5 8 5]"},
		{time.Hour, 7, 1, "[w 60000000000 u 10 o 7 n 8 7 5 8 5]"},
	} {
		srv.do(t, "DEL", "o2n:w")
		srv.do(t, "HSET", "o2n:w", "w", int64(time.Minute), "u", 10, "o", 7, "n", 8, 7, 5, 8, 5)
		undo(test.length, test.slot, test.cost)
		wants(t, fmt.Sprint(test), srv.do(t, "HGETALL", "o2n:w"), test.want)
	}
	undo(time.Minute, 9, 1)
	srv.do(t, "DEL", "o2n:w")
	srv.do(t, "HSET", "o2n:w", "w", int64(time.Minute), "u", 5, "o", 7, "n", 7, 7, 5)
	undo(time.Minute, 7, 5)
	wants(t, "an empty window", srv.do(t, "EXISTS", "o2n:w"), 0)
}
