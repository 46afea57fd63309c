package replay

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestManyMessages replays a mailbox of two thousand accounts' mail, and its decisions
// again, and says how long that takes. O2N_MESSAGES=100000 makes the figures of
// docs/performance.md.
func TestManyMessages(t *testing.T) {
	n := 2000
	if text := os.Getenv("O2N_MESSAGES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	name := writeMany(t, n)
	took := watch(t)
	x := indexOf(t, "", name)
	took("looking for %d messages", n)
	lane := laneOf(t, settings(50))
	run := NewRun(lane, nil)
	if err := run.Mail(t.Context(), x, Envelope{}, ignore); err != nil {
		t.Fatal(err)
	}
	took("judging %d messages", n)
	if res := resultOf(t, run); res.Messages != n || res.Failed+res.Undated > 0 || len(res.Subjects) < min(n, 2000)/2 {
		t.Errorf("%d messages of %d subjects", res.Messages, len(res.Subjects))
	}
	tape, err := Record(t.Context(), lane.store.Decisions, begin.AddDate(-1, 0, 0), now, ignore)
	if err != nil {
		t.Fatal(err)
	}
	defer tape.Close()
	took("getting %d decisions", tape.Len())
	run = NewRun(laneOf(t, settings(50)), nil)
	if err := run.Decisions(t.Context(), tape, ignore); err != nil {
		t.Fatal(err)
	}
	took("judging %d decisions", tape.Len())
	if res := resultOf(t, run); res.Messages != min(n, 10_000) { // what the store of a lane keeps
		t.Errorf("%d decisions", res.Messages)
	}
}

// watch tells how long each step took, of the clock and of the processors, and the most
// memory until then.
func watch(t *testing.T) func(what string, n int) {
	var before syscall.Rusage
	start := time.Now()
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	return func(what string, n int) {
		t.Helper()
		var after syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
			t.Fatal(err)
		}
		cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
		t.Logf(what+": %v, processors %v, %v each, at most %d MB in memory", n, time.Since(start).Round(time.Millisecond),
			cpu.Round(time.Millisecond), (cpu / time.Duration(max(n, 1))).Round(time.Microsecond), after.Maxrss>>10)
		start, before = time.Now(), after
		runtime.GC()
	}
}

// writeMany writes letters of 1.4 kB, in an order that is nearly that of their time.
func writeMany(t *testing.T, n int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "many.mbox")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		user := r.IntN(2000)
		at := begin.Add(time.Duration(6*i+r.IntN(300)) * time.Second)
		fmt.Fprintf(w, "%sReceived: from pc by mx.example; %s\nFrom: User <user%d@client%d.example>\nTo: person%d@remote%d.example\nSubject: Offer %d\n\n",
			sep, at.Format(time.RFC1123Z), user, user%500, r.IntN(50_000), r.IntN(300), i)
		for line := range 20 {
			fmt.Fprintf(w, "Line %d says that number %d is ready for person %d.\n", line, r.IntN(1_000_000), r.IntN(1000))
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return name
}
