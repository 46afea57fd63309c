package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/config"
)

// logged is what these lines become.
func logged(cfg config.Log, say func(*outLog)) string {
	var out bytes.Buffer
	l := openLog(&out, cfg)
	say(l)
	l.close()
	return out.String()
}

// hostile are values that forge lines, fields or a terminal's picture.
var hostile = []string{
	"a\nlevel=ERROR msg=forged", "a\r\n<0>kernel: forged", "x\x1b[2J\x1b]0;title\x07", "\u009b2J", "\u2028x\u2029x\u0085x", "\u202egro.knab",
	`" level=ERROR msg="forged`, `"},{"level":"ERROR`, "\xff\xfe\xc3(", "nul\x00nul", "del\x7f", "tag\U000e0041tag", "100% =x", "", " ",
}

// plainLine has a value that is quoted where it could be taken for more than one.
var plainLine = regexp.MustCompile(`^time=\S+ level=INFO msg=message action=reject from=("(?:[^"\\]|\\.)*"|[^ "=]+) error=("(?:[^"\\]|\\.)*"|[^ "=]+) took=1ms\n$`)

func TestLogOfHostileValues(t *testing.T) {
	for _, value := range hostile {
		checkValue(t, value)
	}
}

func FuzzLogOfHostileValues(f *testing.F) {
	for _, value := range hostile {
		f.Add(value)
	}
	f.Fuzz(checkValue)
}

// checkValue wants the value on one line that can be printed, in either format, and
// not taken for more than one.
func checkValue(t *testing.T, value string) {
	for _, asJSON := range []bool{false, true} {
		line := logged(config.Log{JSON: asJSON}, func(l *outLog) {
			l.Info("message", "action", "reject", "from", value, "error", errors.New(value), "took", "1ms")
		})
		text, ends := strings.CutSuffix(line, "\n")
		if !ends || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q: not one line that can be printed: %q", value, line)
		}
		if asJSON {
			checkJSON(t, line, value)
		} else if !plainLine.MatchString(line) {
			t.Errorf("%q: forged: %q", value, line)
		}
	}
}

// checkJSON wants one object that says value twice, with the keys in order.
func checkJSON(t *testing.T, line, value string) {
	t.Helper()
	var got struct{ Level, Msg, Action, From, Error, Took string }
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Errorf("%q: %v in %q", value, err, line)
		return
	}
	valid := strings.ToValidUTF8(value, "\uffff")
	if got.Level != "INFO" || got.Action != "reject" || got.From != got.Error || (valid == value && got.From != value) {
		t.Errorf("%q became %+v", value, got)
	}
	if keys := jsonKeys(t, line); strings.Join(keys, " ") != "time level msg action from error took" {
		t.Errorf("keys %v", keys)
	}
}

// jsonKeys are an object's keys in their order.
func jsonKeys(t *testing.T, line string) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(line))
	var keys []string
	for i := 0; ; i++ {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if token == json.Delim('}') {
			return keys
		}
		if i%2 == 1 {
			keys = append(keys, fmt.Sprint(token))
		}
	}
}

func TestLogLevelAndFormatChange(t *testing.T) {
	got := logged(config.Log{Level: slog.LevelWarn}, func(l *outLog) {
		part := l.With("part", "store").WithGroup("g")
		l.Info("1")
		part.Warn("2", "x", 3)
		l.configure(config.Log{Level: slog.LevelDebug, JSON: true})
		part.Debug("4", "x", 5)
		l.configure(config.Log{Level: slog.LevelError})
		l.Warn("6")
		part.Error("7", "x", 8)
	})
	got = regexp.MustCompile(`time=\S+ |"time":"[^"]+",`).ReplaceAllString(got, "")
	want := "level=WARN msg=2 part=store g.x=3\n" +
		`{"level":"DEBUG","msg":"4","part":"store","g":{"x":5}}` + "\n" +
		"level=ERROR msg=7 part=store g.x=8\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestLogToTheJournal(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	info, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	l := openLog(out, config.Log{Level: slog.LevelDebug})
	l.Debug("a")
	l.Info("b", "time", "its own")
	l.Warn("c")
	l.configure(config.Log{JSON: true})
	l.Error("d", "x", "\n<0>forged")
	l.Log(t.Context(), slog.LevelError+4, "e")
	l.close()
	got, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := "<7>level=DEBUG msg=a\n<6>level=INFO msg=b time=\"its own\"\n<4>level=WARN msg=c\n" +
		`<3>{"level":"ERROR","msg":"d","x":"\n<0>forged"}` + "\n" + `<3>{"level":"ERROR+4","msg":"e"}` + "\n"
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, other := range []string{"", "1", fmt.Sprintf("%d:%d", st.Dev, st.Ino+1)} {
		if isJournal(out, other) {
			t.Errorf("%q is taken for the journal", other)
		}
	}
	if isJournal(&bytes.Buffer{}, "1:2") {
		t.Error("a buffer is taken for the journal")
	}
}

