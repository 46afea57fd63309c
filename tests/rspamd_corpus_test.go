//go:build mta

package tests

import (
	"bytes"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/content"
	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/tests/mta"
)

// corpus is mail that nobody here wrote; it lies beside the clone where there is one.
const corpus = "../../shared/corpus"

// TestRspamdCorpus: each message of the corpus, broken ones too, gets a score, quickly.
func TestRspamdCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("SKIPPED: no corpus: %v", err)
	}
	engine, err := content.New(content.Options{
		URL: mta.NewRspamd(t).Socket, Timeout: 6 * time.Second, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Observe: func(time.Duration, *content.Fault) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	scores := map[string][]float64{}
	var took []time.Duration
	err = filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
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
		start := time.Now()
		score, err := engine.Score(t.Context(), &rules.Mail{
			Client: netip.MustParseAddr("192.0.2.7"), Login: "alice@client-a.example", Sender: "alice@client-a.example",
			Recipients: []rules.Recipient{{Address: "friend@remote.example"}}, Header: raw.Fields,
			Body: raw.Body[:min(len(raw.Body), rules.MaxBody)], Size: raw.Size,
		})
		took = append(took, time.Since(start))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		if set, is := strings.CutPrefix(filepath.Dir(path), corpus+"/spam-assassin/"); is {
			scores[set] = append(scores[set], score.Score)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(took) < 2000 {
		t.Errorf("only %d messages", len(took))
	}
	slices.Sort(took)
	t.Logf("%d messages: half within %v, 99 of 100 within %v, the longest %v", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	for set, list := range scores {
		slices.Sort(list)
		t.Logf("%s: %d messages, half below %.1f, 9 of 10 below %.1f, highest %.1f", set, len(list), list[len(list)/2], list[len(list)*9/10], list[len(list)-1])
	}
}
