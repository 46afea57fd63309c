package peers

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
)

// TestHostilePeers: whatever peers do, and however many they are, an honest MTA is served,
// and nothing of them stays.
func TestHostilePeers(t *testing.T) {
	w := newWorld(t, 0)
	r := campaign.Rand(t)
	for _, a := range []struct {
		name   string
		n      int
		attack func(c net.Conn, r *rand.Rand)
	}{
		{"a byte at a time, at every stage", campaign.Pick(100, 1000), slowly},
		{"half a packet, at every stage", campaign.Pick(200, 2000), halfway},
		{"gone at every stage", campaign.Pick(500, 10_000), gone},
		{"connected and closed", campaign.Pick(1000, 20_000), func(net.Conn, *rand.Rand) {}},
		{"junk", campaign.Pick(200, 5000), junk},
		{"commands in any order", campaign.Pick(200, 5000), disorder},
		{"answers that nobody reads", campaign.Pick(20, 400), deaf},
		{"negotiations without end", campaign.Pick(50, 1000), hog},
	} {
		t.Run(a.name, func(t *testing.T) {
			w.t = t
			count := campaign.Counting(t, "peers", a.name)
			w.meanwhile(a.name, func() {
				var mu sync.Mutex
				each(a.n, func(i int) {
					c, err := w.dial(1<<16 + i)
					if err != nil {
						count.Failed()
						t.Errorf("%s: %v", a.name, err)
						return
					}
					defer c.Close()
					mu.Lock()
					own := rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
					mu.Unlock()
					a.attack(c, own)
					count.Held()
				})
			})
		})
	}
	w.t = t
	w.recovered(600) // what is set aside for mail that is being taken in, and as little as before
	if campaign.Long() {
		w.shrinks(5*time.Minute, 100)
	}
}

// stage is how many packets of a dialog a peer sends before it does what it is here for.
func stage(r *rand.Rand) (before [][]byte, last []byte) {
	all := dialog()
	n := r.IntN(len(all))
	return all[:n], all[n]
}

// say writes without a care for who listens.
func say(c net.Conn, packets ...[]byte) {
	_ = c.SetWriteDeadline(time.Now().Add(liveness))
	_, _ = c.Write(bytes.Join(packets, nil))
}

// slowly sends the rest of a dialog one byte after the other, for a while.
func slowly(c net.Conn, r *rand.Rand) {
	before, last := stage(r)
	say(c, before...)
	pause := campaign.Pick(20*time.Millisecond, time.Second)
	end := time.Now().Add(campaign.Pick(300*time.Millisecond, 15*time.Second))
	for i := 0; time.Now().Before(end); i++ {
		say(c, last[i%len(last):i%len(last)+1])
		time.Sleep(pause)
	}
}

// halfway sends a part of a packet and waits.
func halfway(c net.Conn, r *rand.Rand) {
	before, last := stage(r)
	say(c, append(before, last[:r.IntN(len(last))])...)
	time.Sleep(campaign.Pick(100*time.Millisecond, 2*time.Second))
}

// gone is an MTA that is killed: at any octet, half of the time without a goodbye.
func gone(c net.Conn, r *rand.Rand) {
	before, last := stage(r)
	say(c, append(before, last[:r.IntN(len(last))])...)
	if r.IntN(2) == 0 {
		_ = c.(*net.TCPConn).SetLinger(0) // RST
	}
}

// junk is what is no milter protocol, or looks like it; the peer waits until it is told off.
func junk(c net.Conn, r *rand.Rand) {
	noise := make([]byte, 1+r.IntN(4000))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	list := [][]byte{
		{0, 0, 0, 0}, {255, 255, 255, 255}, {0, 0x10, 0, 1, 'O'}, noise, append(packet('O', "short"), noise...), packet('D', ""), packet('Z', "x"),
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), []byte("EHLO x\r\nMAIL FROM:<a@b>\r\n"),
		append(bytes.Clone(negotiation), 0, 0, 0, 0), append(bytes.Clone(negotiation), 255, 255, 255, 255), append(bytes.Clone(negotiation), noise...),
	}
	say(c, list[r.IntN(len(list))])
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = io.Copy(io.Discard, c)
}

// disorder sends what packets there are in any order, some of them twice or cut short in
// their text.
func disorder(c net.Conn, r *rand.Rand) {
	all := append(dialog(), packet('A', ""), packet('K', ""), packet('U', "NOOP\x00"), packet('D', "R{rcpt_addr}\x00x\x00"), packet('C', "x"), packet('L', "x"), packet('M', ""), packet('R', ""))
	var b []byte
	if r.IntN(4) > 0 {
		b = append(b, negotiation...)
	}
	for range r.IntN(60) {
		p := all[r.IntN(len(all))]
		if r.IntN(4) == 0 && len(p) > 5 {
			p = packet(p[4], string(p[5:5+r.IntN(len(p)-5)]))
		}
		b = append(b, p...)
	}
	say(c, b)
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = io.Copy(io.Discard, c)
}

