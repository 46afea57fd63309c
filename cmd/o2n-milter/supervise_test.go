package main

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A loop that panics three times runs again, a while later each time; until it has run
// for long it is said to be hurt.
func TestLoopRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLoops(slog.New(slog.NewTextHandler(&log, nil)))
		var runs []time.Duration
		began := time.Now()
		stop := l.start(t.Context(), "held", func(ctx context.Context) {
			if runs = append(runs, time.Since(began)); len(runs) <= 3 {
				panic("a stored record")
			}
			<-ctx.Done()
		})
		trouble := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := l.trouble(); got != want {
				t.Errorf("after %s: %q, want %q", time.Since(began), got, want)
			}
		}
		trouble(0, "loop held is away after 1 panics")
		trouble(time.Second, "loop held is away after 2 panics")
		trouble(6*time.Second-1, "loop held is away after 3 panics")
		trouble(1, "loop held is just back after 3 panics")
		trouble(steady-1, "loop held is just back after 3 panics")
		trouble(1, "")
		stop()
		if want := []time.Duration{0, 1e9, 3e9, 7e9}; !slices.Equal(runs, want) {
			t.Errorf("it ran at %v, want %v", runs, want)
		}
		if got := testutil.ToFloat64(l.panics.WithLabelValues("held")); got != 3 {
			t.Errorf("%v panics are counted, want 3", got)
		}
		text := log.String()
		if n := strings.Count(text, `level=ERROR msg="loop: panic" loop=held panic="a stored record" stack="`); n != 3 || strings.Count(text, "\n") != 3 || !strings.Contains(text, "supervise_test.go") {
			t.Errorf("%d lines of a panic with its stack:\n%s", n, text)
		}
	})
}

// The pause grows to a minute, and is short again after a steady run.
func TestLoopPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoops(quiet())
		var pauses []time.Duration
		ended := time.Now()
		stop := l.start(t.Context(), "x", func(ctx context.Context) {
			pauses = append(pauses, time.Since(ended))
			switch len(pauses) {
			case 9:
				time.Sleep(steady - 1)
			case 10:
				time.Sleep(steady)
			case 12:
				<-ctx.Done()
				return
			}
			ended = time.Now()
			panic("again")
		})
		time.Sleep(time.Hour)
		stop()
		want := []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 2}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
	})
}

// A loop whose context ends in its pause runs once more, to keep what is left, and not
// again, whatever comes of that.
func TestLoopEndsWithItsContext(t *testing.T) {
	for _, last := range []string{"returns", "panics"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLoops(quiet())
			var alive []bool
			stop := l.start(t.Context(), "x", func(ctx context.Context) {
				if alive = append(alive, ctx.Err() == nil); ctx.Err() == nil || last == "panics" {
					panic(last)
				}
			})
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			before := time.Now()
			stop()
			if want := []bool{true, false}; !slices.Equal(alive, want) || time.Since(before) != 0 {
				t.Errorf("%s: it ran with contexts alive %v and ended after %s; want %v, at once", last, alive, time.Since(before), want)
			}
		})
	}
}

// brittle panics at its first write.
type brittle struct {
	bytes.Buffer
	writes int
}

func (b *brittle) Write(p []byte) (int, error) {
	if b.writes++; b.writes == 1 {
		panic("write")
	}
	return b.Buffer.Write(p)
}

// The log's own loop is one of them: the line at hand is lost and counted, later ones come.
func TestLogOutlivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &brittle{}
		told := uint64(0)
		l := newLines(out, func(lost uint64) { told += lost })
		l.start(newLoops(quiet()))
		l.add("", []byte("one\n"))
		synctest.Wait()
		l.add("", []byte("two\n"))
		time.Sleep(firstPause)
		l.close()
		if out.String() != "two\n" || l.lost() != 1 || told != 1 {
			t.Errorf("%q is written, %d lines are lost, %d told; want the second line, 1 and 1", out.String(), l.lost(), told)
		}
	})
}
