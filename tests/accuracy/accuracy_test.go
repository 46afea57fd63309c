package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"o2n-milter/rules"
)

func defaultRules(t *testing.T) rules.Settings {
	t.Helper()
	set, err := defaults()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestBulkIsRecognised is the table in short: a third of the letters, once each. The
// seeds are fixed, so a miss more is a change for the worse.
func TestBulkIsRecognised(t *testing.T) {
	set := defaultRules(t)
	all := slices.Concat(french, english, later)
	var letters []letter
	for i := 0; i < len(all); i += 3 {
		letters = append(letters, all[i])
	}
	for _, m := range mutations {
		f := bulk(set, letters, m, 1, by)
		if f.recognised < f.runs {
			t.Errorf("%s: %d of %d letters recognised by the %dth message", m.name, f.recognised, f.runs, by)
		}
		if got := f.quantile(0); got < 19 {
			t.Errorf("%s: refused after %d messages; 20 recipients make a campaign", m.name, got)
		}
	}
}

// dearly are the honest sets of which some are refused, in letters of sixty: the price
// of recognising the rest.
var dearly = map[string]int{"order confirmations of a shop": 1, "*order confirmations, English*": 3}

func TestHonestMailIsLetThrough(t *testing.T) {
	set := defaultRules(t)
	for _, h := range slices.Concat(honestSets, laterSets) {
		f := judgeHonest(set, h, 1, 60)
		if f.total() > dearly[h.name] {
			t.Errorf("%s: %v of %d refused, want at most %d", h.name, f.byRule, f.sent, dearly[h.name])
		}
	}
}

func TestRealHonestMailIsLetThrough(t *testing.T) {
	dir := filepath.Join("..", "..", corpus)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: no corpus: %v", err)
	}
	sets, err := readHam(dir)
	if err != nil {
		t.Fatal(err)
	}
	set := bulkOnly(defaultRules(t))
	mails := 0
	for _, h := range sets {
		people := strings.HasSuffix(h.name, "person to person")
		f := h.judge(set, author)
		mails += f.sent
		if people && f.list(true) != "0" {
			t.Errorf("%s: refused by %s", h.name, f.list(true))
		}
		// Two pairs of SpamAssassin's are the same alert with and without a line.
		if people && !strings.HasPrefix(h.name, "SpamAssassin") && f.pairs > 0 {
			t.Errorf("%s: %d pairs of letters taken for one", h.name, f.pairs)
		}
	}
	if mails < 400 {
		t.Errorf("only %d mails", mails)
	}
}
