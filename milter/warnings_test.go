package milter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// comesToNothing connects and is hung up on for what it says.
func (f *fixture) comesToNothing(client string) {
	f.t.Helper()
	m := f.dial(client)
	m.write("GET / HTTP/1.1\r\n")
	if got := m.reply(); got != hungUp {
		f.t.Fatalf("got %q", got)
	}
	synctest.Wait()
}

// warned gives the log's lines about connections since it was asked last: how many there
// are of each peer, and what is said of those left out.
func (f *fixture) warned() (lines map[string]int, left []string) {
	lines = map[string]int{}
	for line := range strings.Lines(f.logs.String()) {
		_, rest, _ := strings.Cut(line, "peer=")
		peer, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if strings.Contains(line, "more such warnings") {
			left = append(left, peer+" "+rest)
		} else {
			lines[strings.TrimSuffix(peer, ":4000")]++
		}
	}
	f.logs.mu.Lock()
	f.logs.b.Reset()
	f.logs.mu.Unlock()
	return lines, left
}

// One peer's connections leave so many lines a minute, and those of another their own.
func TestWarningsOfAPeer(t *testing.T) {
	for n, left := range map[int][]string{maxWarnings - 1: nil, maxWarnings: nil, maxWarnings + 1: {"192.0.2.1 count=1"}, 50 * maxWarnings: {"192.0.2.1 count=490"}} {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, always(pass))
			for minute := range 2 {
				f.comesToNothing("192.0.2.1")
				time.Sleep(warnedFor - time.Nanosecond)
				for range n - 1 {
					f.comesToNothing("192.0.2.1")
				}
				f.comesToNothing("192.0.2.2")
				want := map[string]int{"192.0.2.1": min(n, maxWarnings), "192.0.2.2": 1}
				if lines, early := f.warned(); !cmp.Equal(lines, want) || early != nil {
					t.Errorf("%d connections, minute %d: lines %v, too early %q", n, minute, lines, early)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if lines, got := f.warned(); len(lines) > 0 || !slices.Equal(got, left) {
					t.Errorf("%d connections, minute %d: lines %v, %q, want %q", n, minute, lines, got, left)
				}
			}
			f.stop()
		})
	}
}

// Peers that change their address share the lines that are left.
func TestWarningsOfManyPeers(t *testing.T) {
	for _, more := range []int{-1, 0, 1, 3 * maxWarnings} {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, always(pass))
			for i := range maxWarned + more {
				f.comesToNothing(fmt.Sprintf("10.0.%d.%d", i/250, i%250))
			}
			f.comesToNothing("10.0.0.0") // one that has lines of its own
			want := maxWarned + 1 + min(more, maxWarnings)
			if got := strings.Count(f.logs.String(), "\n"); got != want {
				t.Errorf("%d peers: %d lines, want %d", maxWarned+more, got, want)
			}
			f.warned()
			f.stop() // does not wait for the minute's end
			var wantLeft []string
			if more > maxWarnings {
				wantLeft = []string{fmt.Sprintf("others count=%d", more-maxWarnings)}
			}
			if _, left := f.warned(); !slices.Equal(left, wantLeft) {
				t.Errorf("%d peers: %q, want %q", maxWarned+more, left, wantLeft)
			}
		})
	}
}

// Every way in which a connection comes to nothing is bounded, on unix sockets too.
func TestWarningsOfEachKind(t *testing.T) {
	one := func(s *Server) { s.MaxSessions = 1 }
	connected := func(f *fixture) {
		f.session().run(helloA)
		synctest.Wait()
	}
	silent := func(f *fixture) {
		f.dial("")
		time.Sleep(mostEarly)
		synctest.Wait()
	}
	for _, tt := range []struct {
		name   string
		set    func(*Server)
		before func(f *fixture)
		again  func(f *fixture)
		line   string
	}{
		{"no milter", func(*Server) {}, func(*fixture) {}, func(f *fixture) { f.comesToNothing("") }, "connection closed"},
		{"gone in mid-message", func(*Server) {}, func(*fixture) {}, func(f *fixture) {
			m := f.session()
			m.run(helloA, mailA)
			m.nc.Close()
			synctest.Wait()
		}, "in_message=true"},
		{"put out for a newer one", one, silent, silent, "had not negotiated"},
		{"no milter, over the cap", one, connected, func(f *fixture) { f.comesToNothing("") }, "connection closed"},
		{"over twice the cap", one, func(f *fixture) { connected(f); silent(f) }, silent, "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(pass), tt.set)
				tt.before(f)
				for range maxWarnings + 3 {
					tt.again(f)
				}
				if got := strings.Count(f.logs.String(), tt.line); got != maxWarnings || got != strings.Count(f.logs.String(), "\n") {
					t.Errorf("logged %s", f.logs.String())
				}
				f.warned()
				for _, c := range f.sessions.all() {
					c.cut()
				}
				f.stop()
				if _, left := f.warned(); !slices.Equal(left, []string{"pipe count=3"}) {
					t.Errorf("left out: %q", left)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // as many silent ones as come in a minute
		f := serve(t, always(pass))
		for range maxWarnings + 3 {
			f.dial("192.0.2.1")
		}
		time.Sleep(firstPacketTime + warnedFor + time.Second)
		if lines, left := f.warned(); lines["192.0.2.1"] != maxWarnings || !slices.Equal(left, []string{"192.0.2.1 count=3"}) {
			t.Errorf("lines %v, left out %q", lines, left)
		}
		f.stop()
	})
}
