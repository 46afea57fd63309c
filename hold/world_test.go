package hold

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

const thisHost = "web1.example"

// world is a Keeper among a store, rules and an MTA, with a clock that a test sets.
type world struct {
	*testing.T
	*Keeper
	ctx    context.Context
	now    time.Time
	base   state.Store // what survives a crash
	store  *badStore
	mta    *fakeMTA
	engine *rules.Engine
	rules  rules.Settings
	set    Settings

	reports []string // sent to
	texts   []string
	sendErr error
	tries   int // to send one
	ids     int
	died    int
	log     *strings.Builder
}

// newWorld has a limit of 10 a minute by script, which holds local submissions.
func newWorld(t *testing.T) *world {
	w := &world{T: t, ctx: t.Context(), now: start, base: memory.New(), log: &strings.Builder{}}
	w.mta = &fakeMTA{world: w, host: thisHost, queue: map[string]*queued{}}
	w.set = Settings{MaxAge: 72 * time.Hour, MaxPerSubject: 1000, MaxMessages: 10_000, Language: "en"}
	w.rules = rules.Settings{
		Actions: map[string]rules.Action{}, Hosts: []string{thisHost}, Language: "en",
		MaxVisible: 100, MaxEnvelope: 1000, MaxDuplicates: 1, Blocking: rules.Blocking{Automatic: rules.Off},
	}
	for _, id := range rules.IDs() {
		w.rules.Actions[id] = rules.Reject
		if strings.HasPrefix(id, "bulk.") || strings.HasPrefix(id, "content.") {
			w.rules.Actions[id] = rules.Off
		}
	}
	w.rules.Actions["store.unavailable"], w.rules.Actions["accounts.unavailable"] = rules.Tempfail, rules.Tempfail
	w.rules.Actions["hold.full"] = rules.Tempfail
	w.limit("minute", "script", 10, time.Minute)
	w.start()
	return w
}

// limit adds one that defers, and so holds.
func (w *world) limit(name, subject string, most int64, window time.Duration) {
	w.rules.Limits = append(slices.Clone(w.rules.Limits), rules.Limit{
		Name: name, Subject: subject, Unit: rules.Messages, Max: most, Window: window, Action: rules.Tempfail,
	})
}

// start begins a process on what the last one left.
func (w *world) start() {
	w.store = &badStore{Store: w.base, world: w}
	w.Keeper = New(Options{
		Store: w.store, Agent: w.mta, Log: slog.New(slog.NewTextHandler(io.MultiWriter(w.log), nil)),
		Rules: func() *rules.Engine { return w.engine },
		Send: func(_ context.Context, _ time.Time, to string, text func(string) []byte) error {
			w.mta.step()
			w.tries++
			if w.sendErr == nil {
				w.reports, w.texts = append(w.reports, to), append(w.texts, string(text("VALUE")))
			}
			w.mta.step()
			return w.sendErr
		},
		Lasting: func(err error) bool { return strings.Contains(err.Error(), "550") },
	}, w.set)
	w.configure()
}

// configure brings changed settings into force.
func (w *world) configure() {
	w.Helper()
	table, clashes := accounts.NewTable([]*accounts.Account{
		{Login: "alice@client-a.example", Customer: "C-1", Plan: "mailbox", Domains: []string{"client-a.example"}},
		{Login: "shop", Customer: "C-2", Domains: []string{"shop.example"}, Scripts: []string{"shop@web1.example"}},
	})
	if len(clashes) > 0 {
		w.Fatal(clashes)
	}
	w.rules.Hold = w.Put
	w.engine = rules.New(w.rules, table, w.store, func() time.Time { return w.now })
	w.Configure(w.set)
}

// submit has a local program send, and says what became of it. What passes arrives
// at once.
func (w *world) submit(user string, to ...string) rules.Verdict {
	w.Helper()
	w.ids++
	w.now = w.now.Add(time.Millisecond)
	if len(to) == 0 {
		to = []string{"bob@remote.example"}
	}
	m := &rules.Mail{
		Local: true, Host: thisHost, Sender: user + "@web1.example", QueueID: fmt.Sprintf("Q%05d", w.ids), Size: 1000, CanHold: true,
		Header: []message.Field{{Name: "From", Value: user + "@web1.example"}, {Name: "To", Value: "bob@remote.example"}, {Name: "Subject", Value: "hello"}},
	}
	for _, a := range to {
		m.Recipients = append(m.Recipients, rules.Recipient{Address: a})
	}
	v := w.engine.Decide(w.ctx, m)
	q := &queued{Queued: Queued{ID: m.QueueID, Queue: QueueHold, Arrived: w.now.Truncate(time.Second), From: m.Sender, Recipients: to, Count: len(to)}}
	switch v.Action {
	case rules.Accept:
		w.mta.arrived = append(w.mta.arrived, arrival{m.QueueID, user, w.now, false})
	case rules.Quarantine:
		w.mta.queue[m.QueueID] = q
	}
	return v
}

