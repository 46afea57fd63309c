//go:build chaos

package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
)

// env says with which seed, and in how many of its visits each place panics once:
// "7 page=20 pulse=5". A place that it does not name does not panic.
const env = "O2N_CHAOS"

var (
	mu    sync.Mutex
	by    *rand.Rand
	rates = map[string]int{}
)

func init() {
	words := strings.Fields(os.Getenv(env))
	if len(words) == 0 {
		return
	}
	var seed uint64
	if _, err := fmt.Sscan(words[0], &seed); err != nil {
		panic(fmt.Sprintf("%s: seed %q: %v", env, words[0], err))
	}
	by = rand.New(rand.NewPCG(seed, 0))
	for _, word := range words[1:] {
		name, number, _ := strings.Cut(word, "=")
		rate := 0
		if _, err := fmt.Sscan(number, &rate); err != nil || rate < 1 {
			panic(fmt.Sprintf("%s: %q; want NAME=VISITS", env, word))
		}
		rates[name] = rate
	}
}

// Point is such a place.
func Point(name string) {
	if strikes(name) {
		panic("chaos: " + name)
	}
}

func strikes(name string) bool {
	mu.Lock()
	defer mu.Unlock()
	rate := rates[name]
	return rate > 0 && by.IntN(rate) == 0
}
