package badgerdb

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

func TestTooBig(t *testing.T) {
	s := openAt(t, t.TempDir())
	big := strings.Repeat("x", ledger.MaxDecision)
	for name, d := range map[string]state.Decision{
		"detail":        {ID: "D1", At: start, Detail: []byte(`"` + big + `"`)},
		"subjects":      {ID: "D1", At: start, Subjects: make([]string, ledger.MaxDecisionSubjects+1)},
		"long subjects": {ID: "D1", At: start, Subjects: []string{big[1:], big[1:]}},
		"time":          {ID: "D1"},
	} {
		if err := s.Record(t.Context(), d); err == nil {
			t.Errorf("decision with %s: no error", name)
		}
	}
}

// More than one transaction takes: it is written in parts, and all is there.
func TestLargeBatch(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	const calls, each = 30, 500
	s.writer.turn <- struct{}{} // so that all of it is one batch
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			var many []state.Charge
			for n := range each {
				many = append(many, charges(5, fmt.Sprintf("domain:%s%d-%d", strings.Repeat("d", n%200), i, n))...)
			}
			take(t, s, many)
		})
	}
	until(t, func() bool { return queued(s) == calls })
	<-s.writer.turn
	wg.Wait()
	n := len(keys(t, s))
	if n != calls*each+3 {
		t.Errorf("%d keys; want %d windows and 3 of meta/", n, calls*each)
	}
}
