package notify

import (
	"slices"
	"sync"
	"testing"
	"time"

	"o2n-milter/state/memory"
)

// TestOurs: Ours knows a mail once, for its recipients, for an hour.
func TestOurs(t *testing.T) {
	now := t0
	h := start(t, memory.New(), "mx1", Settings{})
	h.opts.Now = func() time.Time { return now }
	two := []string{"ops@isp.example", "night@isp.example"}
	for name, tt := range map[string]struct {
		after time.Duration
		rcpts []string
		want  bool
	}{
		"exactly":       {0, two, true},
		"other order":   {0, []string{"night@isp.example", "ops@isp.example"}, true},
		"other case":    {0, []string{"Ops@ISP.example", "night@isp.example"}, true},
		"with brackets": {0, []string{"<ops@isp.example>", "night@isp.example"}, true},
		"one less":      {0, two[:1], false},
		"one more":      {0, append(slices.Clone(two), "x@bank.example"), false},
		"one twice":     {0, []string{"ops@isp.example", "ops@isp.example"}, false},
		"another":       {0, []string{"ops@isp.example", "x@bank.example"}, false},
		"none":          {0, nil, false},
		"late":          {nonceLife - 1, two, true},
		"too late":      {nonceLife, two, false},
	} {
		now = t0
		nonce := h.nonces.make(now, two)
		if len(nonce) < 26 { // base32: five bits each, at least 128 in all
			t.Fatalf("nonce %q", nonce)
		}
		now = t0.Add(tt.after)
		if got := h.Ours(nonce, tt.rcpts); got != tt.want {
			t.Errorf("%s: %v; want %v", name, got, tt.want)
		}
		if h.Ours(nonce, two) {
			t.Errorf("%s: good for a second mail", name)
		}
	}
	if h.Ours("", nil) || h.Ours("AAAAAAAAAAAAAAAAAAAAAAAAAA", two) {
		t.Error("a nonce that was never made is ours")
	}
	now = t0
	h.nonces.make(t0, two)
	h.nonces.make(t0.Add(nonceLife), two)
	if len(h.nonces.known) != 1 {
		t.Errorf("%d nonces are kept; want 1", len(h.nonces.known))
	}
}

func TestOursIsSingleUseAtOnce(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{})
	nonce := h.nonces.make(t0, ops)
	var mu sync.Mutex
	known := 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if h.Ours(nonce, ops) {
				mu.Lock()
				defer mu.Unlock()
				known++
			}
		})
	}
	wg.Wait()
	if known != 1 {
		t.Errorf("known %d times", known)
	}
}
