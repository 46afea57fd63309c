package stats

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
)

var start = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)

func verdict(at time.Time, rule string, action rules.Action, subjects ...string) *rules.Verdict {
	return &rules.Verdict{At: at, Rule: rule, Action: action, Subjects: subjects}
}

func counter(store state.Store, host string) *Counter {
	return New(store, host, slog.New(slog.DiscardHandler))
}

func dayOfAll(t *testing.T, c *Counter, now time.Time) Day {
	t.Helper()
	day, err := c.Day(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return day
}

func TestDay(t *testing.T) {
	store := memory.New()
	a, b := counter(store, "a"), counter(store, "b")
	hour := start.Truncate(time.Hour)
	a.Count(verdict(start, "none", rules.Accept, "account:x", "customer:1"))
	a.Count(verdict(start, "none", rules.Accept, "account:x"))
	a.Count(verdict(start, "none", rules.Tag, "account:y"))
	a.Count(verdict(start, "none", rules.Accept)) // inbound: nobody's
	b.Count(verdict(start, "limit.minute", rules.Tempfail, "account:x"))
	b.Count(verdict(start, "limit.minute", rules.Quarantine, "account:x"))
	b.Count(verdict(hour.Add(-23*time.Hour), "block.active", rules.Reject, "account:z"))
	b.Count(verdict(hour.Add(-23*time.Hour-1), "block.active", rules.Reject, "account:old"))
	if err := b.Flush(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	want := Day{
		Rules: []RuleCount{
			{"none", "accept", 3}, {"block.active", "reject", 1}, {"limit.minute", "quarantine", 1},
			{"limit.minute", "tempfail", 1}, {"none", "tag", 1},
		},
		Senders: []SenderCount{{"account:x", 4, 2}, {"account:z", 1, 1}, {"account:y", 1, 0}},
	}
	check := func(when string) {
		t.Helper()
		day := dayOfAll(t, a, start)
		if !slices.Equal(day.Rules, want.Rules) || !slices.Equal(day.Senders, want.Senders) {
			t.Errorf("%s: %+v", when, day)
		}
		if len(day.Hours) != 24 || !day.Hours[0].At.Equal(hour.Add(-23*time.Hour)) || !day.Hours[23].At.Equal(hour) {
			t.Errorf("%s: hours %+v", when, day.Hours)
		}
		if day.Hours[23].Counts["none accept"] != want.Rules[0].Count || day.Hours[0].Counts["block.active reject"] != 1 || len(day.Hours[5].Counts) != 0 {
			t.Errorf("%s: hours %+v", when, day.Hours)
		}
	}
	check("one host has not flushed")
	for range 2 { // the second has nothing to add
		if err := a.Flush(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		check("all have flushed")
	}
	a = counter(store, "a") // the daemon starts anew
	check("after a restart")
	a.Count(verdict(start, "none", rules.Accept, "account:x"))
	want.Rules[0].Count++
	want.Senders[0].Messages++
	check("after a restart, one more")
	if err := a.Flush(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	check("flushed into the same doc")
	docs, err := store.Docs(t.Context(), kind)
	if err != nil || len(docs) != 4 {
		t.Errorf("%d docs, want one for each host and hour: %+v, %v", len(docs), docs, err)
	}
}

func TestPrune(t *testing.T) {
	store := memory.New()
	hour := start.Truncate(time.Hour)
	for _, at := range []time.Time{hour.Add(-keep - time.Hour), hour.Add(-keep), hour} {
		c := counter(store, "gone.example")
		c.Count(verdict(at, "none", rules.Accept, "account:x"))
		if err := c.Flush(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.PutDoc(t.Context(), state.Doc{Kind: kind, ID: "odd", Data: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	c := counter(store, "here")
	for range 2 {
		if err := c.Flush(t.Context(), start); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := store.Docs(t.Context(), kind)
	if err != nil || len(docs) != 2 || !hourOf(docs[0].ID).Equal(hour.Add(-keep)) {
		t.Errorf("%+v, %v", docs, err)
	}
	if err := c.Flush(t.Context(), start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if docs, err = store.Docs(t.Context(), kind); err != nil || len(docs) != 1 {
		t.Errorf("an hour later: %+v, %v", docs, err)
	}
}

// away is a store that is away, or that somebody else writes to first.
type away struct {
	state.Store
	err   error
	first func()
}

func (s *away) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if s.err != nil {
		return state.Doc{}, s.err
	}
	if f := s.first; f != nil {
		s.first = nil
		f()
	}
	return s.Store.PutDoc(ctx, doc)
}

func TestStoreAway(t *testing.T) {
	store := &away{Store: memory.New(), err: errors.New("away")}
	var log bytes.Buffer
	c := New(store, "a", slog.New(slog.NewTextHandler(&log, nil)))
	for i := range mostHours + 1 {
		c.Count(verdict(start.Add(time.Duration(i)*time.Hour), "none", rules.Accept, "account:x"))
		if err := c.Flush(t.Context(), start); !errors.Is(err, store.err) {
			t.Fatal(err)
		}
		if dropped := strings.Contains(log.String(), "dropped"); dropped != (i == mostHours) {
			t.Errorf("hour %d: dropped is %v", i, dropped)
		}
	}
	store.err = nil
	now := start.Add(mostHours * time.Hour)
	if err := c.Flush(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if day := dayOfAll(t, c, now); day.Rules[0].Count != mostHours {
		t.Errorf("%+v", day.Rules)
	}
}

// Two processes of one host at once: both counts are kept.
func TestConflict(t *testing.T) {
	store := &away{Store: memory.New()}
	a, b := counter(store, "a"), counter(store.Store, "a")
	a.Count(verdict(start, "none", rules.Accept, "account:x"))
	b.Count(verdict(start, "none", rules.Accept, "account:y"))
	store.first = func() {
		if err := b.Flush(t.Context(), start); err != nil {
			t.Error(err)
		}
	}
	if err := a.Flush(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	if day := dayOfAll(t, a, start); day.Rules[0].Count != 2 || len(day.Senders) != 2 {
		t.Errorf("%+v", day)
	}
}

// What somebody else wrote is said to be unreadable, not passed over.
func TestUnreadable(t *testing.T) {
	store := memory.New()
	c := counter(store, "a")
	id := (&record{At: start, Host: "a"}).id()
	if _, err := store.PutDoc(t.Context(), state.Doc{Kind: kind, ID: id, Data: json.RawMessage(`{"at":1}`)}); err != nil {
		t.Fatal(err)
	}
	c.Count(verdict(start, "none", rules.Accept, "account:x"))
	if err := c.Flush(t.Context(), start); err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("flush: %v", err)
	}
	if _, err := c.Day(t.Context(), start); err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("day: %v", err)
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		c := counter(store, "a")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			c.Run(ctx, time.Now)
			close(done)
		}()
		docs := func() int {
			synctest.Wait()
			list, err := store.Docs(context.Background(), kind)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		now := time.Now()
		c.Count(verdict(now, "none", rules.Accept, "account:x"))
		time.Sleep(time.Minute - time.Nanosecond)
		if n := docs(); n != 0 {
			t.Errorf("%d docs before the minute is over", n)
		}
		time.Sleep(time.Nanosecond)
		if n := docs(); n != 1 {
			t.Errorf("%d docs after a minute", n)
		}
		c.Count(verdict(now.Add(-2*time.Hour), "none", rules.Accept, "account:x"))
		cancel()
		<-done
		if n := docs(); n != 2 {
			t.Errorf("%d docs at the end", n)
		}
	})
}

func TestCountRace(t *testing.T) {
	c := counter(memory.New(), "a")
	const each, workers = 500, 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				c.Count(verdict(start, "none", rules.Accept, fmt.Sprint("account:", (w+i)%10)))
			}
		})
	}
	for range 20 {
		wg.Go(func() {
			if err := c.Flush(context.Background(), start); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	day := dayOfAll(t, c, start)
	sum := int64(0)
	for _, s := range day.Senders {
		sum += s.Messages
	}
	if day.Rules[0].Count != each*workers || sum != each*workers {
		t.Errorf("%+v", day)
	}
}

// Ten who send a lot are found among a hundred thousand who send once.
func TestHeavySenders(t *testing.T) {
	c := counter(memory.New(), "a")
	for i := range 100_000 {
		c.Count(verdict(start, "none", rules.Accept, fmt.Sprint("account:once-", i)))
		if i%10 == 0 {
			action := rules.Accept
			if i%20 == 0 {
				action = rules.Reject
			}
			c.Count(verdict(start, "none", action, fmt.Sprint("account:heavy-", i/10%10)))
		}
	}
	day := dayOfAll(t, c, start)
	for i, s := range day.Senders[:10] {
		// Each has sent 1,000; a count is never more, and little less.
		if !strings.HasPrefix(s.Subject, "account:heavy-") || s.Messages > 1000 || s.Messages < 900 || s.Refused > s.Messages {
			t.Errorf("place %d: %+v", i, s)
		}
	}
	if len(day.Senders) != mostSenders {
		t.Errorf("%d senders", len(day.Senders))
	}
}

func TestSendersAreBounded(t *testing.T) {
	var s senders
	for i := range tracked + 1 {
		s.add(fmt.Sprint(i), uint64(i%2), false)
		if want := min(i+1, tracked); len(s.list) != want || len(s.hashes) != want {
			t.Errorf("after %d: %d, %d", i+1, len(s.list), len(s.hashes))
		}
	}
}

// Whoever makes room has sent least.
func TestLeast(t *testing.T) {
	var s senders
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		name := fmt.Sprint(int(math.Abs(random.NormFloat64()) * 50))
		if s.find(name, uint64(len(name))) < 0 && len(s.list) == tracked {
			lowest := slices.MinFunc(s.list, func(a, b sender) int { return cmp.Compare(a.rank, b.rank) }).rank
			if at := s.least(); s.list[at].rank != lowest {
				t.Fatalf("rank %d makes room, the lowest is %d", s.list[at].rank, lowest)
			}
		}
		s.add(name, uint64(len(name)), false)
	}
}

// A doc fits the store whatever the names are, and so does an odd host's name.
func TestDocFits(t *testing.T) {
	store := memory.New()
	c := counter(store, strings.Repeat("h/%\u00e9 ", 100))
	for i := range 2000 {
		c.Count(verdict(start, fmt.Sprint("limit.", i), rules.Accept, fmt.Sprint("account:", i, strings.Repeat("<", 400))))
	}
	if err := c.Flush(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	docs, err := store.Docs(t.Context(), kind)
	if err != nil || len(docs) != 1 || len(docs[0].Data) > mostDoc {
		t.Fatalf("%+v, %v", docs, err)
	}
	r, err := decode(docs[0])
	if err != nil || len(r.Counts) != mostRules || len(r.Senders) == 0 || len(r.Senders[0].Subject) != mostName {
		t.Errorf("%d counts, %d senders, %v", len(r.Counts), len(r.Senders), err)
	}
	if counter(store, "").host != "localhost" {
		t.Error("no name for a host without one")
	}
}

func BenchmarkCount(b *testing.B) {
	c := counter(memory.New(), "a")
	b.RunParallel(func(pb *testing.PB) {
		v := verdict(start, "none", rules.Accept, "")
		for i := 0; pb.Next(); i++ {
			v.Subjects[0] = names[i%len(names)]
			c.Count(v)
		}
	})
}

// names are far more than are tracked: each is looked up, most make room.
var names = func() []string {
	list := make([]string, 10_000)
	for i := range list {
		list[i] = fmt.Sprint("account:", i)
	}
	return list
}()
