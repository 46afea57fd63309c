package badgerdb

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// updateFixture writes the folder of this version's format. Those of released versions
// stay as they are for ever: go test ./state/badgerdb -run TestFormatsOfReleases -update-fixture
var updateFixture = flag.Bool("update-fixture", false, "write testdata/format-N.tar.gz of the present format")

func fixture(n int) string { return fmt.Sprintf("testdata/format-%d.tar.gz", n) }

// keptOf is what is in each fixture.
var (
	keptBlock    = state.Block{ID: "7K3QF2M9", Subject: "account:thief@client-a.example", Since: start, Until: start.Add(24 * time.Hour), Reason: "spam"}
	keptDecision = state.Decision{ID: "3XW0P5RB", At: start, Action: "reject", Rule: "limit.daily", Account: "alice@client-a.example"}
	keptCharges  = charges(9, "account:alice@client-a.example", "customer:C-1001")
	keptLetter   = letter("account:alice@client-a.example", "bob@remote.example", "carol@remote.example")
)

// A folder of each released format is opened without damage, with all that it held.
func TestFormatsOfReleases(t *testing.T) {
	now := reading{wall: start.Add(time.Second), boot: "fixture", up: time.Hour}
	if *updateFixture {
		path := t.TempDir()
		s := openWith(t, path, &now)
		take(t, s, keptCharges)
		take(t, s, keptCharges)
		send(t, s, keptLetter)
		if err := errors.Join(s.AddBlock(t.Context(), keptBlock), s.Record(t.Context(), keptDecision)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		pack(t, path, fixture(format))
	}
	for n := 2; n <= format; n++ {
		t.Run(fmt.Sprint("format ", n), func(t *testing.T) {
			path := t.TempDir()
			unpack(t, fixture(n), path)
			s := openWith(t, path, &now)
			if d := degraded(t, s); d != "" {
				t.Errorf("degraded %q", d)
			}
			for _, c := range keptCharges {
				if u := used(t, s, c.Subject); u != 2 {
					t.Errorf("%s: used %d; want 2", c.Subject, u)
				}
			}
			blocks, err := s.ActiveBlocks(t.Context(), start, []string{keptBlock.Subject})
			if err != nil || !cmp.Equal(blocks, []state.Block{keptBlock}) {
				t.Errorf("blocks %+v, %v", blocks, err)
			}
			decision, err := s.Decision(t.Context(), keptDecision.ID)
			if err != nil || decision.Rule != keptDecision.Rule || !decision.At.Equal(keptDecision.At) {
				t.Errorf("decision %+v, %v", decision, err)
			}
			if n := send(t, s, keptLetter); n != 2 {
				t.Errorf("a letter like the one before has gone to %d; want 2", n)
			}
		})
	}
}

// pack writes the files of a folder, without the holes in them that Badger leaves.
func pack(t *testing.T, dir, file string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(out)
	list := tar.NewWriter(packed)
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		err = list.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), ModTime: start})
		if err == nil {
			_, err = list.Write(text)
		}
		return err
	})
	if err = errors.Join(err, list.Close(), packed.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func unpack(t *testing.T, file, dir string) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	packed, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	for list := tar.NewReader(packed); ; {
		h, err := list.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		text, err := io.ReadAll(list)
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
