package simulation

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"

	"o2n-milter/rules"
	"o2n-milter/tests/campaign"
)

// episodeLength is how many events an episode has: what happened in one goes through
// all that it may lead to, and one that fails is shortened in a moment.
const episodeLength = 1000

// zeros are what a generator of chance gives that is stuck.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// chance has all ids and secrets from here on come from a seed. Randomness for ids is
// fetched for many at once: what is left of it is used up, twice, so that as much is left
// as the last time.
func chance(t *testing.T, seed uint64) {
	const none = "00000000"
	was := rand.Reader
	rand.Reader = zeros{}
	for rules.NewID() != none {
	}
	rand.Reader = was
	cryptotest.SetGlobalRandom(t, seed)
	for rules.NewID() == none {
	}
}

// run plays an episode and says at which event it fails, and why.
func run(t *testing.T, s script, folder string) (at int, err error) {
	chance(t, s.seed)
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

// simulate plays episodes, one after the other.
func simulate(t *testing.T, what string, episodes int, folder func() string) {
	count := campaign.Counting(t, "faults", what)
	for _, seed := range campaign.Episodes(t, episodes) {
		s := write(seed, episodeLength)
		at, err := run(t, s, folder())
		if err == nil {
			for range s.events {
				count.Held()
			}
			continue
		}
		count.Failed()
		short, why := shorten(s, at, func(s script) error {
			_, err := run(t, s, folder())
			return err
		})
		if why == nil { // it fails by chance: over Badger the real clock has its say
			short, why = s, err
		}
		var lines strings.Builder
		for _, e := range short.events {
			fmt.Fprintf(&lines, "\t%s\n", e)
		}
		t.Fatalf("episode %d: event %d: %v\nshortened to %d events, %+v:\n%sand then: %v\nagain: %s=%d go test -run '^%s$'",
			seed, at, err, len(short.events), short.setup, lines.String(), why, campaign.EnvEpisode, seed, t.Name())
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

// story is what an episode comes to, event by event.
func story(t *testing.T, s script) (lines []string) {
	chance(t, s.seed)
	w, err := newWorld(s.setup, "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	tell := func(what any, err error) {
		lines = append(lines, fmt.Sprintf("%s: %v; calls %d, on hold %d, %s", what, err, w.store.Calls(), len(w.mta.queue), w.summary()))
	}
	for _, e := range s.events {
		tell(e, w.play(e))
	}
	tell("the end", w.heal())
	return lines
}

// TestEpisodesRepeat: an episode is a function of its number; else one that fails could
// not be played again.
func TestEpisodesRepeat(t *testing.T) {
	for _, seed := range campaign.Episodes(t, campaign.Pick(1, 40)) {
		s := write(seed, episodeLength)
		first, again := story(t, s), story(t, s)
		for i := range first {
			if first[i] != again[i] {
				t.Fatalf("episode %d, event %d:\n%s\nand again:\n%s", seed, i, first[i], again[i])
			}
		}
	}
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
