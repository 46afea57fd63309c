package badgerdb

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/tests/campaign"
)

// The test binary runs itself to fill a store and be killed, and to open a damaged
// one: Badger may take the process with it.
const (
	childFill = "O2N_TEST_FILL"
	childLook = "O2N_TEST_LOOK"
)

// So much that there are tables at two levels, and a log that is not in any.
const (
	fillWindows   = 10_000
	fillDecisions = 5_000
	fillDocs      = 50
	fillCall      = 100 // windows charged in one call
)

// fill writes known content, waits until it is on the disk, and for its end.
func fill(path string) error {
	s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i := range fillDocs {
		if err := s.AddBlock(ctx, state.Block{ID: fmt.Sprint("B", i), Subject: fmt.Sprint("account:", i), Since: start}); err != nil {
			return err
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	pad := func() string { // that nothing makes shorter
		b := make([]byte, 2000)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return hex.EncodeToString(b)
	}
	for call := range fillWindows / fillCall {
		var c []state.Charge
		for n := range fillCall {
			c = append(c, charges(1<<40, fmt.Sprint("account:", call*fillCall+n))...)
		}
		l := letter(fmt.Sprint("account:", call%10), fmt.Sprint("r", call))
		l.Sketch[1] = uint64(call)
		if _, err := s.Take(ctx, start, state.Ask{Charges: c, Letters: []state.Letter{l}}); err != nil {
			return err
		}
		for n := range fillDecisions / (fillWindows / fillCall) {
			d := state.Decision{ID: fmt.Sprintf("D%d-%d", call, n), At: start.Add(time.Duration(call) * time.Second), Subjects: []string{"account:x"}, From: pad()}
			if err := s.Record(ctx, d); err != nil {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond) // so that there are several seconds, and marks
	}
	s.history.flush()
	for s.history.busy() || s.writer.unsigned() || s.writer.durable() != s.writer.standing() || s.progress.known().Commit < s.writer.standing().Commit || queued(s) > 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("filled")
	select {}
}

// looked is what a store that was opened holds.
type looked struct {
	Err                      string // of Open
	Fault                    string // of a call, or of Close
	Degraded, Log            string
	Windows, Decisions, Docs int
}

func lookAt(path string) (l looked) {
	var log bytes.Buffer
	s, err := Open(Options{Path: path, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return looked{Err: err.Error(), Log: log.String()}
	}
	if err := errors.Join(l.count(s), s.Close()); err != nil {
		l.Fault = err.Error()
	}
	l.Log = log.String()
	return l
}

// count counts keys, which is quick, and looks at a few of what they stand for.
func (l *looked) count(s *Store) error {
	ctx := context.Background()
	err := s.base.use(func(db *badger.DB) error {
		return scan(db, "", false, func(item *badger.Item) error {
			if hasPrefix(item.Key(), subjectPrefix) {
				l.Windows++
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for i := range 50 {
		if _, err := s.Usage(ctx, start, []state.Window{charges(1, fmt.Sprint("account:", i*fillWindows/50))[0].Window}); err != nil {
			return err
		}
	}
	for i := range 10 {
		ask := state.Ask{Letters: []state.Letter{letter(fmt.Sprint("account:", i), "r1")}, Dry: true}
		if _, err := s.Take(ctx, start, ask); err != nil {
			return err
		}
	}
	list, err := s.Decisions(ctx, state.Query{Subject: "account:x", Limit: 2 * fillDecisions})
	if err != nil {
		return err
	}
	l.Decisions = len(list)
	blocks, err := s.Blocks(ctx)
	if err != nil {
		return err
	}
	st, err := s.Status(ctx, start)
	l.Docs, l.Degraded = len(blocks), st.Degraded
	return err
}

// damageChild is what the test binary does instead of tests.
func damageChild() (ran bool) {
	if path := os.Getenv(childFill); path != "" {
		if err := fill(path); err != nil {
			fmt.Println("child:", err)
		}
		return true
	}
	if path := os.Getenv(childLook); path != "" {
		if err := json.NewEncoder(os.Stdout).Encode(lookAt(path)); err != nil {
			panic(err)
		}
		return true
	}
	return false
}

func self(t *testing.T, env string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), env)
	return cmd
}

// filled makes a store in a child and kills that.
func filled(t *testing.T, path string) {
	t.Helper()
	cmd := self(t, childFill+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer guard.Stop()
	said := make([]byte, 200)
	n, err := out.Read(said)
	if string(said[:n]) != "filled\n" {
		t.Fatalf("child said %q, %v", said[:n], err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("child ended by itself")
	}
}

// opens opens the store in a child, until it does not die of it.
func opens(t *testing.T, path string) (l looked, deaths int) {
	t.Helper()
	for ; deaths < 4; deaths++ {
		cmd := self(t, childLook+"="+path)
		guard := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		out, err := cmd.Output()
		guard.Stop()
		if err == nil && json.Unmarshal(out, &l) == nil {
			return l, deaths
		}
		t.Logf("start died: %v", err)
	}
	t.Fatalf("crash loop: %d starts died", deaths)
	return l, deaths
}

// daily are tried each time, one of each kind. In full all are, with 50 kills and the suite
// with fsync:
//
//	O2N_CAMPAIGN=long go test ./state/badgerdb -timeout 30m
var daily = []string{
	".mem flipped at 0.5", ".mem head flipped", ".sst flipped at 0.5", "MANIFEST 1 byte short", "MANIFEST gone", "junk tables",
	"database's folder empty", "two starts died", "journal flipped",
}

// Whatever happens to the files: the store opens, all docs are there, and what is lost
// is told. The next start finds nothing wrong any more.
func TestDamage(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	filled(t, base)
	var mu sync.Mutex
	var matrix []string
	slots := make(chan struct{}, 2) // children at one time
	t.Run("each", func(t *testing.T) {
		for _, d := range damages() {
			if !campaign.Long() && !slices.Contains(daily, d.name) {
				continue
			}
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				line := d.check(t, base)
				mu.Lock()
				defer mu.Unlock()
				matrix = append(matrix, line)
			})
		}
	})
	slices.Sort(matrix)
	t.Logf("what becomes of a store with %d windows, %d decisions, %d docs:\n%s", fillWindows, fillDecisions, fillDocs, strings.Join(matrix, "\n"))
}

func (d damage) check(t *testing.T, base string) string {
	dir := filepath.Join(t.TempDir(), "store")
	if out, err := exec.Command("cp", "-a", "--sparse=always", base, dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v, %s", err, out)
	}
	d.do(t, dir)
	l, deaths := opens(t, dir)
	d.judge(t, dir, l)
	again, more := opens(t, dir)
	if again.Err != "" || again.Fault != "" || again.Degraded != "" || more > 0 || strings.Contains(again.Log, "level=ERROR") {
		t.Errorf("the next start: %+v; want it calm", again)
	}
	if again.Windows != l.Windows || again.Decisions != l.Decisions || again.Docs != l.Docs {
		t.Errorf("the next start finds %d, %d, %d; want the same as the one before, %d, %d, %d",
			again.Windows, again.Decisions, again.Docs, l.Windows, l.Decisions, l.Docs)
	}
	return fmt.Sprintf("%-32s lost: %5d windows %5d decisions %2d docs; deaths %d; %.160s", d.name,
		fillWindows-l.Windows, fillDecisions-l.Decisions, fillDocs-l.Docs, deaths, l.Degraded)
}

func (d damage) judge(t *testing.T, dir string, l looked) {
	t.Helper()
	if l.Err != "" || l.Fault != "" || l.Docs != fillDocs {
		t.Errorf("opened with error %q, fault %q, %d docs; want all %d docs", l.Err, l.Fault, l.Docs, fillDocs)
	}
	whole := l.Windows == fillWindows && l.Decisions == fillDecisions
	_, err := os.Stat(filepath.Join(dir, "DAMAGE.txt"))
	says := strings.Contains(l.Degraded, "damage: ") && strings.Contains(l.Log, "level=ERROR") && err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	switch {
	case !whole && !says:
		t.Errorf("lost %d windows and %d decisions without a word: degraded %q, DAMAGE.txt %v, log %s",
			fillWindows-l.Windows, fillDecisions-l.Decisions, l.Degraded, err, l.Log)
	case !whole && d.want <= mended:
		t.Errorf("lost %d windows and %d decisions; want none: %s", fillWindows-l.Windows, fillDecisions-l.Decisions, l.Log)
	case says && d.want == all:
		t.Errorf("%q is said of what lost nothing", l.Degraded)
	case !says && d.want > kept:
		t.Errorf("not a word is said: degraded %q, DAMAGE.txt %v, log %s", l.Degraded, err, l.Log)
	case d.want == none && l.Windows+l.Decisions > 0:
		t.Errorf("%d windows and %d decisions are there; want a new database", l.Windows, l.Decisions)
	case d.want == told && l.Windows == 0:
		t.Error("all is lost; want what is whole to be kept")
	}
}
