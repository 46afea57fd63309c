package badgerdb

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/tests/campaign"
)

// modelled is what a store of decisions should say.
type modelled []state.Decision

// query is the answer: of an id that came up again the newest counts.
func (m modelled) query(q state.Query) []state.Decision {
	newest := make(map[string]state.Decision)
	for _, d := range m {
		if old, ok := newest[d.ID]; !ok || !d.At.Before(old.At) {
			newest[d.ID] = d
		}
	}
	found := []state.Decision{}
	for _, d := range newest {
		if q.Wants(d) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b state.Decision) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return found[:min(len(found), q.Limit)]
}

// pick is one of some names, or none.
func pick(rnd *rand.Rand, kind string, n int) string {
	if i := rnd.IntN(n + 1); i < n {
		return fmt.Sprint(kind, i)
	}
	return ""
}

func anyQuery(rnd *rand.Rand, m modelled) state.Query {
	q := state.Query{Limit: 1 + rnd.IntN(1+rnd.IntN(400))}
	if rnd.IntN(2) == 0 {
		q.Subject = pick(rnd, "account:", 9)
	}
	if rnd.IntN(3) == 0 {
		q.Recipient = pick(rnd, "r", 20)
	}
	if rnd.IntN(4) == 0 {
		q.Rule, q.Action = pick(rnd, "limit.", 4), pick(rnd, "act", 3)
	}
	if rnd.IntN(3) == 0 {
		d := m[rnd.IntN(len(m))]
		q.Before, q.Past = d.At.Add(time.Duration(rnd.IntN(2))), pick(rnd, d.ID[:1], 700)
	}
	if rnd.IntN(3) == 0 {
		q.Since = m[rnd.IntN(len(m))].At
	}
	return q
}

// Decisions of few times, some with ids that came up before, in an order of their own,
// written in drafts and pages as chance will have it, with restarts: each query gives what
// a list of all would.
func TestHistoryModel(t *testing.T) {
	for seed := range uint64(2) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		path := t.TempDir()
		s := openAt(t, path)
		var m modelled
		used := make(map[string]bool)
		for i := range 900 {
			d := state.Decision{
				ID: fmt.Sprint("D", rnd.IntN(700)), At: start.Add(time.Duration(i/40*100+rnd.IntN(300)) * time.Second),
				Action: fmt.Sprint("act", rnd.IntN(3)), Rule: fmt.Sprint("limit.", rnd.IntN(4)), Account: fmt.Sprint(i),
				Subjects: []string{fmt.Sprint("account:", rnd.IntN(9)), "customer:C"}, To: []string{fmt.Sprint("r", rnd.IntN(20))},
			}
			// Which of two with one id and one time counts is not said.
			if name := d.ID + d.At.String(); used[name] {
				continue
			} else {
				used[name] = true
			}
			m = append(m, d)
			if err := s.Record(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			switch rnd.IntN(100) {
			case 0, 1, 2:
				keepAll(t, s)
			case 3:
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openAt(t, path)
			}
			if i%10 > 0 {
				continue
			}
			q := anyQuery(rnd, m)
			got, err := s.Decisions(t.Context(), q)
			if diff := gocmp.Diff(m.query(q), got); diff != "" || err != nil {
				t.Fatalf("seed %d, after %d: %+v: %v (-want +got):\n%s", seed, i+1, q, err, diff)
			}
			all := m.query(state.Query{Limit: len(m)})
			want := all[rnd.IntN(len(all))]
			if d, err := s.Decision(t.Context(), want.ID); err != nil || gocmp.Diff(want, d) != "" {
				t.Fatalf("seed %d, after %d: decision %s: %v, %v; want %v", seed, i+1, want.ID, d, err, want)
			}
		}
		keepAll(t, s)
		t.Logf("seed %d: %d pages, %d drafts", seed, having(t, s, decisionsPrefix), having(t, s, draftPrefix))
	}
}

// childDecisions makes the test binary record decisions in the store it names, to be killed.
const childDecisions = "O2N_TEST_DECISIONS"

// decisionsChild records from several sessions, in bursts and one by one.
func decisionsChild(path string) {
	s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("child:", err)
		return
	}
	for i := range childSessions {
		go func() {
			for n := 0; ; n++ {
				d := state.Decision{
					ID: fmt.Sprintf("%d-%d-%d", os.Getpid(), i, n), At: time.Now(), Subjects: []string{fmt.Sprintf("account:%d-%d", os.Getpid(), i)}, Rcpts: n,
				}
				if err := s.Record(context.Background(), d); err != nil {
					fmt.Println("child:", err)
					os.Exit(1)
				}
				if n == 50 {
					fmt.Println("recorded")
				}
				if n/100%2 == 0 {
					time.Sleep(time.Duration(1+i) * time.Millisecond)
				}
			}
		}()
	}
	select {}
}

// Killed at any moment, between drafts and while they become pages: of each session's
// decisions the first so many are there, each once.
func TestDecisionsKilled(t *testing.T) {
	path := t.TempDir()
	rounds := 5
	if campaign.Long() {
		rounds = 40
	}
	var pids []int
	total := 0
	for round := range rounds {
		pids = append(pids, killedDecisions(t, path, time.Duration(20+67*round%300)*time.Millisecond))
		s := openAt(t, path)
		n := 0
		for _, pid := range pids {
			for i := range childSessions {
				list, err := s.Decisions(t.Context(), state.Query{Subject: fmt.Sprintf("account:%d-%d", pid, i), Limit: 1 << 20})
				if err != nil {
					t.Fatal(err)
				}
				n += len(list)
				for at, d := range list {
					if d.Rcpts != len(list)-1-at {
						t.Fatalf("round %d: decision %d of %d is %s", round, at, len(list), d.ID)
					}
				}
			}
		}
		if n <= total {
			t.Errorf("round %d: %d decisions, %d the round before", round, n, total)
		}
		total = n
		counted(t, s)
		t.Logf("round %d: %d decisions, %d pages, %d drafts", round, n, having(t, s, decisionsPrefix), having(t, s, draftPrefix))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killedDecisions runs a child, kills it after this time of work, and says which it was.
func killedDecisions(t *testing.T, path string, after time.Duration) (pid int) {
	t.Helper()
	cmd := self(t, childDecisions+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer guard.Stop()
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if sc.Text() != "recorded" {
			t.Fatalf("child said %q", sc.Text())
		}
		time.AfterFunc(after, func() { cmd.Process.Signal(syscall.SIGKILL) })
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("child ended by itself")
	}
	return cmd.Process.Pid
}
