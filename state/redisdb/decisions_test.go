package redisdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

func recorded(t testing.TB, s *Store, d state.Decision) {
	t.Helper()
	if err := s.Record(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

func ids(list []state.Decision) []string {
	var ids []string
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	return ids
}

// More decisions of one millisecond than one page holds: in order of their ns, then
// their ids, whatever part is asked for.
func TestManyOfOneMillisecond(t *testing.T) {
	s := open(t, Options{URL: common(t).url()})
	const n = 3*pageDecisions + 7
	var want []string
	for i := range n {
		at := start.Add(time.Duration(i/2) * time.Microsecond)
		recorded(t, s, state.Decision{ID: fmt.Sprintf("D%04d", i), At: at, Subjects: []string{"account:a"}})
	}
	recorded(t, s, state.Decision{ID: "old", At: start.Add(-time.Second), Subjects: []string{"account:a"}})
	recorded(t, s, state.Decision{ID: "new", At: start.Add(time.Second), Subjects: []string{"account:a"}})
	want = append(want, "new")
	for i := n - 1; i >= 0; i-- {
		if i%2 == 1 { // two of each microsecond
			want = append(want, fmt.Sprintf("D%04d", i-1), fmt.Sprintf("D%04d", i))
		} else if i == n-1 {
			want = append(want, fmt.Sprintf("D%04d", i))
		}
	}
	want = append(want, "old")
	for _, limit := range []int{1, 2, pageDecisions, pageDecisions + 1, n, n + 2, 10 * n} {
		for _, subject := range []string{"account:a", ""} {
			eventually(t, fmt.Sprint("the first ", limit, " of ", subject), func() error {
				got, err := s.Decisions(context.Background(), state.Query{Subject: subject, Limit: limit})
				if d := cmp.Diff(want[:min(limit, len(want))], ids(got)); d != "" || err != nil {
					return fmt.Errorf("%w, (-want +got): %s", err, d)
				}
				return nil
			})
		}
	}
	// Bounds within the millisecond.
	q := state.Query{Subject: "account:a", Since: start.Add(2 * time.Microsecond), Before: start.Add(4 * time.Microsecond), Limit: 100}
	got, err := s.Decisions(t.Context(), q)
	if d := cmp.Diff([]string{"D0006", "D0007", "D0004", "D0005"}, ids(got)); d != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, d)
	}
}

// While the server is away decisions wait, are written when it is back, and those
// that find no room are errors, counted and logged.
func TestDecisionsWhileAway(t *testing.T) {
	srv := newServer(t)
	var log lines
	s := open(t, Options{URL: srv.url(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	srv.kill()
	trip(t, s)
	kept, dropped := 0, 0
	for i := range queued + batch + 100 {
		err := s.Record(t.Context(), state.Decision{ID: fmt.Sprint("D", i), At: start, Subjects: []string{"account:a"}})
		switch {
		case err == nil:
			kept++
		case errors.Is(err, state.ErrUnavailable):
			dropped++
		default:
			t.Fatal(err)
		}
	}
	if kept < queued || kept > queued+batch || dropped == 0 {
		t.Errorf("%d kept, %d dropped; want %d to %d kept", kept, dropped, queued, queued+batch)
	}
	eventually(t, "the loss is told", func() error {
		st, err := s.Status(context.Background(), time.Now())
		if want := fmt.Sprintf("%d decisions were not kept", dropped); err != nil || !strings.Contains(st.Degraded, want) || !log.has("decisions dropped") {
			return fmt.Errorf("status %q, error %w, log %s", st.Degraded, err, &log)
		}
		return nil
	})
	srv.start(t)
	back(t, s)
	eventually(t, "all that were kept are there", func() error {
		if n := srv.do(t, "ZCARD", decisionsKey); n != int64(kept) {
			return fmt.Errorf("%v of %d", n, kept)
		}
		return nil
	})
}

// Close writes what waits.
func TestCloseWritesDecisions(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url()})
	for i := range 1000 {
		recorded(t, s, state.Decision{ID: fmt.Sprint("D", i), At: start})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wants(t, "decisions", srv.do(t, "ZCARD", decisionsKey), 1000)
}

func TestTrim(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url(), Retention: 24 * time.Hour})
	for i := range 10 {
		recorded(t, s, state.Decision{ID: fmt.Sprint("D", i), At: start.Add(time.Duration(i) * time.Second), Subjects: []string{"account:a"}})
	}
	there := func(want int64) {
		t.Helper()
		eventually(t, "the index", func() error {
			if n := srv.do(t, "ZCARD", decisionsKey); n != want {
				return fmt.Errorf("%v decisions; want %d", n, want)
			}
			return nil
		})
	}
	there(10)
	// By number: the oldest go, with their records.
	err := s.link.do(t.Context(), func(ctx context.Context, c redis.UniversalClient) error {
		return errors.Join(trim(ctx, c, 0), trim(ctx, c, 3))
	})
	if err != nil {
		t.Fatal(err)
	}
	there(7)
	if _, err := s.Decision(t.Context(), "D2"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("decision D2: %v; want %v", err, state.ErrNotFound)
	}
	got, err := s.Decisions(t.Context(), state.Query{Subject: "account:a", Limit: 100})
	if d := cmp.Diff([]string{"D9", "D8", "D7", "D6", "D5", "D4", "D3"}, ids(got)); d != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, d)
	}
	// By time: from a day before the newest on.
	recorded(t, s, state.Decision{ID: "late", At: start.Add(24*time.Hour + 8*time.Second), Subjects: []string{"account:a"}})
	there(3)
	wants(t, "index of the subject", srv.do(t, "ZCARD", byKey("account:a")), 3)
}

// An index that somebody has broken is logged; the decisions themselves are written.
func TestBrokenIndex(t *testing.T) {
	srv := common(t)
	var log lines
	s := open(t, Options{URL: srv.url(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	srv.do(t, "SET", byKey("account:a"), "junk")
	recorded(t, s, state.Decision{ID: "D1", At: start, Subjects: []string{"account:a"}})
	recorded(t, s, state.Decision{ID: "D2", At: start, Subjects: []string{"account:b"}})
	for _, id := range []string{"D1", "D2"} {
		eventually(t, id, func() error { _, err := s.Decision(context.Background(), id); return err })
	}
	if !log.has("a decision's index is damaged") || s.link.fault() != nil {
		t.Errorf("log %s, link %v; want a line, and the link up", &log, s.link.fault())
	}
	srv.do(t, "SET", decisionKey("D3"), "junk")
	if _, err := s.Decision(t.Context(), "D3"); err == nil || !strings.Contains(err.Error(), decisionKey("D3")) || errors.Is(err, state.ErrUnavailable) {
		t.Errorf("decision D3: %v; want an error that names the key", err)
	}
}

func TestDecisionsTooBig(t *testing.T) {
	s := open(t, Options{URL: common(t).url()})
	for name, d := range map[string]state.Decision{
		"detail":   {ID: "D1", At: start, Detail: []byte(`"` + strings.Repeat("x", ledger.MaxDecision) + `"`)},
		"subjects": {ID: "D1", At: start, Subjects: make([]string, ledger.MaxDecisionSubjects+1)},
		"time":     {ID: "D1"},
		"id":       {At: start},
		"no JSON":  {ID: "D1", At: start, Detail: []byte("{")},
	} {
		if err := s.Record(t.Context(), d); err == nil {
			t.Errorf("decision with %s: no error", name)
		}
	}
}
