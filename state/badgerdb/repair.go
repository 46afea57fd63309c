package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"

	"o2n-milter/state"
)

// Badger, given a table that is damaged or missing, does not open, or dies; given a
// MANIFEST (its list of tables) that is cut short, it deletes what the rest of the
// list named. So this looks first, and takes out of the list what cannot be used.
// Where the list is not whole, tables that it does not name are put back at level 0,
// at which tables may overlap: of two values of a key the newer version counts,
// wherever it is.

// badgerVersion of the MANIFEST is what this Badger writes (badgerMagicVersion there).
const badgerVersion = 8

// maxTable bounds what is taken for a table, in bytes: Badger makes them of 2 MB at
// the upper levels, and twice that at each one below.
const maxTable = 512 << 20

const manifestName = badger.ManifestFilename

// shelf is what the database's folder holds before it is opened.
type shelf struct {
	listed map[uint64]badger.TableManifest // by the MANIFEST
	fault  string                          // why the MANIFEST cannot be read; empty when it can
	torn   bool                            // its end is missing
	faults map[uint64]string               // of the tables there; empty when whole
}

// plan is what to do about it.
type plan struct {
	tables map[uint64]badger.TableManifest // what the new MANIFEST is to list
	aside  []string                        // files to take out
	faults []string                        // what was damaged, in words
	notes  []string                        // what is odd, and lost nothing by itself
}

func (p plan) change() bool { return len(p.faults) > 0 || len(p.notes) > 0 }

// plan decides; it touches nothing.
func (sh shelf) plan() plan {
	p := plan{tables: make(map[uint64]badger.TableManifest)}
	whole := sh.fault == "" && !sh.torn
	if sh.fault != "" {
		p.faults = append(p.faults, fmt.Sprintf("the database's list of tables (MANIFEST) %s; it is made anew from the tables there", sh.fault))
	}
	for _, id := range slices.Sorted(maps.Keys(sh.listed)) {
		fault, there := sh.faults[id]
		switch {
		case !there:
			whole = false
			p.faults = append(p.faults, fmt.Sprintf("table %s is missing", tableName(id)))
		case fault != "":
			p.aside = append(p.aside, tableName(id))
			p.faults = append(p.faults, fmt.Sprintf("table %s is damaged and left out (%s)", tableName(id), fault))
		default:
			p.tables[id] = sh.listed[id]
		}
	}
	if whole {
		return p // tables not listed are leftovers, which Badger removes
	}
	for _, id := range slices.Sorted(maps.Keys(sh.faults)) {
		if _, ok := sh.listed[id]; ok {
			continue
		}
		if fault := sh.faults[id]; fault != "" {
			p.aside = append(p.aside, tableName(id))
			p.faults = append(p.faults, fmt.Sprintf("table %s is damaged and left out (%s)", tableName(id), fault))
			continue
		}
		p.tables[id] = badger.TableManifest{Level: 0, Compression: options.None}
		p.notes = append(p.notes, fmt.Sprintf("table %s was not listed and is put back", tableName(id)))
	}
	return p
}

func tableName(id uint64) string { return filepath.Base(table.NewFilename(id, "")) }

// survey reads the folder. Every table's checksums are looked at: at some 1 GB/s from
// memory, or as fast as the disk is.
func survey(dir string) (shelf, error) {
	sh := shelf{faults: make(map[uint64]string)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return sh, err
	}
	for _, e := range entries {
		id, ok, _ := tableID(e.Name())
		if !ok || e.IsDir() {
			continue
		}
		sh.faults[id] = ""
		if err := checkTable(filepath.Join(dir, e.Name()), id); err != nil {
			sh.faults[id] = err.Error()
		}
	}
	return sh, sh.readManifest(dir)
}

// tableID is the number in a table's name; odd is a name that Badger takes for a
// table's, and would not have given.
func tableID(name string) (id uint64, ok, odd bool) {
	digits, ok := strings.CutSuffix(name, ".sst")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return 0, false, false
	}
	if n < 0 || tableName(uint64(n)) != name {
		return 0, false, true
	}
	return uint64(n), true, false
}

