package simulation

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"o2n-milter/tests/campaign"
)

// episodeLength is how many events an episode has: what happened in one goes through
// all that it may lead to, and one that fails is shortened in a moment.
const episodeLength = 1000

// run plays an episode and says at which event it fails, and why.
func run(s script, folder string) (at int, err error) {
	w, err := newWorld(s.setup, folder)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closing := w.close(); err == nil {
			err = closing
		}
	}()
	for i, e := range s.events {
		if err := w.play(e); err != nil {
			return i, err
		}
	}
	if err := w.compareWindows(); err != nil {
		return len(s.events), fmt.Errorf("at the end: %w", err)
	}
	if err := w.heal(); err != nil {
		return len(s.events), fmt.Errorf("when all is well again: %w", err)
	}
	return 0, nil
}

// shorten drops events for as long as the episode still fails.
func shorten(s script, at int, fails func(script) error) (script, error) {
	why := fails(s)
	if at+1 < len(s.events) {
		s.events = s.events[:at+1]
	}
	for size := len(s.events) / 2; size > 0; size /= 2 {
		for from := 0; from < len(s.events); {
			without := s
			without.events = append(append([]event(nil), s.events[:from]...), s.events[min(from+size, len(s.events)):]...)
			if err := fails(without); err != nil {
				s, why = without, err
			} else {
				from += size
			}
		}
	}
	return s, why
}

// simulate plays episodes, one after the other, each from a seed that r gives.
func simulate(t *testing.T, what string, episodes int, folder func() string) {
	r, count := campaign.Rand(t), campaign.Counting(t, "faults", what)
	for range episodes {
		seed := r.Uint64()
		s := write(rand.New(rand.NewPCG(seed, 1)), episodeLength)
		at, err := run(s, folder())
		if err == nil {
			for range s.events {
				count.Held()
			}
			continue
		}
		count.Failed()
		short, why := shorten(s, at, func(s script) error {
			_, err := run(s, folder())
			return err
		})
		if why == nil { // it fails by chance: ids are
			short, why = s, err
		}
		var lines strings.Builder
		for _, e := range short.events {
			fmt.Fprintf(&lines, "\t%s\n", e)
		}
		t.Fatalf("episode %d: event %d: %v\nshortened to %d events, %+v:\n%sand then: %v", seed, at, err, len(short.events), short.setup, lines.String(), why)
	}
}

// TestInMemory is the simulation over the store in memory: a million events in the
// long form.
func TestInMemory(t *testing.T) {
	simulate(t, "events over the store in memory", campaign.Pick(6, 1000), func() string { return "" })
}

// TestOnBadger is the simulation over the embedded store, which is closed and killed
// and opened again.
func TestOnBadger(t *testing.T) {
	dir, n := shm(t), 0
	simulate(t, "events over Badger, with restarts", campaign.Pick(1, 50), func() string {
		n++
		return filepath.Join(dir, fmt.Sprint(n))
	})
}

// shm is a folder in memory, as far as there is one: nothing here is about disks.
func shm(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "o2n-simulation")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
