package stats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
)

func hit(at time.Time, list ...rules.Hit) *rules.Verdict {
	return &rules.Verdict{At: at, Rule: "none", Action: rules.Accept, Hits: list}
}

func wantShadow(t *testing.T, c *Counter, now time.Time, want ...ShadowCount) {
	t.Helper()
	got, err := c.Shadow(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]ShadowCount{}, want...), got); diff != "" {
		t.Errorf("shadow (-want +got):\n%s", diff)
	}
}

func flush(t *testing.T, c *Counter, now time.Time) {
	t.Helper()
	if err := c.Flush(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

// Hosts and days add up, flushed or not, also after a restart.
func TestShadow(t *testing.T) {
	store := memory.New()
	a, b := counter(store, "a"), counter(store, "b")
	wantShadow(t, a, start)
	x, y := rules.Hit{Rule: "identity.sender", Subject: "account:x"}, rules.Hit{Rule: "limit.day", Subject: "customer:y"}
	a.Count(hit(start, x))
	flush(t, a, start)
	next := start.Add(24 * time.Hour)
	a.Count(hit(next, x, y))
	b.Count(hit(start.Add(-time.Second), x))
	flush(t, b, next)
	want := []ShadowCount{{x.Rule, x.Subject, 3, start.Add(-time.Second), next}, {y.Rule, y.Subject, 1, next, next}}
	wantShadow(t, a, next, want...)
	for range 2 { // the second adds nothing
		flush(t, a, next)
		wantShadow(t, a, next, want...)
	}
	wantShadow(t, counter(store, "a"), next, want...)
}

// Counts go with the day that they are of, after 30 days or what is configured.
func TestShadowIsForgotten(t *testing.T) {
	for keep, days := range map[time.Duration]int{0: 30, 2 * 24 * time.Hour: 2, 90 * 24 * time.Hour: 30} {
		store := memory.New()
		c := counter(store, "a")
		c.KeepShadow(keep)
		c.Count(hit(start, rules.Hit{Rule: "r", Subject: "account:x"}))
		flush(t, c, start)
		last := start.Truncate(24 * time.Hour).Add(time.Duration(days+1)*24*time.Hour - 1)
		flush(t, c, last)
		wantShadow(t, c, last, ShadowCount{"r", "account:x", 1, start, start})
		wantShadow(t, c, last.Add(1))
		flush(t, c, last.Add(time.Hour))
		if docs, err := store.Docs(t.Context(), shadowKind); err != nil || len(docs) > 0 {
			t.Errorf("%v: left: %v, %v", keep, docs, err)
		}
	}
}

// However many are hit, a day's doc can be kept, those with most hits have their own
// count, and no message is lost from the sum.
func TestShadowIsBounded(t *testing.T) {
	store := memory.New()
	c := counter(store, "a")
	often := rules.Hit{Rule: "r", Subject: "account:often"}
	c.Count(hit(start, often))
	for i := range mostShadow + 100 {
		c.Count(hit(start, rules.Hit{Rule: "r", Subject: fmt.Sprintf("account:%s%d", strings.Repeat("n", i%300), i)}))
	}
	c.Count(hit(start, often))
	flush(t, c, start)
	docs, err := store.Docs(t.Context(), shadowKind)
	if err != nil || len(docs) != 1 || len(docs[0].Data) > mostDoc {
		t.Fatalf("%d docs, %v", len(docs), err)
	}
	list, err := c.Shadow(t.Context(), start)
	if err != nil || len(list) < 100 {
		t.Fatalf("%d pairs, %v", len(list), err)
	}
	var sum, ofOften int64
	for _, s := range list {
		sum += s.Count
		if s.Subject == often.Subject {
			ofOften = s.Count
		}
	}
	if sum != mostShadow+102 || ofOften != 2 || list[0].Subject != "" {
		t.Errorf("sum %d, of %s %d, first %+v", sum, often.Subject, ofOften, list[0])
	}
}

// lameDocs keeps nothing for a while.
type lameDocs struct {
	state.Store
	lame bool
}

func (s *lameDocs) PutDoc(ctx context.Context, d state.Doc) (state.Doc, error) {
	if s.lame {
		return d, state.ErrUnavailable
	}
	return s.Store.PutDoc(ctx, d)
}

// What cannot be kept waits.
func TestShadowWaitsForTheStore(t *testing.T) {
	store := &lameDocs{memory.New(), true}
	c := counter(store, "a")
	c.Count(hit(start, rules.Hit{Rule: "r", Subject: "account:x"}))
	if err := c.Flush(t.Context(), start); !errors.Is(err, state.ErrUnavailable) {
		t.Fatal(err)
	}
	// The hour's counts come first and are what failed: those of shadow are tried too.
	c.mu.Lock()
	err := c.flushShadow(t.Context())
	c.mu.Unlock()
	if !errors.Is(err, state.ErrUnavailable) {
		t.Fatal(err)
	}
	want := ShadowCount{"r", "account:x", 1, start, start}
	wantShadow(t, c, start, want)
	store.lame = false
	flush(t, c, start)
	wantShadow(t, c, start, want)
	wantShadow(t, counter(store, "b"), start, want)
}
