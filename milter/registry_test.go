package milter

import (
	"testing"
	"time"
)

// TestSilentWithMessage: of those who are silent for long, one that has a message under way
// gives way last, however silent it is.
func TestSilentWithMessage(t *testing.T) {
	begun := time.Unix(1_800_000_000, 0)
	now := begun.Add(time.Hour)
	silent := func(long time.Duration, busy bool) *conn {
		c := &conn{opened: begun}
		c.heard.Store(int64(time.Hour - long))
		c.busy.Store(busy)
		return c
	}
	var r registry
	r.init(0, 0, func(int) {})
	upload, idle, idler, talking := silent(50*time.Minute, true), silent(mostSilent+1, false), silent(mostSilent+2, false), silent(mostSilent, false)
	for _, c := range []*conn{upload, idle, idler, talking} {
		if _, err := r.add(c, now, func() {}); err != nil {
			t.Fatal(err)
		}
		r.negotiated(c)
	}
	for i, want := range []*conn{idler, idle, upload, nil} {
		if got := r.evict(now, func(*conn) bool { return true }); got != want {
			t.Errorf("the one that gives way as number %d is %p, want %p", i+1, got, want)
		}
	}
}
