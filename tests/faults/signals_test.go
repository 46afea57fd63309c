//go:build mta

package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	"o2n-milter/tests/mta"
)

// TestSignals: SIGHUP with files that are whole, half written or wrong, SIGTERM and SIGKILL
// at moments chosen by chance under load. What was told is kept, and the daemon that runs
// goes by the last configuration that was whole.
func TestSignals(t *testing.T) {
	rand := campaign.Rand(t)
	held := campaign.Counting(t, "faults", "signals and broken configurations at chance moments under load")
	d := newDaemon(t, badger, "[milter]\nshutdown_timeout = \"1s\"\n"+limitOf("month", 1<<30, "30d"))
	d.Start(t)
	load := startLoad(d, 6)
	defer load.end()
	blocks := 0
	names := []string{"HUP", "HUP", "HUP", "HUP", "storm", "storm", "block", "block", "TERM", "KILL"}
	for range times(40, 600) {
		switch name := names[rand.IntN(len(names))]; name {
		case "HUP":
			d.signal(syscall.SIGHUP)
		case "storm":
			d.storm(t, rand)
		case "block":
			d.Command(t, "block", "add", fmt.Sprintf("account:blocked%d@client-a.example", blocks), "--for", "1h")
			blocks++
		default:
			d.signal(map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[name])
			mta.Poll(t, "the daemon ends", func() bool { return !d.Proc.Running() })
			d.Start(t)
		}
		held.Held()
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		if !d.Proc.Running() {
			t.Fatalf("the daemon ended by itself: %v", d.Proc.Err())
		}
	}
	load.end()
	d.Proc.Kill()
	d.Start(t)
	passed := load.allCounted(t, d)
	if listed := strings.Count(d.Command(t, "block", "list", "--json"), `"id"`); listed != blocks {
		t.Errorf("%d blocks were told, %d are there", blocks, listed)
	}
	for code := range load.codes {
		if code != 250 {
			t.Errorf("answers %v; want 250 only", load.codes)
		}
	}
	if passed < 100 {
		t.Errorf("only %d letters were let through: this shows nothing", passed)
	}
	summary(t, "%d letters let through, %d blocks: none lost; slowest answer %s", passed, blocks, load.slowest.Round(time.Millisecond))
}

// TestEndAmongReloads: SIGTERM ends the daemon, however many SIGHUP it has got just before.
func TestEndAmongReloads(t *testing.T) {
	d := newDaemon(t, badger, limitOf("month", 1<<30, "30d"))
	for range times(3, 20) {
		d.Start(t)
		for range 200 {
			d.signal(syscall.SIGHUP)
			time.Sleep(100 * time.Microsecond) // else the kernel makes one of them
		}
		d.signal(syscall.SIGTERM)
		mta.Poll(t, "the daemon ends", func() bool { return !d.Proc.Running() })
	}
}

func (d *daemon) signal(sig syscall.Signal) { syscall.Kill(d.Proc.Cmd.Process.Pid, sig) }

// storm reloads again and again while a file is wrong, and then when it is whole again: only
// that one is in force.
func (d *daemon) storm(t *testing.T, rand *rand.Rand) {
	t.Helper()
	path := filepath.Join(d.Dir, "conf.d", "9.toml")
	whole := "[identity]\nheader_from = \"reject\"\n" + strings.Repeat("# filled up\n", 200)
	for range 10 {
		bad := []string{
			whole[:rand.IntN(30)], "junk = [", "[nope]\nx = 1\n", "[limit.month]\nmax = -1\n", "\x00\xff", "[identity]\nheader_from = \"perhaps\"\n",
			"[accounts]\nfile = \"/nowhere/at/all\"\n", "[limit.month]\nmax = 0\nwindow = \"0s\"\n",
		}[rand.IntN(8)]
		write(t, path, bad)
		for range rand.IntN(4) {
			d.signal(syscall.SIGHUP)
		}
	}
	write(t, path, whole)
	d.signal(syscall.SIGHUP)
}

// write overwrites a file in place, so that it is half written for a moment.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load is mail by several sessions at once, until it is ended.
type load struct {
	*tally
	stop atomic.Bool
	wg   sync.WaitGroup
}

// startLoad sends it; a session that is closed begins again.
func startLoad(d *daemon, sessions int) *load {
	l := &load{tally: newTally()}
	var n atomic.Int64
	for i := range sessions {
		l.wg.Go(func() {
			for !l.stop.Load() {
				l.session(d.addr, fmt.Sprintf("user%d@client-a.example", i%3), func() (int, bool) { return int(n.Add(1)), !l.stop.Load() })
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return l
}

func (l *load) end() {
	l.stop.Store(true)
	l.wg.Wait()
}

// allCounted wants every letter that was let through to be counted, and none twice.
func (l *load) allCounted(t testing.TB, d *daemon) (passed int) {
	t.Helper()
	mta.Poll(t, "the daemon is ready", func() bool { return d.Get("/readyz") == http.StatusOK })
	used := int64(0)
	for account, n := range l.passed {
		u := d.used(t, "account:"+account, "month")
		if u < int64(n) {
			t.Errorf("%s: %d let through, %d counted: lost", account, n, u)
		}
		used, passed = used+u, passed+n
	}
	// A charge whose answer was a deferral, or none, may stand; each stands once.
	if most := int64(passed + l.codes[451] + l.lost); used > most {
		t.Errorf("%d counted; want %d at most, of %d let through: some twice", used, most, passed)
	}
	return passed
}
