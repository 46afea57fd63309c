// Command run runs all campaigns in full, two at a time, and prints what was tried and what
// held: go run ./tests/campaign/run, or "make campaign". It ends with 1 when something
// failed or did not run. The output of each part stays in bin/campaign.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"o2n-milter/tests/marks"
)

// atOnce is how many parts run at a time: a soak mostly waits, a fuzzer never does.
const atOnce = 2

// logs is where the output of the parts goes.
const logs = "bin/campaign"

func main() {
	write := flag.String("write", "", "keep the tables in this document, between its marks")
	only := flag.String("only", "", "only parts whose name this `regexp` finds")
	fuzz := flag.Duration("fuzz", 8*time.Second, "how long each fuzz target runs, its corpus first")
	flag.Parse()
	if err := campaign(*write, *only, *fuzz); err != nil {
		fmt.Fprintln(os.Stderr, "campaign:", err)
		os.Exit(1)
	}
}

func campaign(write, only string, fuzz time.Duration) error {
	which, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	list, err := partsOf(".", fuzz)
	if err != nil {
		return err
	}
	var chosen []part
	for _, p := range list {
		if which.MatchString(p.name) {
			chosen = append(chosen, p)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r, err := runAll(ctx, chosen)
	if err != nil {
		return err
	}
	text, bad := r.tell(time.Since(begun))
	fmt.Println(text)
	if write != "" && ctx.Err() == nil {
		if err := marks.Replace(write, "make campaign writes", text); err != nil {
			return err
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d parts are not as they should be: %s", len(bad), strings.Join(bad, ", "))
	}
	return nil
}

// results are what came of all parts, and what they have counted.
type results struct {
	parts []result
	tally []count
}

// runAll runs the parts in their order, so many at once, and says how it goes on. At the
// end of ctx what is at work is ended, and what comes then does not run.
func runAll(ctx context.Context, list []part) (results, error) {
	dir, err := os.MkdirTemp("", "o2n-campaign-")
	if err != nil {
		return results{}, err
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return results{}, err
	}
	tally := filepath.Join(dir, "tally")
	next := make(chan int)
	r := results{parts: make([]result, len(list))}
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				say("%3d of %d  %s", i+1, len(list), list[i].name)
				r.parts[i] = list[i].run(ctx, tally)
				say("%3d of %d  %s: %s", i+1, len(list), list[i].name, r.parts[i].oneLine())
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	wg.Wait()
	r.tally, err = readTally(tally)
	if errors.Is(err, os.ErrNotExist) { // nothing that counts was chosen
		err = nil
	}
	return r, err
}

var begun = time.Now()

// say prints a line with the minutes since the beginning.
func say(format string, args ...any) {
	past := time.Since(begun)
	fmt.Printf("%02d:%02d  %s\n", int(past.Minutes()), int(past.Seconds())%60, fmt.Sprintf(format, args...))
}
