package milter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
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
		if got := r.evict(now, &r.open, netip.Addr{}); got != want {
			t.Errorf("the one that gives way as number %d is %p, want %p", i+1, got, want)
		}
	}
}

// TestEarlyHasTime: who has just come is not cut off for another of his address, though he
// has said nothing yet; for others he is.
func TestEarlyHasTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var r registry
	r.init(1, 0, func(int) {})
	his, others := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	early := &conn{opened: now, client: his}
	if _, err := r.add(early, now, func() {}); err != nil {
		t.Fatal(err)
	}
	if evicted, err := r.add(&conn{client: his}, now.Add(mostEarly-1), func() {}); err != errTooMany {
		t.Errorf("before its time: %p, %v; want %v", evicted, err, errTooMany)
	}
	next := &conn{opened: now.Add(mostEarly), client: his}
	if evicted, err := r.add(next, next.opened, func() {}); err != nil || evicted != early {
		t.Errorf("over its time: %p, %v; want %p", evicted, err, early)
	}
	if evicted, err := r.add(&conn{client: others}, next.opened, func() {}); err != nil || evicted != next {
		t.Errorf("for another address: %p, %v; want %p", evicted, err, next)
	}
}

// plainly is what evict gives, by a look at all of them.
func (r *registry) plainly(now time.Time, client, peer netip.Addr) (gives map[*conn]bool) {
	gives = map[*conn]bool{}
	fits := func(c *conn) bool { return !client.IsValid() || c.client == client }
	for e := r.early.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*conn); fits(c) && (c.client != peer || now.Sub(c.opened) >= mostEarly) {
			return map[*conn]bool{c: true}
		}
	}
	for c := range r.open.all {
		if c.silence(now) > mostSilent && fits(c) {
			gives[c] = true
		}
	}
	for a := range gives {
		for b := range gives {
			if b.givesWayTo(a, now) {
				delete(gives, a)
			}
		}
	}
	return gives
}

// Whoever comes, speaks, goes and asks for a place in whatever order: who gives way is who
// would after a look at all, and the counts are right.
func TestEvictIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	begun := time.Unix(1_800_000_000, 0)
	now := begun
	var r registry
	r.init(0, 0, func(int) {})
	var all []*conn
	evicted, refused := 0, 0
	for range 50_000 {
		now = now.Add(time.Duration(random.Int64N(int64(4 * time.Second))))
		n := random.IntN(len(all) + 1)
		switch what := random.IntN(10); {
		case what < 1 && len(all) < 60:
			c := &conn{opened: now, client: netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(4))})}
			if random.IntN(4) == 0 {
				c.client = netip.Addr{}
			}
			if _, err := r.add(c, now, func() {}); err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
		case n == len(all):
		case what < 6:
			all[n].heard.Store(int64(now.Sub(all[n].opened)))
		case what < 8:
			r.negotiated(all[n])
		case what < 9 && random.IntN(30) == 0:
			r.remove(all[n])
			all = append(all[:n], all[n+1:]...)
		case what < 9:
			all[n].busy.Store(random.IntN(2) == 0)
		case random.IntN(3) == 0:
			client, of := all[n].client, &r.open
			if random.IntN(2) == 0 && client.IsValid() {
				of = r.clients[client]
			} else {
				client = netip.Addr{}
			}
			want := r.plainly(now, client, all[n].client)
			got := r.evict(now, of, all[n].client)
			if got == nil && len(want) > 0 || got != nil && !want[got] {
				t.Fatalf("at %v: %p gives way, want one of %v", now.Sub(begun), got, want)
			}
			if got == nil {
				refused++
			} else {
				evicted++
			}
			for i := range all {
				if all[i] == got {
					all = append(all[:i], all[i+1:]...)
					break
				}
			}
		}
		if len(r.open.all) != len(all) || r.open.early != r.early.Len() {
			t.Fatalf("%d are open, %d of them early; want %d and %d", len(r.open.all), r.open.early, len(all), r.early.Len())
		}
	}
	if evicted < 50 || refused < 50 {
		t.Errorf("%d gave way, %d times nobody did: that tries nothing", evicted, refused)
	}
	for len(all) > 0 {
		r.remove(all[0])
		all = all[1:]
	}
	if len(r.open.all)+len(r.clients)+r.early.Len()+r.open.early != 0 {
		t.Errorf("left: %d sessions, %d clients, %d early", len(r.open.all), len(r.clients), r.early.Len())
	}
}

// BenchmarkEvict is a connection over the cap, where nobody is silent.
func BenchmarkEvict(b *testing.B) {
	for _, open := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			now := time.Now()
			var r registry
			r.init(open, 0, func(int) {})
			for range open {
				c := &conn{opened: now}
				r.add(c, now, func() {})
				r.negotiated(c)
			}
			over := &conn{opened: now}
			for b.Loop() {
				if c, err := r.add(over, now, func() {}); c != nil || err != errTooMany {
					b.Fatal(c, err)
				}
			}
		})
	}
}
