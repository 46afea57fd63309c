package rules

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/message"
)

// corpus is mail that nobody here wrote; it lies beside the clone where there is one.
const corpus = "../../shared/corpus"

// TestCorpus judges every message of the corpus as sent by its own From: no panic,
// none takes 200 ms, and the table says what each rule makes of it. As the login
// is guessed from the mail, identity refuses only what is broken or contradicts itself.
func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("SKIPPED: no corpus: %v", err)
	}
	b := newBulkBench(t, nil)
	outcomes := map[string]map[string]int{}
	files := 0
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw, err := message.Split(bytes.NewReader(data), 64<<20)
		if err != nil || len(raw.Fields) == 0 {
			return nil // an archive or a list, no message
		}
		files++
		m := asItsOwn(raw)
		took := time.Duration(1 << 62)
		var v Verdict
		for range 3 { // the quickest of three: the machine may be busy
			start := time.Now()
			v = b.Decide(context.Background(), m)
			took = min(took, time.Since(start))
		}
		if v.Rule == "internal.panic" || v.Err != nil {
			t.Errorf("%s: %s: %v", path, v.Rule, v.Err)
		}
		if took > 200*time.Millisecond {
			t.Errorf("%s took %v", path, took)
		}
		rel, _ := filepath.Rel(corpus, path)
		set, _, _ := strings.Cut(rel, string(filepath.Separator))
		if strings.HasPrefix(rel, "spam-assassin/") {
			set = filepath.Dir(rel)
		}
		if outcomes[set] == nil {
			outcomes[set] = map[string]int{}
		}
		outcomes[set][v.Rule]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 2000 {
		t.Errorf("only %d messages", files)
	}
	t.Logf("%d messages\n%s", files, outcomeTable(outcomes))
}

// asItsOwn is the message as if the address in From had sent it to one recipient.
func asItsOwn(raw message.Raw) *Mail {
	m := mail()
	m.Header, m.Size, m.Body = raw.Fields, raw.Size, raw.Body[:min(len(raw.Body), MaxBody)]
	facts := message.Read(raw.Fields)
	m.Login, m.Sender = "nobody@unknown.example", ""
	for _, l := range facts.From {
		for _, a := range l.Addresses {
			if a.Domain != "" && a.Fault == "" {
				m.Login, m.Sender = a.String(), a.String()
				return m
			}
		}
	}
	return m
}

func outcomeTable(outcomes map[string]map[string]int) string {
	var out strings.Builder
	var sets []string
	for set := range outcomes {
		sets = append(sets, set)
	}
	slices.Sort(sets)
	for _, set := range sets {
		fmt.Fprintf(&out, "%-50s", set)
		var ids []string
		for id := range outcomes[set] {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			fmt.Fprintf(&out, "  %s %d", id, outcomes[set][id])
		}
		out.WriteByte('\n')
	}
	return out.String()
}
