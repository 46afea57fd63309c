package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	begin = time.Date(2025, 11, 1, 10, 0, 0, 0, time.UTC)
	now   = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
)

// letter is a message of so many minutes past ten; below 0: without a time.
func letter(name string, minute int) string {
	date := ""
	if minute >= 0 {
		date = "Date: " + begin.Add(time.Duration(minute)*time.Minute).Format(time.RFC1123Z) + "\n"
	}
	return "From: alice@client-a.example\nTo: bob@remote.example\nSubject: " + name + "\n" + date + "\n" + name + "\n"
}

func box(letters ...string) string {
	var b strings.Builder
	for _, l := range letters {
		b.WriteString(sep + l + "\n")
	}
	return b.String()
}

// tree writes files below a new folder, and gives that.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func ignore(int) {}

func indexOf(t *testing.T, in string, sources ...string) *Index {
	t.Helper()
	x, err := New(t.Context(), sources, strings.NewReader(in), now, ignore)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// played is what comes, "minute subject"; the minute counts from begin.
func played(t *testing.T, x *Index) []string {
	t.Helper()
	list := []string{}
	err := x.Each(t.Context(), func(m Message) error {
		subject := ""
		for _, f := range m.Raw.Fields {
			if f.Name == "Subject" {
				subject = f.Value
			}
		}
		if want := subject + "\n"; !strings.HasPrefix(string(m.Raw.Body), want) {
			t.Errorf("%s: body %q, want %q", m.Name, m.Raw.Body, want)
		}
		list = append(list, fmt.Sprint(int(m.At.Sub(begin)/time.Minute), " ", subject))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSources(t *testing.T) {
	dir := tree(t, map[string]string{
		"a.mbox":                    box(letter("a5", 5), letter("a1", 1)),
		"box":                       box(letter("b2", 2)),
		"one.eml":                   letter("one3", 3),
		"two.eml":                   sep + letter("two", 3) + "\n" + sep + letter("in it", 4),
		"mail/cur/1.host:2,S":       letter("cur4", 4),
		"mail/new/2.host":           letter("new6", 6),
		"mail/tmp/3.host":           letter("tmp", 0),
		"mail/dovecot.index":        "x",
		"mail/.Sent/cur/4.host:2,S": letter("sent7", 7),
		"mail/.Sent/new/.keep":      "",
		"mail/.Sent/tmp/x":          "",
		"deep/er/x.EML":             letter("deep8", 8),
		"deep/notes.txt":            "notes",
	})
	at := func(names ...string) []string {
		for i, n := range names {
			if n != "-" {
				names[i] = filepath.Join(dir, n)
			}
		}
		return names
	}
	for name, c := range map[string]struct {
		in              string
		sources         []string
		want            []string
		failed, leftOut int
		lost, undated   int
	}{
		"mailbox":            {"", at("a.mbox"), []string{"1 a1", "5 a5"}, 0, 0, 0, 0},
		"by any name":        {"", at("box"), []string{"2 b2"}, 0, 0, 0, 0},
		"one message":        {"", at("one.eml"), []string{"3 one3"}, 0, 0, 0, 0},
		"one that holds one": {"", at("two.eml"), []string{"3 two"}, 0, 0, 0, 0},
		"Maildir":            {"", at("mail"), []string{"4 cur4", "6 new6", "7 sent7"}, 0, 1, 0, 0},
		"its cur":            {"", at("mail/cur"), []string{"4 cur4"}, 0, 0, 0, 0},
		"folder":             {"", at("deep"), []string{"8 deep8"}, 0, 1, 0, 0},
		"several, in time":   {"", at("one.eml", "a.mbox", "box"), []string{"1 a1", "2 b2", "3 one3", "5 a5"}, 0, 0, 0, 0},
		"stdin, a mailbox":   {box(letter("i2", 2), letter("i1", 1)), at("-", "one.eml"), []string{"1 i1", "2 i2", "3 one3"}, 0, 0, 0, 0},
		"stdin, a message":   {letter("i1", 1), at("-"), []string{"1 i1"}, 0, 0, 0, 0},
		"stdin, nothing":     {"", at("-"), []string{}, 1, 0, 1, 0},
		"stdin, twice":       {letter("i1", 1), at("-", "-"), []string{"1 i1"}, 1, 0, 1, 0},
		"device":             {"", []string{"/dev/null"}, []string{}, 1, 0, 1, 0},
		"missing":            {"", at("none.mbox", "one.eml"), []string{"3 one3"}, 1, 0, 1, 0},
		"no mail":            {"", at("deep/notes.txt"), []string{}, 1, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x := indexOf(t, c.in, c.sources...)
			if diff := cmp.Diff(c.want, played(t, x)); diff != "" {
				t.Error(diff)
			}
			if x.Failed != c.failed || x.LeftOut != c.leftOut || x.Lost != c.lost || x.Undated != c.undated || x.Failed != len(x.Unreadable) {
				t.Errorf("failed %d %v, left out %d, lost %d, undated %d", x.Failed, x.Unreadable, x.LeftOut, x.Lost, x.Undated)
			}
		})
	}
}

// TestUndated: in the place that their source gives them, and counted.
func TestUndated(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"between": {box(letter("a1", 1), letter("x", -1), letter("a3", 3)), []string{"1 a1", "1 x", "3 a3"}},
		"first":   {box(letter("x", -1), letter("a2", 2), letter("a1", 1), letter("y", -1)), []string{"1 a1", "1 y", "2 x", "2 a2"}},
	} {
		x := indexOf(t, c.in, "-")
		if diff := cmp.Diff(c.want, played(t, x)); diff != "" || x.Undated == 0 {
			t.Errorf("%s: undated %d: %s", name, x.Undated, diff)
		}
	}
	// A source that knows no time at all: the earliest of all others, else now.
	dir := tree(t, map[string]string{"dated.eml": letter("d9", 9), "undated.eml": letter("u", -1)})
	x := indexOf(t, "", filepath.Join(dir, "undated.eml"), filepath.Join(dir, "dated.eml"))
	if diff := cmp.Diff([]string{"9 u", "9 d9"}, played(t, x)); diff != "" {
		t.Error(diff)
	}
	x = indexOf(t, letter("u", -1), "-")
	if diff := cmp.Diff([]string{fmt.Sprint(int(now.Sub(begin)/time.Minute), " u")}, played(t, x)); diff != "" {
		t.Error(diff)
	}
}

// TestUnreadable: what is no message is named, and the others are judged all the same.
func TestUnreadable(t *testing.T) {
	x := indexOf(t, box(letter("a1", 1), "", "no header\n", letter("a2", 2)), "-")
	if diff := cmp.Diff([]string{"1 a1", "2 a2"}, played(t, x)); diff != "" {
		t.Error(diff)
	}
	want := []Unreadable{{"-, message 2", errNoHeader.Error()}, {"-, message 3", errNoHeader.Error()}}
	if diff := cmp.Diff(want, x.Unreadable); diff != "" || x.Lost != 0 {
		t.Error(x.Lost, diff)
	}
	// A file that goes between the two looks.
	dir := tree(t, map[string]string{"a.eml": letter("a1", 1), "b.eml": letter("b2", 2)})
	x = indexOf(t, "", dir)
	if err := os.Remove(filepath.Join(dir, "a.eml")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2 b2"}, played(t, x)); diff != "" || x.Failed != 1 {
		t.Error(x.Failed, diff)
	}
}

// TestManyMailboxes: more than are open at once, their messages one between the other.
func TestManyMailboxes(t *testing.T) {
	files, want := map[string]string{}, []string{}
	const boxes = mostOpen + 5
	for i := range boxes {
		files[fmt.Sprintf("%03d.mbox", i)] = box(letter(fmt.Sprint("x", i), i), letter(fmt.Sprint("y", i), boxes+i))
	}
	for i := range 2 * boxes {
		want = append(want, fmt.Sprintf("%d %c%d", i, "xy"[i/boxes], i%boxes))
	}
	x := indexOf(t, "", tree(t, files))
	if diff := cmp.Diff(want, played(t, x)); diff != "" {
		t.Error(diff)
	}
	if len(x.open) > mostOpen {
		t.Errorf("%d files are open", len(x.open))
	}
}

// TestEachEnds: with its caller's error, and with ctx; the reader does not stay.
func TestEachEnds(t *testing.T) {
	var letters []string
	for i := range 50 {
		letters = append(letters, letter(fmt.Sprint(i), i))
	}
	x := indexOf(t, box(letters...), "-")
	enough := errors.New("enough")
	n := 0
	err := x.Each(t.Context(), func(Message) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Errorf("got %v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	err = x.Each(ctx, func(Message) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 3 {
		t.Errorf("got %v after %d", err, n)
	}
	if _, err := New(ctx, []string{"-"}, strings.NewReader(box(letters...)), now, ignore); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// endless is a big mailbox that nobody has to hold: n messages of a size.
type endless struct {
	n, size int
	rest    io.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	for {
		if e.rest != nil {
			if n, err := e.rest.Read(p); n > 0 || !errors.Is(err, io.EOF) {
				return n, err
			}
		}
		if e.n == 0 {
			return 0, io.EOF
		}
		e.n--
		e.rest = io.MultiReader(strings.NewReader(sep+strings.TrimSuffix(letter("big", e.n%60), "big\n")),
			io.LimitReader(ys{}, int64(e.size)), strings.NewReader("\n\n"))
	}
}

type ys struct{}

func (ys) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'y'
		if i%70 == 69 {
			p[i] = '\n'
		}
	}
	return len(p), nil
}

// TestMemory: 96 MB of mail in messages of 4 MB take no more than a few of them.
func TestMemory(t *testing.T) {
	const size = 4 << 20
	x, err := New(t.Context(), []string{"-"}, &endless{n: 24, size: size}, now, ignore)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var most uint64
	n := 0
	err = x.Each(t.Context(), func(m Message) error {
		n++
		if m.Raw.Size < size || len(m.Raw.Body) > mostKept {
			t.Errorf("%s: size %d, %d octets kept", m.Name, m.Raw.Size, len(m.Raw.Body))
		}
		if n%8 == 0 {
			var mem runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&mem)
			most = max(most, mem.HeapAlloc)
		}
		return nil
	})
	if err != nil || n != 24 {
		t.Fatal(n, err)
	}
	// Those read ahead, the one that is read and the one that is judged, with room
	// that reading leaves.
	if bound := uint64((ahead + 2) * 2 * mostKept); most > bound {
		t.Errorf("%d MB in memory, want at most %d", most>>20, bound>>20)
	}
}