// deaf asks and asks, and never reads an answer.
func deaf(c net.Conn, r *rand.Rand) {
	all := dialog()
	say(c, all[:6]...)
	many := bytes.Repeat(packet('R', "<"+strings.Repeat("x", 20)+"@remote.example>\x00"), 2000)
	_ = c.SetWriteDeadline(time.Now().Add(campaign.Pick(300*time.Millisecond, 5*time.Second)))
	for {
		if _, err := c.Write(many); err != nil {
			return
		}
		time.Sleep(time.Millisecond) // the honest one is in this process too
	}
}

// hog negotiates again and again.
func hog(c net.Conn, r *rand.Rand) {
	go io.Copy(io.Discard, c)
	end := time.Now().Add(campaign.Pick(200*time.Millisecond, 5*time.Second))
	many := bytes.Repeat(negotiation, 200)
	for time.Now().Before(end) {
		_ = c.SetWriteDeadline(end)
		if _, err := c.Write(many); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestIdlePeers: thousands of connections that stay, from many addresses: before anything
// is said the oldest give way, and those that have said who they are are bounded by
// address, so that the honest one is served.
func TestIdlePeers(t *testing.T) {
	w := newWorld(t, 0)
	count := campaign.Counting(t, "peers", "connections that stay")
	for _, a := range []struct {
		name   string
		n      int
		from   func(i int) int // address
		before [][]byte
	}{
		{"silent, of many addresses", campaign.Pick(1500, 10_000), func(i int) int { return 1<<16 + i%5000 }, nil},
		{"silent, of one address", campaign.Pick(700, 5000), func(int) int { return 1 << 16 }, nil},
		{"negotiated, of one address", campaign.Pick(700, 5000), func(int) int { return 1 << 16 }, dialog()[:1]},
		{"connected, of one address", campaign.Pick(700, 3000), func(int) int { return 1 << 16 }, dialog()[:3]},
		{"in a message, of one address", campaign.Pick(700, 3000), func(int) int { return 1 << 16 }, dialog()[:9]},
	} {
		w.meanwhile(a.name, func() {
			var open []net.Conn
			for i := range a.n {
				c, err := w.dial(a.from(i))
				if err != nil {
					count.Failed()
					t.Errorf("%s, %d: %v", a.name, i, err)
					break
				}
				open = append(open, c)
				say(c, a.before...)
				count.Held()
			}
			for range 3 { // while they are all there
				if err := w.honest(); err != nil {
					t.Errorf("%s, while they stay: %v", a.name, err)
				}
			}
			for _, c := range open {
				c.Close()
			}
		})
	}
	w.recovered(200)
}

// counted is what a limit of an hour has counted, as "usage" shows it.
func counted(usage string) string {
	for line := range strings.Lines(usage) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == "hour" {
			return strings.Join(f[:4], " ")
		}
	}
	return ""
}

// TestNoDescriptors: with more connections than the daemon may have descriptors it goes
// on as well as it can, and when they have gone it is as before, store and log included.
func TestNoDescriptors(t *testing.T) {
	for _, files := range []int{64, 256} {
		t.Run(fmt.Sprint(files), func(t *testing.T) {
			w := newWorld(t, files)
			count := campaign.Counting(t, "peers", fmt.Sprintf("connections to a daemon with %d descriptors", files))
			for round := range campaign.Pick(2, 10) {
				early := w.session(t)
				var open []net.Conn
				for i := range files + 200 {
					if c, err := w.dial(1<<16 + i); err == nil { // the kernel takes them in
						open = append(open, c)
						say(c, dialog()[:i%10]...)
						count.Held()
					}
				}
				// Who is in there already is served, and what he is charged is kept.
				if out, err := early.Deliver(plainLetter()); err != nil || out.Reply.Code != 250 {
					t.Errorf("round %d: a session from before: %v, %v", round, out.Reply, err)
				}
				early.Quit()
				for _, c := range open {
					c.Close()
				}
				begin := time.Now()
				for w.honest() != nil && time.Since(begin) < liveness {
					time.Sleep(50 * time.Millisecond)
				}
				w.t.Logf("round %d: served again after %v", round, time.Since(begin).Round(time.Millisecond))
			}
			w.served("afterwards")
			w.recovered(200)
			block := "account:carol@client-c.example"
			w.Command(t, "block", "add", block, "--for", "1h", "--reason", "test")
			used := w.Command(t, "usage", "account:"+login)
			w.Proc.Kill()
			w.Start(t)
			if got := w.Command(t, "usage", "account:"+login); counted(got) == "" || counted(got) != counted(used) {
				t.Errorf("used before %s, after the daemon was killed %s", used, got)
			}
			if got := w.Command(t, "block", "list"); !strings.Contains(got, block) {
				t.Errorf("the block is not there after the daemon was killed: %s", got)
			}
		})
	}
}
