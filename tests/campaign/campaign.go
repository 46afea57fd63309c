// Package campaign is what tests that hunt for holes have in common: how much they try,
// from which seed, and the count of it. In short they are part of the ordinary tests;
// "make campaign" runs them in full and prints what was tried, what held and what failed.
package campaign

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Variables of the environment, which "make campaign" sets.
const (
	// EnvLong asks for the campaign in full: O2N_CAMPAIGN=long.
	EnvLong = "O2N_CAMPAIGN"
	// EnvSeed is the seed to go by, to see a failure again.
	EnvSeed = "O2N_CAMPAIGN_SEED"
	// EnvEpisode is the one episode to play, of tests that are made of episodes.
	EnvEpisode = "O2N_CAMPAIGN_EPISODE"
	// EnvTally names the file that counts are added to.
	EnvTally = "O2N_CAMPAIGN_TALLY"
)

// Long says whether the campaign runs in full. Any other word for it would run in short,
// and nobody would know: it ends the test.
func Long() bool {
	told := os.Getenv(EnvLong)
	if told != "" && told != "long" {
		panic(fmt.Sprintf("%s=%s; want long, or nothing for the short form", EnvLong, told))
	}
	return told != ""
}

// Pick is short, or in full long.
func Pick[T any](short, long T) T {
	if Long() {
		return long
	}
	return short
}

// Rand gives the numbers of a run. A test that fails prints the seed; the same test with
// O2N_CAMPAIGN_SEED set to it does the same again.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	seed, told := numberOf(t, EnvSeed)
	if !told {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again: %s=%d go test -run '^%s$'", EnvSeed, seed, t.Name())
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// Episodes are the numbers of so many episodes of a run: each is the seed of its own, and
// a failure prints it. With O2N_CAMPAIGN_EPISODE set to one, that is played alone.
func Episodes(t testing.TB, n int) []uint64 {
	t.Helper()
	if one, told := numberOf(t, EnvEpisode); told {
		return []uint64{one}
	}
	r, list := Rand(t), make([]uint64, n)
	for i := range list {
		list[i] = r.Uint64()
	}
	return list
}

// numberOf is the number that a variable of the environment has, if it is set.
func numberOf(t testing.TB, name string) (n uint64, told bool) {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v; want a whole number", name, err)
	}
	return n, true
}

// Count is how many attacks a test has tried, and of how many the defence failed. Its
// methods may be called from several goroutines.
type Count struct {
	area, what string
	mu         sync.Mutex
	tried      int
	failed     int
}

// Counting begins the count of one kind of attack in an area, both in plain words:
// "identity", "From fields that were changed by chance". It is told when the test ends.
func Counting(t testing.TB, area, what string) *Count {
	t.Helper()
	c := &Count{area: area, what: what}
	t.Cleanup(func() { c.tell(t) })
	return c
}

// Held counts one attack against which the defence held.
func (c *Count) Held() { c.add(0) }

// Failed counts one against which it did not; the test says how.
func (c *Count) Failed() { c.add(1) }

func (c *Count) add(failed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried++
	c.failed += failed
}

// tell adds a line to the tally: area, what, tried and failed between tabs. A test that
// failed without counting it counts as one failure.
func (c *Count) tell(t testing.TB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Failed() {
		c.failed = max(c.failed, 1)
		c.tried = max(c.tried, c.failed)
	}
	path := os.Getenv(EnvTally)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Errorf("tally: %v", err)
		return
	}
	line := strings.Join([]string{c.area, c.what, strconv.Itoa(c.tried), strconv.Itoa(c.failed)}, "\t")
	_, err = fmt.Fprintln(f, line)
	if err := f.Close(); err != nil {
		t.Errorf("tally: %v", err)
	}
	if err != nil {
		t.Errorf("tally: %v", err)
	}
}
