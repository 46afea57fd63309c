package content

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBreaker(t *testing.T) {
	var b breaker
	for n := 1; n < mostFailed; n++ {
		if b.failed(start) || !b.allow(start) {
			t.Fatalf("it rests after %d", n)
		}
	}
	if b.answered() {
		t.Error("a rest has ended that was none")
	}
	for n := 1; n <= mostFailed; n++ { // the count began anew
		if rests := b.failed(start); rests != (n == mostFailed) {
			t.Errorf("failure %d: rests %v", n, rests)
		}
	}
	if b.failed(start) {
		t.Error("a late failure begins a second rest")
	}
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {restTime - 1, false}, {restTime, true}, {restTime, false}, {2*restTime - 1, false}, {2 * restTime, true}} {
		if got := b.allow(start.Add(tt.after)); got != tt.want {
			t.Errorf("after %v: %v", tt.after, got)
		}
	}
	b.failed(start.Add(2*restTime + time.Second)) // the trial took a second
	if b.allow(start.Add(3*restTime + time.Second - 1)) {
		t.Error("asked before the rest is over")
	}
	if !b.answered() || !b.allow(start) {
		t.Error("a score does not end the rest")
	}
}

// TestEngineAway: an engine that is away is asked five times, then once in ten
// seconds, and again for each message when it is back.
func TestEngineAway(t *testing.T) {
	var asked atomic.Int32
	var back atomic.Bool
	s := engine(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if !back.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		io.WriteString(w, good)
	})
	b := newBench(t, s.URL, nil)
	kinds := func(n int) (got []Kind) {
		for range n {
			got = append(got, b.kind(t))
		}
		return got
	}
	want := func(when string, got []Kind, total int32, want ...Kind) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || asked.Load() != total {
			t.Errorf("%s: asked %d times, want %d; %s", when, asked.Load(), total, diff)
		}
	}
	want("at first", kinds(7), 5, Status, Status, Status, Status, Status, Resting, Resting)
	b.at = start.Add(restTime - 1)
	want("at the end of the rest", kinds(2), 5, Resting, Resting)
	b.at = start.Add(restTime)
	want("after it", kinds(3), 6, Status, Resting, Resting)
	back.Store(true)
	b.at = start.Add(2*restTime - 1)
	want("back, and nobody knows", kinds(1), 6, Resting)
	b.at = start.Add(2 * restTime)
	want("back", kinds(3), 9, "", "", "")
	log := b.log.String()
	if strings.Count(log, "left alone") != 1 || strings.Count(log, "answers again") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// An engine that refuses a question is there.
func TestRefusedIsNotAway(t *testing.T) {
	for code, want := range map[int]Kind{400: Status, 403: Status, 499: Status, 500: Resting, 399: Resting} {
		s := engine(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		b := newBench(t, s.URL, nil)
		for range mostFailed {
			if got := b.kind(t); got != Status {
				t.Errorf("%d: %q", code, got)
			}
		}
		if got := b.kind(t); got != want {
			t.Errorf("%d: then %q; want %q", code, got, want)
		}
	}
}
