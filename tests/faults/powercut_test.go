//go:build mta

package faults

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// trace is what a daemon asks of the kernel, as strace(1) tells it.
type trace struct{ path string }

// traced makes a daemon that is run under strace; where that may not be, the test is
// skipped loudly.
func traced(t *testing.T, durability string) (*daemon, trace) {
	t.Helper()
	if out, err := exec.Command("strace", "-f", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatalf("strace: %v %s", err, out)
		}
		t.Skipf("SKIPPED: strace is missing, or may not trace: %v %s", err, out)
	}
	d := newDaemon(t, badger+"durability = \""+durability+"\"\n", limitOf("month", 1<<30, "30d"))
	tr := trace{filepath.Join(d.Dir, "trace")}
	d.Under = []string{"strace", "-f", "-y", "-s", "400", "-o", tr.path, "-e", "signal=none",
		"-e", "trace=fsync,fdatasync,msync,mmap,write,pwrite64,rename,renameat,renameat2"}
	d.Start(t)
	return d, tr
}

var (
	call     = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumed  = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	mappedAt = regexp.MustCompile(`MAP_SHARED, \d+<([^>]*)>, .* = (0x[0-9a-f]+)$`)
)

// happened are the calls so far, in the order of their ends: "msync /folder/00001.mem",
// "fsync /folder/journal", "write " and what was written.
func (tr trace) happened(t *testing.T) (list []string) {
	t.Helper()
	f, err := os.Open(tr.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	begun, mapped := map[string]string{}, map[string]string{} // by thread; by address
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text := lines.Text()
		if m := resumed.FindStringSubmatch(text); m != nil {
			text = begun[m[1]] + m[3]
		} else if head, ok := strings.CutSuffix(text, " <unfinished ...>"); ok {
			if m := call.FindStringSubmatch(head); m != nil {
				begun[m[1]] = head
			}
			continue
		}
		m := call.FindStringSubmatch(text)
		if m == nil || strings.Contains(m[3], " = -1 ") {
			continue
		}
		name, args := m[2], m[3]
		switch {
		case name == "mmap":
			if m := mappedAt.FindStringSubmatch(args); m != nil {
				mapped[m[2]] = m[1]
			}
		case name == "msync":
			address, _, _ := strings.Cut(args, ",")
			list = append(list, "msync "+mapped[address])
		case strings.HasSuffix(name, "sync"):
			_, path, _ := strings.Cut(args, "<")
			path, _, _ = strings.Cut(path, ">")
			list = append(list, "fsync "+path)
		default:
			list = append(list, name+" "+args)
		}
	}
	return list
}

// count is how many calls have these parts.
func count(list []string, parts ...string) (n int) {
	for _, l := range list {
		if has(l, parts...) {
			n++
		}
	}
	return n
}

func has(l string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(l, part) {
			return false
		}
	}
	return true
}

// last is where the last call with these parts is; -1: nowhere.
func last(list []string, parts ...string) int {
	for i := len(list) - 1; i >= 0; i-- {
		if has(list[i], parts...) {
			return i
		}
	}
	return -1
}

// TestPowerCutBlocks: a block is on the disk, with the name of its file, before who made it
// hears so.
func TestPowerCutBlocks(t *testing.T) {
	d, tr := traced(t, "process")
	list := tr.happened(t)
	named := last(list, "rename", "/journal.new")
	if named < 0 || count(list[:named], "fsync", "/state/journal.new") == 0 || count(list[named:], "fsync", "/state") == 0 {
		t.Errorf("a new journal is not on the disk with its name:\n%s", strings.Join(list, "\n"))
	}
	for _, subject := range []string{"account:a@client-a.example", "account:b@client-a.example"} {
		d.Command(t, "block", "add", subject, "--for", "1h")
		list = tr.happened(t)
		written := last(list, "write", "/state/journal>", subject)
		if written < 0 {
			t.Fatalf("%s is not in the journal:\n%s", subject, strings.Join(list, "\n"))
		}
		synced, answered := written+last(list[written:], "fsync", "/state/journal"), last(list, "write", "HTTP/1.1 200")
		if synced <= written || answered < synced {
			t.Errorf("written, synced and answered as calls %d, %d and %d:\n%s", written, synced, answered, strings.Join(list[written:], "\n"))
		}
	}
	summary(t, "blocks were on the disk before the answer")
}

// TestPowerCutCharges: what a message was charged is on the disk before its answer where
// the durability is "power", a second later where it is "process"; and the file that says
// how far the database is never says more.
func TestPowerCutCharges(t *testing.T) {
	for _, durability := range []string{"power", "process"} {
		t.Run(durability, func(t *testing.T) {
			d, tr := traced(t, durability)
			one(t, d, login)            // what happens once
			time.Sleep(3 * time.Second) // and each second
			for range 3 {
				before := len(tr.happened(t))
				if code := one(t, d, login); code != 250 {
					t.Fatalf("a letter: %d", code)
				}
				fresh := func() []string { return tr.happened(t)[before:] }
				if durability == "power" {
					// The recipient is answered, and the message; strace writes a little later.
					mta.Poll(t, "the answers are traced", func() bool { return count(fresh(), "write", `"\0\0\0\1c"`) == 2 })
					answered := last(fresh(), "write", `"\0\0\0\1c"`)
					if list := fresh(); count(list[:max(0, answered)], "msync", ".mem") == 0 {
						t.Fatalf("answered before it was on the disk:\n%s", strings.Join(list, "\n"))
					}
					continue
				}
				mta.Poll(t, "the charge is on the disk", func() bool { return count(fresh(), "msync", ".mem") > 0 })
				mta.Poll(t, "how far it is stands beside it", func() bool { return count(fresh(), "pwrite64", "/state/progress>") > 0 })
				time.Sleep(1500 * time.Millisecond) // the decision comes a moment later, with a sync of its own
			}
			summary(t, "durability %q: charges were on the disk in time", durability)
		})
	}
}
