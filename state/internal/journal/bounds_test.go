package journal

import (
	"fmt"
	"log/slog"
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	// A doc of 64 KiB is the largest that a store takes.
	largest := doc(strings.Repeat("i", 200), math.MaxInt64, `"`+strings.Repeat("<", 64<<10-2)+`"`)
	add(t, j, largest)
	over := doc("over", 1, `"`+strings.Repeat("x", maxLine)+`"`)
	if err := j.Append(doc("b", 1, "1"), over); err == nil || !strings.Contains(err.Error(), "over") {
		t.Errorf("a line over the longest: %v; want an error with its name", err)
	}
	if err := j.Append(doc("b", 1, "{")); err == nil {
		t.Error("data that is no JSON: no error")
	}
	add(t, j)
	closed(t, j)
	if err := j.Append(doc("b", 1, "1")); err == nil {
		t.Error("append after close: no error")
	}
	closed(t, j)
	open(t, path, largest)
}

// The longest line that is written is read; one byte more is never written.
func TestLongestLine(t *testing.T) {
	fixed, err := appendLine(nil, entry{Seq: 1, Kind: "block", ID: "a", Rev: 1, Data: []byte(`""`)})
	if err != nil {
		t.Fatal(err)
	}
	data := `"` + strings.Repeat("x", maxLine-len(fixed)) + `"`
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	add(t, j, doc("a", 1, data))
	closed(t, j)
	j = open(t, path, doc("a", 1, data))
	if err := j.Append(doc("a", 2, data+" ")); err != nil { // a blank is not kept
		t.Error(err)
	}
	if err := j.Append(doc("a", 3, `"x`+data[1:])); err == nil {
		t.Error("a line one byte too long: no error")
	}
}

// Space is there before it is needed, and the file does not look longer for it.
func TestReserved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	big := `"` + strings.Repeat("x", 60<<10) + `"`
	for i := range 12 {
		add(t, j, doc(fmt.Sprint("d", i), 1, big))
		out, err := exec.Command("stat", "-c", "%b %B %s", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		var blocks, block, size int64
		if _, err := fmt.Sscan(string(out), &blocks, &block, &size); err != nil {
			t.Fatal(err)
		}
		if size != j.size || blocks*block-size < ahead/2-4096 {
			t.Errorf("%d bytes of %d lie behind the last line at %d; want %d", blocks*block-size, blocks*block, j.size, ahead/2)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	const sessions, each = 8, 20
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			for n := range each {
				if err := j.Append(doc(fmt.Sprintf("d%d-%d", i, n), 1, "1")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	closed(t, j)
	again, docs, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if len(docs) != sessions*each || again.Seq() != sessions*each || again.Damage() != "" {
		t.Errorf("%d docs, seq %d, damage %q; want %d", len(docs), again.Seq(), again.Damage(), sessions*each)
	}
}