// A reader that stops costs log lines, nobody's time, and says so when it reads again.
func TestLogDoesNotWait(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := openLog(w, config.Log{})
	const count = 3 * mostUnwritten / 1000
	for i := range count {
		l.Info("message", "n", i, "text", strings.Repeat("x", 1000)) // would hang for ever
	}
	lost := l.lines.lost()
	if lost == 0 || lost > 3*count/4 {
		t.Fatalf("%d of %d lines are lost", lost, count)
	}
	read := make(chan string)
	go func() {
		all, err := io.ReadAll(r)
		if err != nil {
			all = []byte(err.Error())
		}
		read <- string(all)
	}()
	l.close()
	w.Close()
	text := <-read
	if n := strings.Count(text, "msg=message"); uint64(n) != count-lost {
		t.Errorf("%d lines of %d came, %d are lost", n, count, lost)
	}
	// However full it is: the line that tells of it has room.
	if want := fmt.Sprintf(`level=ERROR msg="log lines are lost: standard error did not take them" lines=%d`, lost); strings.Count(text, want) != 1 {
		t.Errorf("no %q", want)
	}
}

// writes keeps them apart.
type writes struct {
	mu   sync.Mutex
	list []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, string(p))
	return len(p), nil
}

func (w *writes) all() (text string, count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.list, ""), len(w.list)
}

// Under load, lines that come close to each other are one write, in their order, and none
// waits for longer than that, nor for the end.
func TestLogLinesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &writes{}
		l := newLines(out, func(uint64) {})
		l.start(newLoops(quiet()))
		synctest.Wait() // until it waits
		want := ""
		line := func(i int, then time.Duration) {
			text := fmt.Sprintln(i)
			want += text
			l.add("", []byte(text))
			time.Sleep(then)
			synctest.Wait()
		}
		atOnce := func(i int) {
			t.Helper()
			line(i, 2*gatherLines-1)
			if got, _ := out.all(); got != want {
				t.Fatalf("line %d waits: %q", i, got)
			}
		}
		for i := range gatherWrites {
			atOnce(i)
		}
		line(100, gatherLines-1)
		line(101, 0)
		if _, n := out.all(); n != gatherWrites {
			t.Errorf("%d writes; want %d", n, gatherWrites)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got, n := out.all(); got != want || n != gatherWrites+1 {
			t.Errorf("%d writes, %q; want the last two lines in one more", n, got)
		}
		time.Sleep(2 * gatherLines)
		line(102, gatherLines) // the last that waits: there was a pause
		atOnce(103)
		for i := range gatherWrites {
			atOnce(i)
		}
		begin := time.Now()
		line(104, 0)
		l.close()
		if got, _ := out.all(); time.Since(begin) != 0 || got != want {
			t.Errorf("%q after %s; want all, at once", got, time.Since(begin))
		}
	})
}

func TestLogGivesUpAtTheEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	l := openLog(w, config.Log{})
	for range 100 {
		l.Info("message", "text", strings.Repeat("x", 1000)) // more than the 64 KiB of a pipe
	}
	start := time.Now()
	l.close()
	if took := time.Since(start); took < logPatience || took > logPatience+5*time.Second {
		t.Errorf("closing took %s", took)
	}
}

func TestLogIsBounded(t *testing.T) {
	l := &logLines{more: make(chan struct{}, 1)} // nobody writes
	l.add("<6>", bytes.Repeat([]byte("x"), mostUnwritten-3-2))
	for i, want := range []uint64{0, 0, 1} { // max-1, max, max+1
		l.add("", []byte("y"))
		if got := l.lost(); got != want || len(l.waiting) != mostUnwritten-1+min(i, 1) {
			t.Errorf("line %d: %d lost, %d octets wait", i, got, len(l.waiting))
		}
	}
}
