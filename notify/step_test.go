package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state/memory"
)

var (
	ops  = []string{"ops@isp.example"}
	hook = Settings{Webhook: "https://hook.example/", WebhookKey: []byte("0123456789abcdef")}
)

func sentTexts(sent []job) []string {
	var list []string
	for _, j := range sent {
		for _, v := range append([]notice{j.notice}, j.rest...) {
			list = append(list, v.Channel+" "+v.Event.Text)
		}
	}
	return list
}

func texted(subject, text string) Event {
	e := blockOf(subject)
	e.Text = text
	return e
}

// TestPauses: each try waits as long as the ones before, up to six hours; after three
// days it is given up.
func TestPauses(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	tries := 0
	h.record(func(job) error { tries++; return errors.New("no") })
	h.Notify(t.Context(), t0, blockOf(alice))
	now := t0
	var pauses []time.Duration
	for len(h.left(t)) > 0 {
		before := tries
		h.settleAt(t, now)
		if tries != before+1 {
			t.Fatalf("%d tries at %s", tries-before, now)
		}
		left := h.left(t)
		if len(left) == 0 {
			break
		}
		pauses = append(pauses, left[0].Due.Sub(now))
		now = left[0].Due
		h.settleAt(t, now.Add(-time.Nanosecond))
		if tries != before+1 {
			t.Fatalf("a try too early, before %s", now)
		}
	}
	want := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, 64 * time.Minute,
		128 * time.Minute, 256 * time.Minute, 6 * time.Hour, 6 * time.Hour}
	if diff := cmp.Diff(want, pauses[:len(want)]); diff != "" {
		t.Error(diff)
	}
	if total := now.Sub(t0); total > giveUp || total < giveUp-mostPause {
		t.Errorf("given up after %s", total)
	}
	if got := h.Stats().Channels[toWebhook]; got.Failed != 1 || got.Retried != int64(len(pauses)) {
		t.Errorf("counted %+v", got)
	}
	wantParts(t, h.log.String(), "notice given up")
}

func TestPauseOf(t *testing.T) {
	for tries, want := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 9: 256 * time.Minute, 10: mostPause, 11: mostPause, 1 << 30: mostPause} {
		if got := pause(tries); got != want {
			t.Errorf("after %d: %s; want %s", tries, got, want)
		}
	}
}

func TestGiveUpAtItsBoundary(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	h.record(func(job) error { return errors.New("no") })
	for d, again := range map[time.Duration]bool{-1: true, 0: true, 1: false} {
		v := newNotice(t0, toWebhook, "mx1", t0, blockOf(alice))
		v.First = t0.Add(firstPause).Add(-giveUp).Add(-d)
		h.box.add(t.Context(), v)
		h.settleAt(t, t0)
		left := h.left(t)
		if (len(left) == 1) != again {
			t.Errorf("next try %s over three days: left %d", d, len(left))
		}
		for _, v := range left {
			h.box.remove(t.Context(), v)
		}
		clear(h.rest)
	}
}

// TestAChannelRests: where one try did not succeed, the others wait a minute, and
// other channels do not.
func TestAChannelRests(t *testing.T) {
	set := hook
	set.Operator = ops
	h := start(t, memory.New(), "mx1", set)
	tries := map[string]int{}
	h.record(func(j job) error {
		tries[j.Channel]++
		if j.Channel == toWebhook {
			return errors.New("dead")
		}
		return nil
	})
	for i := range 5 {
		h.Notify(t.Context(), t0, blockOf(fmt.Sprintf("account:u%d@client-a.example", i)))
	}
	for i, now := range []time.Time{t0, t0.Add(restAfter - 1), t0.Add(restAfter), t0.Add(2*restAfter - 1), t0.Add(2 * restAfter)} {
		next := h.settleAt(t, now)
		want := map[string]int{toOperator: 5, toWebhook: 1 + i/2}
		if diff := cmp.Diff(want, tries); diff != "" {
			t.Errorf("at %s: %s", now.Sub(t0), diff)
		}
		if next.After(now.Add(restAfter)) {
			t.Errorf("at %s: next %s", now.Sub(t0), next.Sub(t0))
		}
	}
}

func TestProgramsAreTriedAFewTimes(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Exec: map[string][]string{Block: {"/bin/true"}}})
	tries := 0
	h.record(func(job) error { tries++; return errors.New("no") })
	h.Notify(t.Context(), t0, blockOf(alice))
	for now := t0; now.Before(t0.Add(24 * time.Hour)); now = now.Add(time.Minute) {
		h.settleAt(t, now)
	}
	if tries != mostHooks || h.Stats().Channels[toExec].Failed != 1 {
		t.Errorf("%d tries; want %d", tries, mostHooks)
	}
}

// TestRestart: what waits is sent by the process that comes after, once, and it
// knows what people were told.
func TestRestart(t *testing.T) {
	store := memory.New()
	set := hook
	set.Operator, set.Customer = ops, true
	first := start(t, store, "mx1", set)
	first.record(func(job) error { return errors.New("no") })
	first.Notify(t.Context(), t0, texted(alice, "1"))
	first.settleAt(t, t0)

	second := start(t, store, "mx1", set)
	sent := second.record(nil)
	second.Notify(t.Context(), t0.Add(time.Second), texted(alice, "2"))
	second.settleAt(t, t0.Add(time.Minute))
	got := sentTexts(*sent)
	slices.Sort(got)
	want := []string{"customer 1", "customer 2", "operator 1", "webhook 1", "webhook 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if left := second.left(t); len(left) != 1 || left[0].Channel != toDigest {
		t.Errorf("left %+v", left)
	}
	for _, j := range *sent {
		if j.Event.Text == "1" && j.Tries != 2 {
			t.Errorf("%s: try %d; want 2", j.Channel, j.Tries)
		}
	}
}

