// Package statetest is the one suite that every state.Store must pass. Nothing in
// it knows a driver.
package statetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// start is a third of a second into a slot of every window used here, so that
// slots and messages do not begin together.
var start = time.Date(2026, 3, 1, 12, 0, 0, 333_000_000, time.UTC)

// Run runs the suite. Open returns a fresh, empty store for each test; the suite
// closes it.
func Run(t *testing.T, open func(t *testing.T) state.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"max", testMax},
		{"edge", testEdge},
		{"clock set back", testClockBack},
		{"late call", testLateCall},
		{"length changed", testLengthChanged},
		{"max changed", testMaxChanged},
		{"all or nothing", testAllOrNothing},
		{"same window twice", testSameWindow},
		{"count only", testCountOnly},
		{"cost", testCost},
		{"nonsense", testNonsense},
		{"usage", testUsage},
		{"reset", testReset},
		{"odd names", testOddNames},
		{"race for one window", testRace},
		{"race for mixed windows", testMixedRace},
		{"model", testModel},
		{"answer", testAnswer},
		{"blocks in the way", testAskBlocks},
		{"dry", testDry},
		{"new recipients", testNewRecipients},
		{"remember", testRemember},
		{"set of one message", testSetOfOneMessage},
		{"who becomes known", testWhoBecomesKnown},
		{"set bound", testSetBound},
		{"reset clears sets", testResetClearsSets},
		{"odd sets", testOddSets},
		{"set nonsense", testSetNonsense},
		{"race for a set", testSetRace},
		{"campaign", testCampaign},
		{"near", testNear},
		{"end of a campaign", testCampaignEnds},
		{"bound of campaigns", testCampaignsBound},
		{"campaigns that are over", testCampaignsOver},
		{"dry letter", testDryLetter},
		{"letter all or nothing", testLetterAllOrNothing},
		{"letter blocked", testLetterBlocked},
		{"letters of one message", testLettersOfOneMessage},
		{"letter to nobody", testLetterToNobody},
		{"reset clears campaigns", testResetClearsCampaigns},
		{"odd letters", testOddLetters},
		{"letter nonsense", testLetterNonsense},
		{"race for a campaign", testLetterRace},
		{"docs", testDocs},
		{"docs of subjects", testDocsOf},
		{"changed docs", testChangedDocs},
		{"doc copies", testDocCopies},
		{"doc nonsense", testDocNonsense},
		{"blocks are docs", testBlockDocs},
		{"race for a doc", testDocRace},
		{"blocks", testBlocks},
		{"block states", testBlockStates},
		{"blocks of subjects", testBlocksOf},
		{"lift", testLift},
		{"large block", testLargeBlock},
		{"lift race", testLiftRace},
		{"decisions", testDecisions},
		{"query", testQuery},
		{"filters", testFilters},
		{"pages", testPages},
		{"many decisions", testManyDecisions},
		{"cancelled", testCancelled},
		{"status", testStatus},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("second close: %v", err)
				}
			})
			test.run(t, &suite{T: t, Store: s, ctx: context.Background()})
		})
	}
}

// suite is a store under test with the checks that the tests share.
type suite struct {
	*testing.T
	state.Store
	ctx context.Context
}

func window(limit, subject string, length time.Duration, limitMax int64) state.Window {
	return state.Window{Limit: limit, Subject: subject, Length: length, Max: limitMax}
}

func charge(w state.Window, cost int64) state.Charge { return state.Charge{Window: w, Cost: cost} }

// take wants no error, and these reports.
func (s *suite) take(now time.Time, charges []state.Charge, want ...state.Full) {
	s.Helper()
	answer, err := s.Take(s.ctx, now, state.Ask{Charges: charges})
	if err != nil {
		s.Fatalf("take: %v", err)
	}
	if d := cmp.Diff(want, answer.Full); d != "" {
		s.Fatalf("take at %s: full (-want +got):\n%s", now.Format(time.RFC3339Nano), d)
	}
}

// used wants each window to hold this much.
func (s *suite) used(now time.Time, windows []state.Window, want ...int64) {
	s.Helper()
	usage, err := s.Usage(s.ctx, now, windows)
	if err != nil {
		s.Fatalf("usage: %v", err)
	}
	got := make([]int64, len(usage))
	for i, u := range usage {
		got[i] = u.Used
	}
	if d := cmp.Diff(want, got); d != "" {
		s.Fatalf("used at %s (-want +got):\n%s", now.Format(time.RFC3339Nano), d)
	}
}

func testCancelled(_ *testing.T, s *suite) {
	w := window("minute", "account:a", time.Minute, 10)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	calls := map[string]func() error{
		"take": func() error {
			_, err := s.Take(ctx, start, state.Ask{Charges: []state.Charge{charge(w, 1)}})
			return err
		},
		"usage":     func() error { _, err := s.Usage(ctx, start, []state.Window{w}); return err },
		"reset":     func() error { _, err := s.Reset(ctx, w.Subject); return err },
		"active":    func() error { _, err := s.ActiveBlocks(ctx, start, []string{w.Subject}); return err },
		"add":       func() error { return s.AddBlock(ctx, block("B1", w.Subject, 0)) },
		"blocks":    func() error { _, err := s.Blocks(ctx); return err },
		"lift":      func() error { _, err := s.LiftBlock(ctx, "B1", start, "op", ""); return err },
		"record":    func() error { return s.Record(ctx, decision("D1", 0, w.Subject)) },
		"decision":  func() error { _, err := s.Decision(ctx, "D1"); return err },
		"decisions": func() error { _, err := s.Decisions(ctx, state.Query{Subject: w.Subject, Limit: 1}); return err },
		"status":    func() error { _, err := s.Status(ctx, start); return err },
		"put doc":   func() error { _, err := s.PutDoc(ctx, doc("note", "a", 0, "1")); return err },
		"docs":      func() error { _, err := s.Docs(ctx, "note"); return err },
		"blocks of": func() error { _, err := s.BlocksOf(ctx, []string{w.Subject}); return err },
		"changed":   func() error { _, err := s.ChangedDocs(ctx, "note", nil); return err },
		"docs of":   func() error { _, err := s.DocsOf(ctx, "note", []string{w.Subject}); return err },
	}
	for name, call := range calls {
		if err := call(); err == nil {
			s.Errorf("%s: no error though the context had ended", name)
		}
	}
	s.used(start, []state.Window{w}, 0)
	if all, err := s.Blocks(s.ctx); err != nil || len(all) != 0 {
		s.Errorf("blocks after a cancelled add: %v, %v", all, err)
	}
}

func testStatus(_ *testing.T, s *suite) {
	s.take(start, []state.Charge{charge(window("minute", "account:a", time.Minute, 1), 1)})
	got, err := s.Status(s.ctx, start)
	if err != nil {
		s.Fatal(err)
	}
	if got.Backend == "" || got.Degraded != "" || !got.LastCommit.Equal(start) {
		s.Errorf("status: %+v; want a backend's name, not degraded, last commit at %s", got, start)
	}
}