// held submits mail that is held.
func (w *world) held(user string, n int) {
	w.Helper()
	for range n {
		if v := w.submit(user); v.Action != rules.Quarantine {
			w.Fatalf("%s %s; want it held: %v", v.Action, v.Rule, v.Err)
		}
	}
}

// burst submits n at once, of which the first ten pass.
func (w *world) burst(user string, n int) { w.Helper(); w.burst2(user, 10, n) }

// burst2 submits n at once, of which the first few pass.
func (w *world) burst2(user string, pass, n int) {
	w.Helper()
	for i := range n {
		want := rules.Quarantine
		if i < pass {
			want = rules.Accept
		}
		if v := w.submit(user); v.Action != want {
			w.Fatalf("message %d: %s %s; want %s: %v", i, v.Action, v.Rule, want, v.Err)
		}
	}
}

// run lets time pass, from one wanted step to the next.
func (w *world) run(d time.Duration) {
	w.Helper()
	end, still := w.now.Add(d), 0
	for !w.now.After(end) {
		next := w.stepOrDie()
		if still++; next.After(w.now) {
			still = 0
			w.now = next
		}
		if still > 1000 {
			w.Fatal("it does not rest")
		}
		w.mta.deliver()
	}
	w.now = end
}

// stepOrDie is a Step; when the process dies in it another one begins.
func (w *world) stepOrDie() (next time.Time) {
	defer func() {
		if p := recover(); p != nil {
			if _, is := p.(crash); !is {
				panic(p)
			}
			w.died++
			w.start()
			next = w.now
		}
	}()
	return w.Step(w.ctx, w.now)
}

// records are the held mail as the store has it, by state.
func (w *world) records() map[state.HeldState]int {
	w.Helper()
	list, err := state.Records[state.Held](w.ctx, w.base)
	if err != nil {
		w.Fatal(err)
	}
	count := map[state.HeldState]int{}
	for _, h := range list {
		count[h.State]++
	}
	return count
}

// wants wants so many records of each state, and no other.
func (w *world) wants(want map[state.HeldState]int) {
	w.Helper()
	got := w.records()
	for s, n := range want {
		if got[s] != n {
			w.Errorf("%d records are %s; want %d (%v)", got[s], s, n, got)
		}
		delete(got, s)
	}
	if len(got) > 0 {
		w.Errorf("also %v", got)
	}
}

// all are the records in the order of their decisions.
func (w *world) all() []state.Held {
	w.Helper()
	list, err := state.Records[state.Held](w.ctx, w.base)
	if err != nil {
		w.Fatal(err)
	}
	slices.SortFunc(list, func(a, b state.Held) int { return strings.Compare(a.QueueID, b.QueueID) })
	return list
}

// wish writes what somebody wants.
func (w *world) wish(h state.Held, wish state.Wish) {
	w.Helper()
	h.Wish, h.WishBy = wish, "root"
	if err := state.PutRecord(w.ctx, w.base, &h); err != nil {
		w.Fatal(err)
	}
}

// neverOver wants at most so many arrivals of each user in any window.
func (w *world) neverOver(most int, window time.Duration) {
	w.Helper()
	w.neverOverOf(w.mta.arrived, most, window)
}

func (w *world) neverOverOf(arrived []arrival, most int, window time.Duration) {
	w.Helper()
	by := map[string][]arrival{}
	for _, a := range arrived {
		by[a.user] = append(by[a.user], a)
	}
	for user, list := range by {
		slices.SortStableFunc(list, func(a, b arrival) int { return a.at.Compare(b.at) })
		for i := most; i < len(list); i++ {
			if gap := list[i].at.Sub(list[i-most].at); gap < window {
				w.Errorf("%s: %d messages within %s, the last at %s", user, most+1, gap, list[i].at.Sub(start))
				return
			}
		}
	}
}

// inOrder wants arrivals of each user once, and in the order of their submission.
func (w *world) inOrder(n int) {
	w.Helper()
	last, seen := map[string]string{}, map[string]bool{}
	for _, a := range w.mta.arrived {
		if seen[a.id] || a.id < last[a.user] {
			w.Errorf("%s of %s arrives after %s, or twice", a.id, a.user, last[a.user])
		}
		seen[a.id], last[a.user] = true, a.id
	}
	if len(seen) != n {
		w.Errorf("%d arrived; want %d", len(seen), n)
	}
}

// once wants so many to have arrived, each once.
func (w *world) once(n int) {
	w.Helper()
	seen := map[string]bool{}
	for _, a := range w.mta.arrived {
		if seen[a.id] {
			w.Errorf("%s arrives twice", a.id)
		}
		seen[a.id] = true
	}
	if len(seen) != n {
		w.Errorf("%d arrived; want %d", len(seen), n)
	}
}