// TestStopping: what is on its way when we stop is tried again, without a fault.
func TestStopping(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	ctx, stop := context.WithCancel(t.Context())
	h.record(func(job) error { stop(); return context.Canceled })
	h.Notify(ctx, t0, blockOf(alice))
	h.Step(ctx, t0)
	if left := h.left(t); len(left) != 1 || h.Stats().Channels[toWebhook] != (Count{}) {
		t.Errorf("left %d, counted %+v", len(left), h.Stats())
	}
	h.Notify(ctx, t0, blockOf(alice)) // also then
	if left := h.left(t); len(left) != 2 || left[1].rev == 0 {
		t.Errorf("an event while we stop is lost: %+v", left)
	}
}

// TestDoneWhileStopping: what was sent does not come twice.
func TestDoneWhileStopping(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	ctx, stop := context.WithCancel(t.Context())
	h.record(func(job) error { stop(); return nil })
	h.Notify(ctx, t0, blockOf(alice))
	h.Step(ctx, t0)
	if left := h.left(t); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}

// TestEveryEventIsTold: over random traffic, faults, restarts and hosts, each event
// comes out of each channel once: of the operator's two, out of one.
func TestEveryEventIsTold(t *testing.T) {
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 1))
		store := memory.New()
		set := hook
		set.Operator, set.Customer, set.Digest = ops, true, time.Hour
		set.Exec = map[string][]string{Block: {"/bin/true"}, Lift: {"/bin/true"}}
		told := map[string]int{}
		var hosts [2]*house
		restart := func(i int) {
			hosts[i] = start(t, store, fmt.Sprintf("mx%d", i), set)
			hosts[i].record(func(j job) error {
				if random.IntN(4) == 0 && j.Tries < mostHooks {
					return errors.New("no")
				}
				for _, v := range append([]notice{j.notice}, j.rest...) {
					told[strings.NewReplacer(toOperator, "people", toDigest, "people").Replace(v.Channel)+" "+v.Event.Text]++
				}
				return nil
			})
		}
		restart(0)
		restart(1)
		want := map[string]int{}
		now := t0
		for i := range 200 {
			now = now.Add(time.Duration(random.IntN(600)) * time.Second)
			h := hosts[random.IntN(2)]
			e := texted(fmt.Sprintf("account:u%d@client-a.example", random.IntN(30)), fmt.Sprint(i))
			e.What = All()[random.IntN(5)] // those about a subject
			h.Notify(t.Context(), now, e)
			want[fmt.Sprint("people ", i)], want[fmt.Sprint("webhook ", i)] = 1, 1
			if e.forCustomer() {
				want[fmt.Sprint("customer ", i)] = 1
			}
			if len(set.Exec[e.What]) > 0 {
				want[fmt.Sprint("exec ", i)] = 1
			}
			for k, h := range hosts {
				if random.IntN(3) > 0 {
					h.Step(t.Context(), now)
				}
				if random.IntN(20) == 0 {
					restart(k)
				}
			}
		}
		for end := now.Add(4 * 24 * time.Hour); now.Before(end); {
			now = earlier(hosts[0].settleAt(t, now), hosts[1].settleAt(t, now))
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("seed %d: %s", seed, diff)
		}
		if left := hosts[0].left(t); len(left) != 0 {
			t.Errorf("seed %d: left %d", seed, len(left))
		}
	}
}

// TestRun: the loop sends at once, wakes for the digest by itself, and ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, memory.New(), "mx1", Settings{Operator: ops})
		h.opts.Now = time.Now
		began := time.Now()
		type at struct {
			text  string
			after time.Duration
		}
		var got []at
		h.record(func(j job) error {
			got = append(got, at{j.Event.Text, time.Since(began)})
			if len(got) == 1 {
				return errors.New("not yet")
			}
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Run(ctx)
		}()
		time.Sleep(time.Hour)
		h.Notify(ctx, time.Now(), texted(alice, "first"))
		time.Sleep(time.Hour)
		h.Notify(ctx, time.Now(), texted(alice, "second"))
		time.Sleep(48 * time.Hour)
		stop()
		<-done
		want := []at{{"first", time.Hour}, {"first", time.Hour + time.Minute}, {"second", 26 * time.Hour}}
		if !slices.Equal(got, want) {
			t.Errorf("got %v; want %v", got, want)
		}
	})
}

// TestStepIsShort: a Step makes a bounded number of tries and asks for the next at once.
func TestStepIsShort(t *testing.T) {
	for _, waiting := range []int{batch - 1, batch, batch + 1} {
		h := start(t, memory.New(), "mx1", hook)
		sent := h.record(nil)
		for range waiting {
			h.Notify(t.Context(), t0, blockOf(alice))
		}
		next := h.Step(t.Context(), t0)
		if len(*sent) != min(waiting, batch) || next.After(t0) != (waiting <= batch) {
			t.Errorf("%d waiting: %d tries, next in %s", waiting, len(*sent), next.Sub(t0))
		}
	}
}
