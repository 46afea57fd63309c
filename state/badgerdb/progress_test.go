package badgerdb

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func someProgress(n int64) progress {
	return progress{Serial: n, Commit: 10 * n, At: start, Journal: n, Line: n, Wall: start.Add(1), Boot: "b1", Up: time.Hour, Clean: n%2 == 0}
}

func TestProgressFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "progress")
	f, err := openProgress(path)
	if err != nil || f.lost != "there is none" {
		t.Fatalf("%v, lost %q", err, f.lost)
	}
	for n := range int64(5) {
		if err := f.save(someProgress(n + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.file.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || len(text) != 2*progressSlot || bytes.Count(text, []byte("\n")) != 2 {
		t.Fatalf("%d bytes, %v; want two lines", len(text), err)
	}
	again, err := openProgress(path)
	if err != nil || again.lost != "" {
		t.Fatalf("%v, lost %q", err, again.lost)
	}
	defer again.file.Close()
	if d := cmp.Diff(someProgress(5), again.known()); d != "" {
		t.Errorf("progress (-want +got):\n%s", d)
	}
}

// A record that was being written when the power went costs no more than itself.
func TestProgressTorn(t *testing.T) {
	older, err := encodeProgress(someProgress(6))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := encodeProgress(someProgress(7))
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.TrimRight(newer, " \n")
	for i := range len(text) {
		torn := append(append([]byte(nil), newer[:i]...), older[i:]...)
		if got := newest(append(append([]byte(nil), older...), torn...)); got.Serial != 6 && !cmp.Equal(got, someProgress(7)) {
			t.Fatalf("torn at %d: %+v", i, got)
		}
	}
	for _, order := range [][][]byte{{older, newer}, {newer, older}, {newer}, {newer, []byte("x")}} {
		if got := newest(bytes.Join(order, nil)); got.Serial != 7 {
			t.Errorf("%d", got.Serial)
		}
	}
}

// The longest record fits.
func TestProgressFits(t *testing.T) {
	p := progress{
		Serial: math.MinInt64, Commit: math.MinInt64, Journal: math.MinInt64, Line: math.MinInt64, Up: math.MinInt64,
		At: time.Date(2199, 12, 31, 23, 59, 59, 999999999, time.UTC), Wall: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		Boot: "01234567-89ab-cdef-0123-456789abcdef",
	}
	if slot, err := encodeProgress(p); err != nil || len(slot) != progressSlot {
		t.Errorf("%d bytes, %v", len(slot), err)
	}
	p.Boot = fmt.Sprintf("%400s", "x")
	if _, err := encodeProgress(p); err == nil {
		t.Error("a record over the slot: no error")
	}
}

func FuzzProgress(f *testing.F) {
	slot, err := encodeProgress(someProgress(7))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slot)
	f.Add(slot[:100])
	f.Add([]byte("00000000 \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newest(b)
		if p.Serial < 0 {
			t.Fatalf("%+v", p)
		}
		if p.Serial == 0 {
			return
		}
		slot, err := encodeProgress(p)
		if err != nil {
			return // a time that JSON has, and a record too long
		}
		if got := newest(slot); !cmp.Equal(got, p, cmpopts.EquateApproxTime(0)) {
			t.Fatalf("%+v; want %+v", got, p)
		}
	})
}
