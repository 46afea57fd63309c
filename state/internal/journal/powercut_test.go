package journal

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"o2n-milter/state"
)

// disk is what of a folder would be left if the power went now: files as they were when
// they were last synced, under the names that they had when the folder was.
type disk struct {
	t     *testing.T
	dir   string
	files map[string]string      // by name, as of the last sync of the folder
	bytes map[string]string      // by id
	ids   map[string]os.FileInfo // of all files ever synced
}

// watchDisk keeps account of what is synced in dir, in place of doing it.
func watchDisk(t *testing.T, dir string) *disk {
	d := &disk{t: t, dir: dir, files: map[string]string{}, bytes: map[string]string{}, ids: map[string]os.FileInfo{}}
	was := syncFile
	t.Cleanup(func() { syncFile = was })
	syncFile = d.sync
	return d
}

func (d *disk) sync(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return d.syncNames(f.Name())
	}
	if filepath.Dir(f.Name()) != d.dir {
		return nil
	}
	text := make([]byte, info.Size())
	if _, err := f.ReadAt(text, 0); err != nil {
		return err
	}
	d.bytes[d.id(info)] = string(text)
	return nil
}

func (d *disk) syncNames(dir string) error {
	if dir != d.dir {
		return nil
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	clear(d.files)
	for _, entry := range list {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		d.files[entry.Name()] = d.id(info)
	}
	return nil
}

// id is that of a file, whatever its name is.
func (d *disk) id(info os.FileInfo) string {
	for id, known := range d.ids {
		if os.SameFile(known, info) {
			return id
		}
	}
	id := fmt.Sprint(len(d.ids))
	d.ids[id] = info
	return id
}

// cut gives the docs that a journal has after a power cut, and wants it whole.
func (d *disk) cut() []state.Doc {
	d.t.Helper()
	dir := d.t.TempDir()
	for name, id := range d.files {
		write(d.t, filepath.Join(dir, name), d.bytes[id])
	}
	j, docs, err := Open(filepath.Join(dir, "journal"), slog.New(slog.DiscardHandler))
	if err != nil {
		d.t.Fatal(err)
	}
	defer j.Close()
	if j.Damage() != "" {
		d.t.Errorf("after a power cut: %s", j.Damage())
	}
	return slices.DeleteFunc(docs, func(doc state.Doc) bool { return doc.Data == nil })
}

// What Append has returned for outlives a power cut at any moment, also while the file is
// new or was written anew, by name and by content.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	d := watchDisk(t, dir)
	path := filepath.Join(dir, "journal")
	j := open(t, path)
	want := map[string]state.Doc{}
	check := func() {
		t.Helper()
		sorted := make([]state.Doc, 0, len(want))
		for _, doc := range want {
			sorted = append(sorted, doc)
		}
		byID := func(a, b state.Doc) int { return cmp.Compare(a.ID, b.ID) }
		slices.SortFunc(sorted, byID)
		got := d.cut()
		slices.SortFunc(got, byID)
		same(t, got, sorted)
	}
	check()
	for i := range 3 {
		for rev := range int64(slack) / 2 { // the file is written anew on the way
			added := doc(fmt.Sprint("d", i), rev+1, fmt.Sprint(rev))
			add(t, j, added)
			want[added.ID] = added
			if rev < 3 || rev%100 == 0 || strings.Count(text(t, path), "\n") < 20 {
				check()
			}
		}
	}
	check()
	closed(t, j)
}
