package badgerdb

import (
	"strings"
	"testing"
	"time"
)

// at is the time of the n-th second.
func second(n int64) time.Time { return start.Add(time.Duration(n) * time.Second) }

// marksOf makes the marks of commits 1 to n, one each second.
func marksOf(n int64) (marks []found) {
	var c chain
	for i := range n {
		grown, m, _ := c.with(i+1, second(i+1))
		marks, c = append(marks, found{i + 1, m}), grown
	}
	return marks
}

func without(marks []found, commits ...int64) (rest []found) {
	for _, m := range marks {
		keep := true
		for _, c := range commits {
			keep = keep && m.commit != c
		}
		if keep {
			rest = append(rest, m)
		}
	}
	return rest
}

func TestGaps(t *testing.T) {
	whole := marksOf(9)
	unnamed := append([]found(nil), whole...)
	unnamed[5].Before = whole[3].commit // commit 5 was told to have failed, and got through
	for _, test := range []struct {
		name  string
		marks []found
		want  []string // parts of the faults
	}{
		{"none", nil, nil},
		{"one", whole[:1], nil},
		{"whole", whole, nil},
		{"the end, which the progress file knows", whole[:5], nil},
		{"the middle", without(whole, 4, 5), []string{"between 2026-03-01T12:00:03Z and 2026-03-01T12:00:06Z"}},
		{"two parts", without(whole, 2, 6, 7), []string{"between 2026-03-01T12:00:01Z and 2026-03-01T12:00:03Z", "between 2026-03-01T12:00:05Z and 2026-03-01T12:00:08Z"}},
		{"the beginning", without(whole, 1, 2), []string{"between the beginning and 2026-03-01T12:00:03Z"}},
		{"a mark that no other names", unnamed, nil},
	} {
		got := gaps(test.marks)
		if len(got) != len(test.want) {
			t.Errorf("%s: %q; want %q", test.name, got, test.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], test.want[i]) {
				t.Errorf("%s: %q; want %q in it", test.name, got[i], test.want[i])
			}
		}
	}
}

// Of the oldest marks those that are to go may be gone, or not yet.
func TestChainIsBounded(t *testing.T) {
	var c chain
	var marks []found
	for i := range int64(keptMarks + 5) {
		grown, m, gone := c.with(i+1, second(i+1))
		if want := max(0, int(i)+1-keptMarks); len(gone) != min(want, 1) || len(grown) > keptMarks {
			t.Fatalf("commit %d: %d go, %d kept", i+1, len(gone), len(grown))
		}
		marks, c = append(marks, found{i + 1, m}), grown
	}
	if got := gaps(marks); got != nil {
		t.Errorf("with the old ones: %q", got)
	}
	if got := gaps(marks[5:]); got != nil {
		t.Errorf("without the old ones: %q", got)
	}
	if got := gaps(marks[6:]); len(got) != 1 {
		t.Errorf("without one too many: %q; want a gap", got)
	}
}

func TestRolledBack(t *testing.T) {
	p := progress{Commit: 100, At: second(100)}
	for _, test := range []struct {
		here stand
		want string
	}{
		{stand{Commit: 101}, ""},
		{stand{Commit: 100}, ""},
		{stand{Commit: 99, At: second(98)}, "ends at commit 99 of 2026-03-01T12:01:38Z, though commit 100 of 2026-03-01T12:01:40Z"},
		{stand{}, "is empty, though commit 100"},
	} {
		if got := rolledBack(test.here, p); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%d: %q; want %q", test.here.Commit, got, test.want)
		}
	}
	if got := rolledBack(stand{}, progress{}); got != "" {
		t.Errorf("both new: %q", got)
	}
}
