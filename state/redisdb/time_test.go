package redisdb

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/state"
)

// 400 places are 400 places, for 32 sessions on two hosts whose clocks are 5 s apart.
func TestOneWindowOfTwoHosts(t *testing.T) {
	url := common(t).url()
	hosts := []*Store{open(t, Options{URL: url}), open(t, Options{URL: url})}
	const sessions, tries, places = 32, 20, 400
	w := window("hour", "account:a", time.Hour, places)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			for range tries {
				now := time.Now().Add(time.Duration(i%2) * -5 * time.Second)
				a, err := hosts[i%2].Take(context.Background(), now, state.Ask{Charges: []state.Charge{{Window: w, Cost: 1}}})
				if err != nil {
					t.Error(err)
				} else if len(a.Full) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	wants(t, "passed", passed.Load(), places)
	wants(t, "used", used(t, hosts[0], w), places)
}

// What a host takes for the time moves nothing: each is told by its own clock when a
// place is free.
func TestServersTimeDecides(t *testing.T) {
	s := open(t, Options{URL: common(t).url()})
	w := window("minute", "account:a", time.Minute, 1)
	passes(t, s, true, []state.Charge{{Window: w, Cost: 1}})
	for _, off := range []time.Duration{-24 * time.Hour, -5 * time.Second, 0, 5 * time.Second, 24 * time.Hour} {
		now := time.Now().Add(off)
		a, err := s.Take(t.Context(), now, state.Ask{Charges: []state.Charge{{Window: w, Cost: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Full) != 1 {
			t.Fatalf("%s off: passed", off)
		}
		if left := a.Full[0].Free.Sub(now); left < 55*time.Second || left > 61*time.Second {
			t.Errorf("%s off: free after %s; want some 60 s", off, left)
		}
		u, err := s.Usage(t.Context(), now, []state.Window{w})
		if err != nil || u[0].Used != 1 || u[0].NextFree.Sub(now) < 55*time.Second {
			t.Errorf("%s off: usage %+v, error %v", off, u, err)
		}
	}
}

// Never before the window's length is over, and soon after the time that was told.
func TestWindowInServersTime(t *testing.T) {
	s := open(t, Options{URL: common(t).url()})
	charge := []state.Charge{{Window: window("second", "account:a", time.Second, 1), Cost: 1}}
	begin := time.Now()
	passes(t, s, true, charge)
	free := passes(t, s, false, charge).Full[0].Free
	if left := free.Sub(begin); left < time.Second-10*time.Millisecond || left > time.Second+time.Second/60+500*time.Millisecond {
		t.Errorf("free after %s; want a second and up to 1/60", left)
	}
	eventually(t, "the place is free", func() error {
		a, err := s.Take(context.Background(), time.Now(), state.Ask{Charges: charge})
		if err == nil && len(a.Full) > 0 {
			err = fmt.Errorf("full until %s", a.Full[0].Free)
		}
		return err
	})
	if took := time.Since(begin); took < time.Second {
		t.Errorf("passed again after %s; want at least a second", took)
	}
}

// A server's clock was set back by a day: what was charged counts, for no longer than
// the window from the next look on.
func TestServersClockSetBack(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url()})
	w := window("minute", "account:a", time.Minute, 5)
	key := limitKey(w.Limit, w.Subject)
	future := time.Now().Add(24 * time.Hour).Unix()
	srv.do(t, "HSET", key, "w", int64(time.Minute), "u", 5, "o", future, "n", future+1, future, 2, future+1, 3)
	// A question alone changes nothing.
	dry, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: []state.Charge{{Window: w, Cost: 1}}, Dry: true})
	if err != nil || len(dry.Full) != 1 {
		t.Fatalf("dry: %+v, %v; want it full", dry, err)
	}
	wants(t, "the newest slot", srv.do(t, "HGET", key, "n"), future+1)
	free := passes(t, s, false, []state.Charge{{Window: w, Cost: 1}}).Full[0].Free
	if left := time.Until(free); left > 61*time.Second {
		t.Errorf("full for %s more; want at most the window and 1/60", left)
	}
	newest, _ := strconv.ParseInt(fmt.Sprint(srv.do(t, "HGET", key, "n")), 10, 64)
	if now := time.Now().Unix(); newest > now || newest < now-10 {
		t.Errorf("newest slot %d; want the one of now, %d", newest, now)
	}
	// Likewise a member.
	set := setKey("recipients", "account:a")
	to := state.Charge{Window: window("new", "account:a", time.Minute, 5), Set: "recipients", Members: []string{"r1"}, Remember: time.Minute}
	passes(t, s, true, []state.Charge{to})
	member := srv.do(t, "ZRANGE", set, 0, -1).([]any)[0]
	srv.do(t, "ZADD", set, future*1_000_000, member)
	other := to
	other.Members = []string{"r2"}
	wants(t, "costs", passes(t, s, true, []state.Charge{other}).Costs, []int64{1})
	score, _ := strconv.ParseFloat(fmt.Sprint(srv.do(t, "ZSCORE", set, member)), 64)
	if left := time.Until(time.UnixMicro(int64(score))); left > time.Second {
		t.Errorf("the member's slot ends in %s; want at most a second", left)
	}
	wants(t, "costs", passes(t, s, true, []state.Charge{to}).Costs, []int64{0})
}

// A clock that stands and a dry call do not disturb the order of charges by the hosts' time.
func TestHostTimeTogether(t *testing.T) {
	s := open(t, Options{URL: common(t).url(), HostTime: true})
	w := window("minute", "account:a", time.Minute, 1<<40)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 20 {
				now := start.Add(time.Duration(n*16+i) * 50 * time.Millisecond)
				if _, err := s.Take(context.Background(), now, state.Ask{Charges: []state.Charge{{Window: w, Cost: 1}}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	u, err := s.Usage(t.Context(), start.Add(16*time.Second), []state.Window{w})
	if err != nil || u[0].Used != 320 {
		t.Errorf("used %v, error %v; want 320", u, err)
	}
}
