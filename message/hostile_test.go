package message

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	hostileDir = "../../shared/hostile"
	corpusDir  = "../../shared/corpus"
)

// own is the hostile set's account: client.fr and everything below it.
func own(a Address) bool {
	return a.Fault == "" && (a.Domain == "client.fr" || strings.HasSuffix(a.Domain, ".client.fr"))
}

// pass is the plain ownership policy: one From field, no fault, all of it the
// account's.
func pass(f Facts) bool {
	if len(f.From) != 1 || len(f.Faults) > 0 || f.From[0].Fault != "" || len(f.From[0].Addresses) == 0 {
		return false
	}
	return !slices.ContainsFunc(f.From[0].Addresses, func(a Address) bool { return !own(a) })
}

// flagged: a foreign address in a display name, or in a field that steers answers.
func flagged(f Facts) bool {
	foreign := func(a Address) bool { return !own(a) }
	for _, l := range f.From {
		if slices.ContainsFunc(l.Named, foreign) {
			return true
		}
	}
	for _, lists := range [][]List{f.Sender, f.ReplyTo, f.Steering} {
		for _, l := range lists {
			if slices.ContainsFunc(l.Addresses, foreign) {
				return true
			}
		}
	}
	return false
}

func splitFile(t *testing.T, path string) (Raw, Facts) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Split(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return raw, Read(raw.Fields)
}

func TestHostile(t *testing.T) {
	table, err := os.ReadFile(filepath.Join(hostileDir, "EXPECTED.tsv"))
	if err != nil {
		t.Skipf("SKIPPED: the hostile messages are not here: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(table)) {
		cols := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") || len(cols) != 3 || cols[0] == "name" {
			continue
		}
		seen++
		t.Run(cols[0], func(t *testing.T) {
			_, facts := splitFile(t, filepath.Join(hostileDir, cols[0]+".eml"))
			want := cols[1]
			if got := pass(facts); got != (want != "reject") {
				t.Errorf("pass = %v, want verdict %s (%s)\nFrom %+v\nFaults %q", got, want, cols[2], facts.From, facts.Faults)
			}
			if want == "flag" && !flagged(facts) {
				t.Errorf("no foreign address found in names or steering fields: %+v", facts)
			}
			for _, reason := range facts.Faults {
				t.Errorf("fault %q in what an MTA hands over", reason)
			}
		})
	}
	if seen < 90 {
		t.Errorf("only %d rows in EXPECTED.tsv", seen)
	}
}

// TestCorpus reads mail that nobody here wrote: no panic, none over 200 ms, and
// how it comes out.
func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpusDir); err != nil {
		t.Skipf("SKIPPED: the corpus is not here: %v", err)
	}
	count := map[string]int{}
	var slowest time.Duration
	runtime.LockOSThread() // for processorTime
	defer runtime.UnlockOSThread()
	err := filepath.WalkDir(corpusDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		begin := processorTime(t)
		raw, err := Split(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return err
		}
		facts := Read(raw.Fields)
		took := processorTime(t) - begin
		slowest = max(slowest, took)
		if took > 200*time.Millisecond {
			t.Errorf("%s took %v", path, took)
		}
		outcomes(facts, count)
		begin = processorTime(t)
		body := ReadBody(raw.Fields, raw.Body)
		if took := processorTime(t) - begin; took > 200*time.Millisecond {
			t.Errorf("%s: the body took %v", path, took)
		}
		checkBody(t, body)
		bodyOutcomes(body, count)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(count))
	for name := range count {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("%6d %s", count[name], name)
	}
	t.Logf("slowest %v", slowest)
	if count["files"] < 1000 {
		t.Errorf("only %d files read", count["files"])
	}
}

func bodyOutcomes(b Body, count map[string]int) {
	count["body: raw: "+b.Raw]++
	switch {
	case b.Text == "" && len(b.Files) == 0:
		count["body: nothing seen, no file"]++
	case b.Text == "":
		count["body: nothing seen"]++
	}
	if b.Cut {
		count["body: cut"]++
	}
	if b.Report != "" {
		count["body: report "+b.Report]++
	}
	if b.Calendar != "" {
		count["body: calendar "+b.Calendar]++
	}
}

func outcomes(f Facts, count map[string]int) {
	count["files"]++
	for _, reason := range f.Faults {
		count["header: "+reason]++
	}
	switch len(f.From) {
	case 0:
		count["From: none"]++
		return
	case 1:
	default:
		count["From: several fields"]++
	}
	from := f.From[0]
	switch {
	case from.Fault != "":
		count["From: "+from.Fault]++
	case from.Lenient && len(from.Addresses) == 0:
		count["From: unparsable, no address"]++
	case from.Lenient:
		count["From: unparsable, addresses found"]++
	case len(from.Addresses) == 0:
		count["From: parsed, no address"]++
	default:
		count["From: parsed"]++
	}
	if len(from.Addresses) > 1 {
		count["From: several addresses"]++
	}
	for _, a := range from.Addresses {
		if a.Fault != "" {
			count["From address: "+a.Fault]++
		}
	}
	if len(from.Named) > 0 {
		count["From: address in the name"]++
	}
	for _, l := range f.To {
		if l.Lenient {
			count["To: unparsable"]++
		}
	}
}