// checkTable reads a table whole. Badger panics on some that are cut short.
func checkTable(path string, id uint64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("it is cut short")
		}
	}()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() == 0 || info.Size() > maxTable {
		return fmt.Errorf("it has %d bytes", info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t, err := table.OpenInMemoryTable(data, id, &table.Options{})
	if err == nil {
		err = t.VerifyChecksum()
	}
	if err != nil {
		return errors.New("its checksum does not agree")
	}
	return nil
}

// readManifest fills in what the MANIFEST says; state.ErrNewer is the only fault that is an error.
func (sh *shelf) readManifest(dir string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			sh.fault, err = "is damaged", nil
		}
	}()
	f, err := os.Open(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		if len(sh.faults) > 0 {
			sh.fault = "is missing"
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var head [8]byte
	if n, _ := f.ReadAt(head[:], 0); n == len(head) && string(head[:4]) == "Bdgr" {
		// Twice this version is no version yet; a flipped bit is likelier.
		if v := binary.BigEndian.Uint16(head[6:]); v > badgerVersion && v < 2*badgerVersion {
			return state.ErrNewer // of a later Badger: not damage
		}
	}
	manifest, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		sh.fault = "is damaged"
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sh.listed, sh.torn = manifest.Tables, end < info.Size()
	return nil
}

// repair makes the database's folder fit to be opened, and says what was damaged.
func (f *folder) repair(now time.Time) (faults []string, err error) {
	dir := f.database()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err := errors.Join(f.removeEmpty(), f.removeOdd(now)); err != nil {
		return nil, err
	}
	began := time.Now()
	sh, err := survey(dir)
	if err != nil {
		return nil, err
	}
	if took := time.Since(began); took > time.Second {
		f.log.Info("store: tables looked at", "tables", len(sh.faults), "took", took.Round(time.Millisecond))
	}
	p := sh.plan()
	if !p.change() {
		return nil, nil
	}
	for _, note := range p.notes {
		f.log.Warn("store: repair", "note", note)
	}
	return p.faults, f.carryOut(p, now)
}

// removeEmpty removes log files of length 0: they were made and never written to,
// and Badger does not open with one.
func (f *folder) removeEmpty() error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, err := filepath.Glob(filepath.Join(f.database(), pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			if info.Size() > 0 {
				continue
			}
			f.log.Warn("store: an empty file of the database is removed", "file", name)
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeOdd sets aside what Badger would take for a table of its own, and end the
// process for (-1.sst), or not open for (1.sst).
func (f *folder) removeOdd(now time.Time) error {
	entries, err := os.ReadDir(f.database())
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if _, _, odd := tableID(e.Name()); odd {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil
	}
	bad, err := f.setFilesAside(now, names)
	f.log.Warn("store: files that are not the database's are set aside", "files", names, "in", bad)
	return err
}

// carryOut puts a new MANIFEST in the place of the old one. Dying between any two
// steps leaves a folder that the next repair makes whole.
func (f *folder) carryOut(p plan, now time.Time) error {
	path := filepath.Join(f.database(), manifestName)
	fresh := path + "-NEW"
	if err := os.WriteFile(fresh, encodeManifest(p.tables), 0o600); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		p.aside = append(p.aside, manifestName)
	}
	if _, err := f.setFilesAside(now, p.aside); err != nil {
		return err
	}
	if err := syncFile(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	if err := syncDir(f.database()); err != nil {
		return err
	}
	return f.checkManifest(p.tables)
}

// checkManifest makes sure that Badger reads what was written.
func (f *folder) checkManifest(want map[uint64]badger.TableManifest) error {
	var sh shelf
	if err := sh.readManifest(f.database()); err != nil {
		return err
	}
	if sh.fault != "" || sh.torn || !maps.Equal(sh.listed, want) {
		return fmt.Errorf("the new %s does not list the %d tables that it should", manifestName, len(want))
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// encodeManifest writes what Badger's helpRewrite does: "Bdgr", two versions of two
// bytes, and one set of changes with its length and CRC-32C. The changes are
// protobuf: field 1 of the set; of each, 1 is the id, 3 the level (2, the operation,
// and 6, the compression, are 0 and so left out).
func encodeManifest(tables map[uint64]badger.TableManifest) []byte {
	var set []byte
	for _, id := range slices.Sorted(maps.Keys(tables)) {
		change := binary.AppendUvarint([]byte{1 << 3}, id)
		if level := tables[id].Level; level > 0 {
			change = binary.AppendUvarint(append(change, 3<<3), uint64(level))
		}
		set = binary.AppendUvarint(append(set, 1<<3|2), uint64(len(change)))
		set = append(set, change...)
	}
	text := append([]byte("Bdgr"), 0, 0)
	text = binary.BigEndian.AppendUint16(text, badgerVersion)
	text = binary.BigEndian.AppendUint32(text, uint32(len(set)))
	text = binary.BigEndian.AppendUint32(text, crc32.Checksum(set, castagnoli))
	return append(text, set...)
}
