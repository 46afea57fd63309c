package mtaqueue

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/hold/wire"
)

// What Sendmail 8.17 writes. What comes after the first H line is not read.
const control = `V8
T1795414798
K0
N0
P60035
qfor the test
MDeferred: not now
Fs
$_root@localhost
${daemon_flags}c u
S<a@client.example>
Aa@client.example
rRFC822; r3@remote.example
RPFD:r3@remote.example
rRFC822; "odd x"@remote.example
RPFD:"odd: x"@remote.example
H?P?Return-Path: <g>
Rnot:a recipient
.
`

func TestReadControl(t *testing.T) {
	var got wire.Queued
	if err := readControl(strings.NewReader(control), &got); err != nil {
		t.Fatal(err)
	}
	want := wire.Queued{Arrived: time.Date(2026, 11, 23, 6, 19, 58, 0, time.UTC), From: "a@client.example",
		Recipients: []string{"r3@remote.example", `"odd: x"@remote.example`}, Count: 2, Reason: "for the test"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadControlParts(t *testing.T) {
	many := strings.Repeat("RPFD:a@x.example\n", wire.MaxRecipients+2)
	for text, want := range map[string]wire.Queued{
		"S<>\n.\n":                             {},
		"S<a@b\n.\n":                           {From: "<a@b"},
		"MDeferred: not now\n.\n":              {Reason: "Deferred: not now"},
		"Msecond\nqfirst\n.\n":                 {Reason: "first"},
		"RPFD:@r.example:a@b\n.\n":             {Recipients: []string{"@r.example:a@b"}, Count: 1},
		"Rno flags\n.\n":                       {Count: 1},
		"\n\n.\n":                              {},
		"S\xff\n.\n":                           {From: "\uFFFD"},
		many + ".\n":                           {Recipients: strings.Fields(strings.Repeat("a@x.example ", wire.MaxRecipients)), Count: wire.MaxRecipients + 2},
		"S" + strings.Repeat("a", 999) + "\n.": {From: strings.Repeat("a", wire.MaxText)},
	} {
		var got wire.Queued
		if err := readControl(strings.NewReader(text), &got); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.40q: %s", text, diff)
		}
	}
	for _, text := range []string{"", "V8\n", "Tsoon\n.\n", "T99999999999999999999\n.\n", strings.Repeat("x", maxLine+1)} {
		if err := readControl(strings.NewReader(text), &wire.Queued{}); err == nil {
			t.Errorf("%.40q: no error", text)
		}
	}
}

func FuzzReadControl(f *testing.F) {
	f.Add(control)
	f.Fuzz(func(t *testing.T, text string) {
		var q wire.Queued
		_ = readControl(strings.NewReader(text), &q)
		if len(q.Recipients) > wire.MaxRecipients || q.Count < len(q.Recipients) || len(q.From) > 3*wire.MaxText {
			t.Errorf("%+v", q)
		}
	})
}

// queueIn is a Sendmail with one queue folder, which has qf, df and xf folders if
// parts says so.
func queueIn(t *testing.T, parts bool) (*sendmail, folder) {
	t.Helper()
	dir := t.TempDir()
	if parts {
		for _, p := range []string{"qf", "df", "xf"} {
			if err := os.MkdirAll(filepath.Join(dir, "queue", p), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "queue"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &sendmail{cf: cf{path: filepath.Join(dir, "sendmail.cf")}}
	put(t, s.cf.path, "# comment\nO QueueDirectory="+filepath.Join(dir, "queue")+"\n")
	dirs, err := s.cf.folders()
	if err != nil || len(dirs) != 1 {
		t.Fatal(dirs, err)
	}
	return s, dirs[0]
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	id1 = "6AN6Jw3T011894"
	id2 = "6AN6Jw9c011889"
	id3 = "6AN6Jwca011884"
)

func TestSendmailList(t *testing.T) {
	for _, parts := range []bool{false, true} {
		s, dir := queueIn(t, parts)
		put(t, filepath.Join(dir.control, "hf"+id1), control)
		put(t, filepath.Join(dir.data, "df"+id1), "12345")
		put(t, filepath.Join(dir.control, "qf"+id2), control)
		put(t, filepath.Join(dir.control, "qf"+id3), "V8\n") // cut off
		put(t, filepath.Join(dir.control, "tf"+id3), control)
		put(t, filepath.Join(dir.control, "Qf"+id3), control)
		put(t, filepath.Join(dir.control, "hf..short"), control)
		if err := os.Symlink("/etc/passwd", filepath.Join(dir.control, "hf"+id3)); err != nil {
			t.Fatal(err)
		}
		got := map[string]wire.Queued{}
		list := func(wanted func(wire.Queue) bool) {
			clear(got)
			err := s.List(t.Context(), wanted, func(q wire.Queued) error {
				got[string(q.Queue)+" "+q.ID] = q
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		list(func(wire.Queue) bool { return true })
		if q := got["hold "+id1]; len(got) != 4 || q.Size != 5 || q.From != "a@client.example" {
			t.Errorf("parts %v: %+v", parts, got)
		}
		if q := got["hold "+id3]; q.Count != 0 || !strings.HasPrefix(q.Reason, "queue file: ") {
			t.Errorf("a link: %+v", q)
		}
		if q := got["deferred "+id3]; !strings.HasPrefix(q.Reason, "queue file: unexpected EOF") {
			t.Errorf("a file cut off: %+v", q)
		}
		list(func(q wire.Queue) bool { return q == wire.QueueDeferred })
		if len(got) != 2 {
			t.Errorf("deferred: %+v", got)
		}
		list(func(q wire.Queue) bool { return q == wire.QueueActive })
		if len(got) != 0 {
			t.Errorf("active: %+v", got)
		}
	}
}

func TestSendmailFind(t *testing.T) {
	s, dir := queueIn(t, false)
	put(t, filepath.Join(dir.control, "hf"+id1), control)
	put(t, filepath.Join(dir.control, "qf"+id2), control)
	for id, want := range map[string]wire.Queue{id1: wire.QueueHold, id2: wire.QueueDeferred, id3: wire.QueueNone} {
		if got, err := s.Find(id); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", id, got, err, want)
		}
	}
	lock(t, filepath.Join(dir.control, "qf"+id2))
	if got, err := s.Find(id2); got != wire.QueueActive || err != nil {
		t.Errorf("locked: %q, %v", got, err)
	}
	if err := os.RemoveAll(dir.control); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find(id1); err == nil {
		t.Errorf("no folder: %q; want an error, not that the mail is gone", got)
	}
}

// lock locks a file as Sendmail does, until the test ends.
func lock(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func TestSendmailDelete(t *testing.T) {
	for _, parts := range []bool{false, true} {
		s, dir := queueIn(t, parts)
		files := func() (names []string) {
			err := filepath.WalkDir(filepath.Dir(s.cf.path), func(path string, d os.DirEntry, err error) error {
				if !d.IsDir() && path != s.cf.path {
					names = append(names, d.Name())
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return names
		}
		for _, id := range []string{id1, id2, id3} {
			put(t, filepath.Join(dir.control, "hf"+id), control)
			put(t, filepath.Join(dir.data, "df"+id), "12345")
			put(t, filepath.Join(dir.transcript, "xf"+id), "")
		}
		lock(t, filepath.Join(dir.control, "hf"+id2))
		err := s.Delete(t.Context(), []string{id1, id2})
		if err == nil || !strings.Contains(err.Error(), "hf"+id2+": another process has it in hand") {
			t.Errorf("locked: %v", err)
		}
		var want []string
		for _, p := range []string{"df", "hf", "xf"} {
			want = append(want, p+id2, p+id3)
		}
		if parts {
			want = []string{"df" + id2, "df" + id3, "hf" + id2, "hf" + id3, "xf" + id2, "xf" + id3}
		}
		if diff := cmp.Diff(want, files()); diff != "" {
			t.Errorf("parts %v: %s", parts, diff)
		}
	}
}

// A file that is not the one we locked stays.
func TestRemoveReplaced(t *testing.T) {
	_, dir := queueIn(t, false)
	path := filepath.Join(dir.control, "hf"+id1)
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if err := removeLocked(path); err == nil {
		t.Error("a link is followed")
	}
	if file, err := openQueueFile(path); err == nil {
		file.Close()
		t.Error("a link is read")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeLocked(path); err == nil || !strings.Contains(err.Error(), "is no plain file") {
		t.Errorf("a pipe: %v", err)
	}
	if err := removeLocked(path + "x"); err != nil {
		t.Errorf("a file that is gone: %v", err)
	}
}

func TestQueueFolders(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"q1/qf", "q2", "q3", "other", ".q4", "group"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "qfile"), "")
	if err := os.Symlink(filepath.Join(dir, "other"), filepath.Join(dir, "qlink")); err != nil {
		t.Fatal(err)
	}
	file := &cf{path: filepath.Join(dir, "cf")}
	for _, c := range []struct{ text, want string }{
		{"O QueueDirectory=DIR/q2", "q2"},
		{"OQDIR/q2", "q2"},
		{"o QueueDirectory=DIR/q2\nO queuedirectory = DIR/q3 \nO QueueSortOrder=x", "q3"},
		{"O QueueDirectory=DIR/q*", "q1/qf q2 q3 qlink"},
		{"O QueueDirectory=DIR/q2\nQmqueue, P=DIR/group, F=f, R=2", "group q2"},
		{"O QueueDirectory=DIR/q2\nQmqueue, Runners=2, Path=DIR/group", "group q2"},
		{"O QueueDirectory=DIR/q2\nQmqueue, F=f", "q2"},
		{"O QueueDirectory=DIR/q2\nQmqueue, P=DIR/q2", "q2"},
		{"O QueueDirectory=DIR/none", "no such file"},
		{"O QueueDirectory=DIR/q3", "q3"},
		{"O QueueDirectory=DIR/none*", "no queue folder exists"},
		{"O QueueDirectory=$Q/mqueue", "want QueueDirectory"},
		{"O QueueDirectory=mqueue", "want QueueDirectory"},
		{"", "want QueueDirectory"},
		{"O QueueDirectory=DIR/q2\n" + strings.Repeat("x", 1<<20), "token too long"},
	} {
		if err := os.Remove(file.path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		put(t, file.path, strings.ReplaceAll(c.text, "DIR", dir))
		dirs, err := file.folders()
		var got []string
		for _, d := range dirs {
			got = append(got, strings.TrimPrefix(d.control, dir+"/"))
		}
		if text := fmt.Sprint(strings.Join(got, " "), err); err != nil && !strings.Contains(text, c.want) || err == nil && strings.Join(got, " ") != c.want {
			t.Errorf("%.60s: %s; want %s", c.text, text, c.want)
		}
	}
}

func TestReadLocks(t *testing.T) {
	got := readLocks("1: FLOCK  ADVISORY  WRITE 13120 fe:00:3367902 0 EOF\n" +
		"2: POSIX  ADVISORY  READ 1 08:01:77 0 EOF\n" +
		"2: -> FLOCK  ADVISORY  WRITE 13121 fe:00:5 0 EOF\n" +
		"3: broken\n\n4: FLOCK ADVISORY WRITE 1 x:y:z 0 EOF\n")
	if diff := cmp.Diff(map[uint64]bool{3367902: true, 77: true}, got); diff != "" {
		t.Error(diff)
	}
}
