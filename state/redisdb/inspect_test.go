package redisdb

import (
	"testing"
	"time"
)

// Inspect sees what is wrong with a server, and leaves nothing on it.
func TestInspect(t *testing.T) {
	good := newServer(t, "--appendonly", "yes")
	// The host's clock is an hour behind.
	behind := func() time.Time { return time.Now().Add(-time.Hour) }
	s, err := Inspect(t.Context(), Options{URL: good.url()}, behind)
	if err != nil || s.Version == "" || s.Evicts != "" || s.Forgets || s.Missing != 0 {
		t.Errorf("a good server: %+v, %v", s, err)
	}
	if s.Ahead < 59*time.Minute || s.Ahead > 61*time.Minute {
		t.Errorf("ahead by %v; want an hour", s.Ahead)
	}
	if n := good.do(t, "DBSIZE"); n != int64(0) {
		t.Errorf("keys: %v", n)
	}
	bad := newServer(t, "--appendonly", "no", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	s, err = Inspect(t.Context(), Options{URL: bad.url()}, time.Now)
	if err != nil || s.Evicts != "allkeys-lru" || !s.Forgets || s.Ahead.Abs() > time.Second {
		t.Errorf("a bad server: %+v, %v", s, err)
	}
	bad.kill()
	if s, err := Inspect(t.Context(), Options{URL: bad.url()}, time.Now); err == nil {
		t.Errorf("no server: %+v", s)
	}
	if s, err := Inspect(t.Context(), Options{URL: "http://x"}, time.Now); err == nil {
		t.Errorf("no address: %+v", s)
	}
}
