package journal

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

func doc(id string, rev int64, data string) state.Doc {
	d := state.Doc{Kind: "block", ID: id, Rev: rev}
	if data != "" {
		d.Data = []byte(data)
	}
	return d
}

// open wants the journal whole, and these docs.
func open(t *testing.T, path string, want ...state.Doc) *Journal {
	t.Helper()
	j, docs, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	if j.Damage() != "" {
		t.Errorf("damage: %s", j.Damage())
	}
	same(t, docs, want)
	return j
}

func same(t *testing.T, got, want []state.Doc) {
	t.Helper()
	if want == nil {
		want = []state.Doc{}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("docs (-want +got):\n%s", d)
	}
}

func add(t *testing.T, j *Journal, docs ...state.Doc) {
	t.Helper()
	if err := j.Append(docs...); err != nil {
		t.Fatal(err)
	}
}

func closed(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, s string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLastLineCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	odd := `"<a@b> \u0000 é \u2028"`
	add(t, j, doc("a", 1, `{"n":1}`), doc("b", 1, odd))
	add(t, j, doc("a", 2, `{"n":2}`))
	add(t, j, doc("b", 2, ""), doc("c", 1, "null"))
	if j.Seq() != 5 {
		t.Errorf("seq %d; want 5", j.Seq())
	}
	closed(t, j)
	want := []state.Doc{doc("a", 2, `{"n":2}`), doc("b", 2, ""), doc("c", 1, "null")}
	j = open(t, path, want...)
	// A deleted doc begins again at revision 1, and that is the newer one.
	add(t, j, doc("b", 1, odd))
	closed(t, j)
	j = open(t, path, want[0], want[2], doc("b", 1, odd))
	if j.Seq() != 6 {
		t.Errorf("seq %d; want 6", j.Seq())
	}
}

func TestReadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	add(t, open(t, path), doc("7K3QF2M9", 1, `{"subject": "account:<a@b>"}`), doc("7K3QF2M9", 2, ""))
	want := `4222dd48 {"journal":"o2n-milter","format":1,"seq":0}
c273407e {"seq":1,"kind":"block","id":"7K3QF2M9","rev":1,"data":{"subject":"account:<a@b>"}}
aec7cbaf {"seq":2,"kind":"block","id":"7K3QF2M9","rev":2}
`
	if d := cmp.Diff(want, text(t, path)); d != "" {
		t.Errorf("file (-want +got):\n%s", d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600: blocks name people", info.Mode(), err)
	}
}

// A file cut anywhere gives every line before the cut; the rest is told as torn only
// where the cut is in mid-line.
func TestCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole")
	j := open(t, path)
	docs := []state.Doc{doc("a", 1, "1"), doc("b", 1, "2"), doc("c", 1, "3")}
	add(t, j, docs...)
	closed(t, j)
	whole := text(t, path)
	header := strings.IndexByte(whole, '\n') + 1
	for cut := header; cut < len(whole); cut++ {
		path := filepath.Join(dir, fmt.Sprint("cut", cut))
		write(t, path, whole[:cut])
		left := strings.Count(whole[:cut], "\n") - 1
		j := open(t, path, docs[:left]...)
		more := doc("d", 1, "4")
		add(t, j, more)
		closed(t, j)
		closed(t, open(t, path, append(slices.Clone(docs[:left]), more)...))
	}
}

// A flipped bit anywhere costs one line (two where it makes or unmakes a line's end),
// is told, and the file as it was is kept.
func TestFlippedAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	j := open(t, path)
	for i := range 4 {
		add(t, j, doc(fmt.Sprint("d", i), 1, "1"))
	}
	closed(t, j)
	whole := text(t, path)
	for i := range len(whole) - 1 {
		damaged := []byte(whole)
		damaged[i] ^= 1 << (i % 8)
		write(t, path, string(damaged))
		j, docs, err := Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		if j.Damage() == "" || len(docs) < 2 {
			t.Fatalf("byte %d: damage %q, %d docs left of 4", i, j.Damage(), len(docs))
		}
		if text(t, path+badSuffix) != string(damaged) {
			t.Fatalf("byte %d: the damaged file was not kept", i)
		}
		closed(t, j)
		closed(t, open(t, path, docs...))
	}
}

func TestDamageNamesLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	for i := range 30 {
		add(t, j, doc(fmt.Sprint("d", i), 1, "1"))
	}
	closed(t, j)
	for _, test := range []struct {
		damage func(lines []string) string
		want   string
		docs   int
	}{
		{func(l []string) string { l[2], l[5] = "junk\n", "\n"; return strings.Join(l, "") }, "2 lines of 31 cannot be read: 3, 6", 28},
		{func(l []string) string { return strings.Join(l[1:], "") }, "1 lines of 31 cannot be read: 1", 30},
		{func(l []string) string { return "junk\n" + strings.Join(l[2:], "") }, "1 lines of 31 cannot be read: 1", 29},
		{func(l []string) string { return l[0] + strings.Repeat("x\n", 22) + l[1] }, "22 lines of 24 cannot be read: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, ...", 1},
		{func(l []string) string { return l[0] + strings.Repeat("x", 2*maxLine) + "\n" + l[1] }, "1 lines of 3 cannot be read: 2", 1},
		{func(l []string) string { return l[0] + l[0] + l[1] }, "1 lines of 3 cannot be read: 2", 1},
		{func([]string) string { return "" }, "the file holds no whole line; want a header", 0},
		{func(l []string) string { return l[0][:20] }, "the file holds no whole line; want a header", 0},
	} {
		whole := text(t, path)
		bad := path + "-copy"
		write(t, bad, test.damage(strings.SplitAfter(whole, "\n")))
		var log bytes.Buffer
		j, docs, err := Open(bad, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if j.Damage() != test.want || len(docs) != test.docs || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("damage %q, %d docs, log %s; want %q and %d", j.Damage(), len(docs), &log, test.want, test.docs)
		}
		closed(t, j)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	open(t, path)
	newer, err := appendLine(nil, header{program, format + 1, 0})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "newer"), string(newer))
	for file, want := range map[string]string{
		"journal":      "in use: another o2n-milter",
		"newer":        "format 2 (this version reads up to 1): written by a newer o2n-milter",
		"none/journal": "no such file or directory",
		".":            "is a directory",
	} {
		full := filepath.Join(dir, file)
		j, _, err := Open(full, slog.New(slog.DiscardHandler))
		if err == nil {
			j.Close()
			t.Errorf("%s: opened", file)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), full) {
			t.Errorf("%s: %v; want %q and the path in it", file, err, want)
		}
	}
	if got := text(t, filepath.Join(dir, "newer")); got != string(newer) {
		t.Error("a newer version's file was changed")
	}
}

func TestWrittenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	add(t, j, doc("gone", 1, "1"), doc("stays", 1, `"text"`), doc("gone", 2, ""))
	for rev := range int64(slack - 1) {
		add(t, j, doc("busy", rev+1, "1"))
	}
	if n := strings.Count(text(t, path), "\n"); n != slack+3 {
		t.Errorf("%d lines; want all %d: there is slack for them", n, slack+3)
	}
	for rev := range int64(3) { // 2*2+slack lines are the most
		add(t, j, doc("busy", slack+rev, "1"))
	}
	if n := strings.Count(text(t, path), "\n"); n != 3 {
		t.Errorf("%d lines; want a header and 2 docs", n)
	}
	add(t, j, doc("after", 1, "1"))
	seq := j.Seq()
	closed(t, j)
	j = open(t, path, doc("stays", 1, `"text"`), doc("busy", slack+2, "1"), doc("after", 1, "1"))
	if j.Seq() != seq || seq != slack+6 {
		t.Errorf("seq %d, before closing %d; want %d", j.Seq(), seq, slack+6)
	}
	if _, err := os.Stat(path + newSuffix); err == nil {
		t.Error("the temporary file is still there")
	}
}

// The number of the last line is known though that line (a deletion) is not kept.
func TestSeqOutlivesItsLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	add(t, j, doc("a", 1, "1"), doc("a", 2, ""))
	c, err := j.reread()
	if err != nil {
		t.Fatal(err)
	}
	if err := j.rewrite(c); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
	j = open(t, path)
	if j.Seq() != 2 {
		t.Errorf("seq %d; want 2", j.Seq())
	}
	j.After(500)
	j.After(3)
	add(t, j, doc("a", 1, "1"))
	closed(t, j)
	if j = open(t, path, doc("a", 1, "1")); j.Seq() != 501 {
		t.Errorf("seq %d; want 501", j.Seq())
	}
}

// A file that cannot be written to any more is replaced by a new one.
func TestMend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	add(t, j, doc("a", 1, "1"))
	deaf, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.file.Close(); err != nil {
		t.Fatal(err)
	}
	j.file = deaf
	if err := j.Append(doc("b", 1, "1")); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("append to a file open for reading: %v; want an error with the path", err)
	}
	add(t, j, doc("c", 1, "1"))
	closed(t, j)
	open(t, path, doc("a", 1, "1"), doc("c", 1, "1"))
}

func FuzzRead(f *testing.F) {
	lines, err := content{last: []entry{{Seq: 3, Kind: "block", ID: "a", Rev: 1, Data: []byte("1")}, {Seq: 4, Kind: "block", ID: "b", Rev: 1, Data: []byte("{}")}}}.lean(7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(lines)
	f.Add(lines[:len(lines)-3])
	f.Add([]byte("\n\n00000000 \n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readLines(bufio.NewReaderSize(bytes.NewReader(b), 16))
		if err != nil {
			if !strings.Contains(err.Error(), "newer") {
				t.Fatal(err)
			}
			return
		}
		if c.end+c.torn != int64(len(b)) || len(c.last) > c.lines {
			t.Fatalf("%d and %d torn of %d bytes, %d docs in %d lines", c.end, c.torn, len(b), len(c.last), c.lines)
		}
		// What is written behind the whole lines is read, whatever they are.
		added := entry{Seq: c.seq + 1, Kind: "block", ID: "added", Rev: 1, Data: []byte("1")}
		more, err := appendLine(b[:c.end:c.end], added)
		if err != nil {
			t.Fatal(err)
		}
		if c.end > 0 { // in an empty file it would stand where the header should
			again := reread(t, more)
			if d := again.last[len(again.last)-1]; !cmp.Equal(d, added) {
				t.Fatalf("the line behind is read as %+v", d)
			}
		}
		// Written anew, the file is whole and says the same.
		lean, err := c.lean(c.seq)
		if err != nil {
			t.Fatal(err)
		}
		again := reread(t, lean)
		want := slices.DeleteFunc(slices.Clone(c.docs()), func(d state.Doc) bool { return d.Data == nil })
		same(t, again.docs(), want)
		if again.fault() != "" || again.torn != 0 || again.seq != c.seq {
			t.Fatalf("written anew: fault %q, %d torn, seq %d; want %d", again.fault(), again.torn, again.seq, c.seq)
		}
	})
}

func reread(t *testing.T, b []byte) content {
	t.Helper()
	c, err := readLines(bufio.NewReaderSize(bytes.NewReader(b), 16))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
