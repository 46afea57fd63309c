//go:build mta

package faults

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	program "o2n-milter/tests/daemon"
)

// chaotic is o2n-milter built to panic, beside the one that is shipped.
var chaotic = sync.OnceValues(func() (string, error) {
	file := filepath.Join(filepath.Dir(program.File()), "chaotic")
	out, err := exec.Command("go", "build", "-tags", "chaos", "-o", file, "o2n-milter/cmd/o2n-milter").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return file, nil
})

// panicky are the places, and in how many of its visits each panics once. What happens
// once in a second or less panics often, what each packet brings seldom.
var panicky = map[string]string{
	"mail":  "rules=40 charged=40 record=40 window=40 field=200 packet=500",
	"loops": "store_sync=2 store_sweep=2 store_disk=20 store_decisions=20 held=2 notices=2 events=3 log=50 pulse=2 reload=2",
	"pages": "page=3 command=6",
	"redis": "redis_link=3 redis_notices=2 redis_decisions=10",
	// Its panic is the end of the store, and of the daemon a moment later.
	"writer": "committed=300",
}

var panicked = regexp.MustCompile(`chaos: (\w+)`)

// TestChaos: the daemon panics at places chosen by chance while it is busy. It goes on, or
// ends so that another process can begin; who sends mail hears an answer of ours, or has his
// connection closed, and what he was told is kept: nothing let through is forgotten, nothing
// is counted twice, no block is lost.
func TestChaos(t *testing.T) {
	program.Program(t)
	file, err := chaotic()
	if err != nil {
		t.Fatal(err)
	}
	held := campaign.Counting(t, "faults", "panics at places chosen by chance")
	for _, where := range []string{"mail", "loops", "pages", "writer", "redis"} {
		t.Run(where, func(t *testing.T) {
			rand := campaign.Rand(t)
			backend := badger
			if where == "redis" {
				backend = startRedis(t).state("")
			}
			d := newDaemon(t, backend, "[milter]\nshutdown_timeout = \"1s\"\n"+limitOf("month", 1<<30, "30d"))
			d.Program = file
			// It asks itself how it is each half a second, as under a short watchdog.
			d.Env = []string{fmt.Sprintf("O2N_CHAOS=%d %s", rand.Uint32(), panicky[where]), "WATCHDOG_USEC=1500000"}
			c := &chaos{daemon: d, where: where}
			c.run(t, time.Duration(times(5, 60))*time.Second)
			places := c.check(t)
			for range places {
				held.Held()
			}
			t.Logf("answers %v, %d without, %d restarts, panics %v", c.got.codes, c.got.lost, c.restarts, places)
			summary(t, "%d letters let through, %d deferred, %d connections closed, %d restarts, %d blocks, panics at %d places: all kept, nothing twice",
				c.got.codes[250], c.got.codes[451], c.got.lost, c.restarts, c.blocks, len(places))
		})
	}
}

// chaos is a daemon that panics, and what was sent to it.
type chaos struct {
	*daemon
	where    string
	got      *load
	blocks   int
	restarts int
}

// run sends mail by several sessions at once, blocks, reloads and looks at pages.
func (c *chaos) run(t *testing.T, length time.Duration) {
	c.Start(t)
	c.got = startLoad(c.daemon, 6)
	defer c.got.end()
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !c.Proc.Running() {
			if c.where != "writer" {
				t.Fatalf("the daemon ended: %v", c.Proc.Err())
			}
			c.restarts++
			c.Start(t)
		}
		if !c.block() && c.where != "writer" {
			continue
		}
		c.Get("/admin/")
		c.signal(syscall.SIGHUP)
	}
}

// block makes a block by the command line, which may be told of a panic; what was told to
// stand is counted.
func (c *chaos) block() bool {
	subject := fmt.Sprintf("account:blocked%d@client-a.example", c.blocks)
	cmd := exec.Command(program.File(), "block", "add", subject, "--for", "1h", "--config", filepath.Join(c.Dir, "o2n-milter.toml"))
	if cmd.Run() != nil {
		return false
	}
	c.blocks++
	return true
}

// check compares what the next process, which panics no more, knows with what was told,
// and says at which places there were panics.
func (c *chaos) check(t *testing.T) (places map[string]int) {
	log := c.Log()
	c.Proc.Stop()
	c.Env = nil
	if c.where == "writer" && c.restarts == 0 {
		t.Error("a daemon whose store's writer is dead goes on")
	}
	c.Start(t)
	places = map[string]int{}
	for _, m := range panicked.FindAllStringSubmatch(log, -1) {
		places[m[1]]++
	}
	// What comes once a second may be spared by chance, but not most of it.
	if all := strings.Fields(panicky[c.where]); 2*len(places) < len(all) {
		t.Errorf("panics at %v only, of %v: this shows nothing", places, all)
	}
	passed := c.got.allCounted(t, c.daemon)
	if listed := strings.Count(c.Command(t, "block", "list", "--json"), `"id"`); listed < c.blocks {
		t.Errorf("%d blocks were told, %d are there", c.blocks, listed)
	}
	for code := range c.got.codes {
		if code != 250 && code != 451 {
			t.Errorf("answers %v; want 250 and 451", c.got.codes)
		}
	}
	if passed < 20 {
		t.Errorf("only %d letters were let through: this shows nothing", passed)
	}
	if code := one(t, c.daemon, "blocked0@client-a.example"); c.blocks > 0 && code != 550 {
		t.Errorf("a blocked account's letter: %d; want 550", code)
	}
	return places
}
