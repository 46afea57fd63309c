package badgerdb

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

func TestResume(t *testing.T) {
	wall := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	line := wall.Add(5 * time.Second).UnixNano() // the line need not be the clock
	then := progress{Line: line, Wall: wall, Boot: "b1", Up: time.Hour}
	tests := []struct {
		name    string
		boot    string
		clock   time.Duration // what the host's clock has gone on by
		up      time.Duration
		passed  time.Duration // on the line
		doubted string
	}{
		{"restarted at once", "b1", 0, time.Hour, 0, ""},
		{"a minute later", "b1", time.Minute, time.Hour + time.Minute, time.Minute, ""},
		{"suspended for 8 hours", "b1", 8 * time.Hour, 9 * time.Hour, 8 * time.Hour, ""},
		{"clock an hour ahead", "b1", time.Minute + odd, time.Hour + time.Minute, time.Minute, ""},
		{"clock more than an hour ahead", "b1", time.Minute + odd + 1, time.Hour + time.Minute, time.Minute, "set by 1h0m0s"},
		{"clock more than an hour behind", "b1", time.Minute - odd - time.Second, time.Hour + time.Minute, time.Minute, "set by -1h0m1s"},
		{"clock in 2038", "b1", 12 * 365 * 24 * time.Hour, time.Hour + time.Minute, time.Minute, "set by 105119h59m0s"},
		{"time that went back", "b1", 0, time.Minute, 0, ""},
		{"rebooted", "b2", time.Minute, time.Second, time.Minute, ""},
		{"rebooted after a month", "b2", absence, time.Second, absence, ""},
		{"rebooted after more", "b2", absence + 1, time.Second, absence + 1, "down for 720h0m0s"},
		{"rebooted, clock behind", "b2", -odd, time.Second, 0, ""},
		{"rebooted, clock far behind", "b2", -odd - time.Second, time.Second, 0, "1h0m1s behind"},
		{"boot not known", "", time.Minute, 0, time.Minute, ""},
	}
	for _, test := range tests {
		got, doubt := resume(then, reading{wall: wall.Add(test.clock), boot: test.boot, up: test.up})
		if got != line+int64(test.passed) {
			t.Errorf("%s: the line goes on by %s; want %s", test.name, time.Duration(got-line), test.passed)
		}
		if (doubt == "") != (test.doubted == "") || !strings.Contains(doubt, test.doubted) {
			t.Errorf("%s: doubt %q; want %q in it", test.name, doubt, test.doubted)
		}
	}
	then.Boot = ""
	if got, _ := resume(then, reading{wall: wall.Add(time.Minute), boot: "", up: 0}); got != line+int64(time.Minute) {
		t.Errorf("neither boot known: %s; want the clock's minute", time.Duration(got-line))
	}
}

func TestReadHost(t *testing.T) {
	a, b := readHost(), readHost()
	if a.boot == "" || a.boot != b.boot || a.up <= 0 || b.up < a.up || b.wall.Before(a.wall) {
		t.Errorf("%+v, then %+v", a, b)
	}
}

// A window is not emptied by a clock that was set while the store was closed, nor by
// the sweeper that runs by it; and it does empty when its time has passed.
func TestClockSetOverRestart(t *testing.T) {
	for name, set := range map[string]time.Duration{"ahead to 2038": 12 * 365 * 24 * time.Hour, "back a day": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			now := reading{wall: start, boot: "b1", up: time.Hour}
			s := openWith(t, path, &now)
			minute := []state.Charge{{Cost: 1, Window: state.Window{Limit: "minute", Subject: "account:a", Length: time.Minute, Max: 1}}}
			full := func(at time.Time) bool {
				t.Helper()
				a, err := s.Take(t.Context(), at, state.Ask{Charges: minute})
				if err != nil {
					t.Fatal(err)
				}
				return len(a.Full) > 0
			}
			if full(start) {
				t.Fatal("the first charge did not fit")
			}
			if err := s.Record(t.Context(), state.Decision{ID: "D1", At: start}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			now = reading{wall: start.Add(set), boot: "b1", up: time.Hour + 10*time.Second}
			s = openWith(t, path, &now)
			if !full(now.wall) {
				t.Error("the window was emptied by the clock")
			}
			s.sweep()
			if _, err := s.Decision(t.Context(), "D1"); err != nil {
				t.Errorf("decision: %v", err)
			}
			if full(now.wall.Add(52 * time.Second)) {
				t.Error("the window is full though its minute, and a slot, have passed")
			}
		})
	}
}

func openWith(t *testing.T, path string, now *reading) *Store {
	t.Helper()
	s, err := open(Options{Path: path, Log: testLog(t)}, func() reading { return *now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// After a power cut a second may be missing, as durability = "process" has it: that is
// said once, calmly; not after kill -9, not after a good end, not with "power".
func TestPowerCutIsSaidCalmly(t *testing.T) {
	for _, test := range []struct {
		name        string
		boot        string
		sync, clean bool
		said        bool
	}{
		{"power cut", "b2", false, false, true},
		{"power cut, fsync", "b2", true, false, false},
		{"kill -9", "b1", false, false, false},
		{"reboot", "b2", false, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			live, copied := filepath.Join(dir, "live"), filepath.Join(dir, "copied")
			opened := func(path, boot string, log *slog.Logger) *Store {
				t.Helper()
				now := reading{wall: start, boot: boot, up: time.Hour}
				s, err := open(Options{Path: path, Sync: test.sync, Log: log}, func() reading { return now })
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := opened(live, "b1", testLog(t))
			defer s.Close()
			take(t, s, charges(5, "account:a"))
			s.secure()
			if test.clean {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			run(t, "cp", "-a", "--sparse=always", live, copied)
			var log bytes.Buffer
			again := opened(copied, test.boot, slog.New(slog.NewTextHandler(&log, nil)))
			defer again.Close()
			if said := strings.Contains(log.String(), "level=WARN"); said != test.said || strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("log %q; want a warning: %v, and no error", &log, test.said)
			}
			if d, n := degraded(t, again), used(t, again, "account:a"); d != "" || n != 1 {
				t.Errorf("degraded %q, used %d; want it whole", d, n)
			}
		})
	}
}
