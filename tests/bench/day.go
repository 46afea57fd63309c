package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/badgerdb"
	"o2n-milter/tests/bench/load"
	"o2n-milter/tests/mta"
)

// kept is for how long a simulated day keeps decisions and campaigns, where the daemon
// keeps them for 30 days and 24 hours: so that one day shows what comes and what goes.
const kept = 4 * time.Hour

// simulation is an Engine on a durable store, in a time of its own.
type simulation struct {
	store   state.Store
	folder  string
	engine  *rules.Engine
	letters *load.Letters
	begin   time.Time
	passed  atomic.Int64 // simulated nanoseconds since
	refused atomic.Int64
}

// mark is what is there after a while.
type mark struct {
	disk, heap int64 // octets
	windows    int   // in memory
	took       time.Duration
}

// perAccount is how many messages an account sends in a day: so many that the store has
// written its members anew before half of the day is over, and in what campaigns are kept
// for fewer than the 256 that a subject may have.
const perAccount = 1000

// newSimulation is one of a day with so many messages.
func newSimulation(t testing.TB, folder string, messages int) *simulation {
	t.Helper()
	file := filepath.Join(folder, "o2n-milter.toml")
	if err := os.WriteFile(file, []byte(limits+fmt.Sprintf("[bulk]\nwindow = %q\n", kept)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Load(file, true)
	if len(faults) > 0 {
		t.Fatalf("configuration: %v", faults[0])
	}
	nobody, _ := accounts.NewTable(nil) // nobody clashes with nobody
	s := &simulation{folder: filepath.Join(folder, "state"), letters: load.NewLetters(messages/perAccount, 4<<10), begin: time.Now().Round(0)}
	var err error
	s.store, err = badgerdb.Open(badgerdb.Options{Path: s.folder, Retention: kept, Cache: 64 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.store.Close() })
	s.engine = rules.New(cfg.Rules, nobody, s.store, s.now)
	return s
}

// patience is what the store gets to sweep what an hour has left.
const patience = 5 * time.Minute

func (s *simulation) now() time.Time { return s.begin.Add(time.Duration(s.passed.Load())) }

// after judges so many messages within the next while, then lets the store come to rest.
func (s *simulation) after(t testing.TB, while time.Duration, messages int) mark {
	t.Helper()
	begin, steps := time.Now(), int(while/step)
	for n := range steps {
		s.passed.Add(int64(step))
		s.judgeAll((n+1)*messages/steps - n*messages/steps)
	}
	s.rest(t)
	st, err := s.store.Status(t.Context(), s.now())
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return mark{disk: diskOf(t, s.folder), heap: int64(m.HeapAlloc), windows: st.Windows, took: time.Since(begin)}
}

// step is how far the clock goes at once. A call that came a minute late would be one
// of a clock that was set back (state.Clock), so none is left behind when it goes on.
const step = 30 * time.Second

// judgeAll judges so many messages of one moment, by some sessions at a time.
func (s *simulation) judgeAll(messages int) {
	var wg sync.WaitGroup
	for i := range crowdOf {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(s.passed.Load()), uint64(i)))
			for n := i; n < messages; n += crowdOf {
				s.judge(r)
			}
		})
	}
	wg.Wait()
}

func (s *simulation) judge(r *rand.Rand) {
	l := s.letters.Draw(r)
	raw, err := message.Split(strings.NewReader(strings.Join(l.Header, "\r\n")+"\r\n\r\n"+l.Body), 1<<20)
	if err == nil {
		v := s.engine.Decide(context.Background(), &rules.Mail{
			Client: netip.AddrFrom4([4]byte{10, 1, byte(r.IntN(4)), byte(r.IntN(250))}), Host: mta.Host, Login: l.Login, Sender: l.Sender, QueueID: l.QueueID,
			Recipients: []rules.Recipient{{Address: l.Recipients[0]}}, Header: raw.Fields, Body: raw.Body, Size: raw.Size,
		})
		err = v.Err
		if v.Action > rules.Tag {
			err = errors.New(v.Rule)
		}
	}
	if err != nil {
		s.refused.Add(1)
	}
}

// rest waits until decisions that are too old have been swept: that goes by seconds of
// the clock on the wall, of which an hour has more than these few.
func (s *simulation) rest(t testing.TB) {
	t.Helper()
	old := s.now().Add(-kept - time.Minute)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		found, err := s.store.Decisions(t.Context(), state.Query{Before: old, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("decisions of %s are still there at %s", found[0].At, s.now())
		}
	}
}

// diskOf is what the files of a folder take on the disk: Badger's are longer than what
// is in them.
func diskOf(t testing.TB, folder string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512 // stat(2)
		}
		if errors.Is(err, fs.ErrNotExist) { // a table that was merged away meanwhile
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatalf("disk: %v", err)
	}
	return sum
}

// day24 is a day's mail in simulated time.
func (p *part) day24() {
	s := newSimulation(p, os.Getenv("TMPDIR"), p.day)
	t := newTable("hour", "disk", "heap", "windows in memory", "it took, s")
	var disk []int64
	for n := range 24 {
		h := s.after(p, time.Hour, p.day/24)
		p.say("hour %d: disk %s, heap %s, %s", n+1, octets(h.disk), octets(h.heap), h.took.Round(time.Second))
		disk = append(disk, h.disk)
		t.row(fmt.Sprint(n+1), octets(h.disk), octets(h.heap), thousands(int64(h.windows)), number(h.took.Seconds()))
	}
	if n := s.refused.Load(); n > 0 {
		p.Fatalf("%d messages did not pass", n)
	}
	fmt.Fprintf(&p.out, "%s messages of 4 KB, %s accounts, %d limits, Engine and Badger in one process; decisions and campaigns are kept for %s.\n\n%s",
		thousands(int64(p.day)), thousands(int64(p.day/perAccount)), fiveLimits, kept, t)
	// Badger merges tables now and then: the highest of some hours counts.
	if early, late := slices.Max(disk[5:12]), slices.Max(disk[18:]); late > early*13/10 {
		p.Fatalf("the disk grows: %s from hour 6 on, %s from hour 19 on", octets(early), octets(late))
	}
}
