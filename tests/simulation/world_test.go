package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/hold"
	"o2n-milter/notify"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/badgerdb"
	"o2n-milter/state/memory"
	"o2n-milter/tests/simulation/faulty"
	"o2n-milter/web/desk"
)

// world is the filter among its store, an MTA and people, with clocks that an episode
// sets, and the model beside it.
type world struct {
	ctx     context.Context
	setup   setup
	now     time.Time // true time
	skew    time.Duration
	base    state.Store
	folder  string // of base; empty: it is in memory
	store   *faulty.Store
	source  accounts.Source
	engine  *rules.Engine
	variant int             // of the rules in force
	begun   map[int]session // messages that began under rules of before
	keeper  *hold.Keeper
	desk    *desk.Desk
	notes   *notify.Notifier
	events  []notify.Event // that people are to be told of
	mta     *mta
	model   *model
	log     *alarms

	ids     int
	plan    []event      // faults to come
	other   *event       // what somebody on another host is about to do
	came    *state.Block // what he did in this turn,
	wrong   error        // with what the keeper has paid for in this turn
	inTime  bool         // before the store was asked for the last time whether it may pass
	since   int          // calls since the last was planned
	met     int          // faults so far
	hanging context.CancelFunc
	turn    string // whose calls of the store these are
	taken   []state.Ask
	paid    int // releases that were charged
	left    int // that left and had to pay
	last    map[*person]*letter
	failed  []string               // methods of the calls that went wrong in this turn
	read    map[string]*state.Held // records of held mail, as last read
	orphans map[string]bool        // on hold, and the process that knew of it is dead
	verdict map[string]int
	count   map[string]int
}

// session is a message that began.
type session struct {
	engine  *rules.Engine
	variant int // of its rules
}

// alarms counts what people are told of.
type alarms struct {
	slog.Handler
	n    int
	last string
}

func (a *alarms) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		a.n++
		a.last = r.Message
	}
	return nil
}

func (a *alarms) WithAttrs([]slog.Attr) slog.Handler           { return a }
func (a *alarms) WithGroup(string) slog.Handler                { return a }
func (a *alarms) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// watcher sees what the store has really taken, whatever became of the answer.
type watcher struct {
	state.Store
	*world
}

func (s watcher) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	answer, err := s.Store.Take(ctx, now, ask)
	if err == nil && !ask.Dry && wasCharged(ask, answer) {
		s.taken = append(s.taken, ask)
		if s.turn == "keeper" {
			s.wrong = errors.Join(s.wrong, s.paidFor(ask))
		}
	}
	return answer, err
}

func wasCharged(ask state.Ask, answer state.Answer) bool {
	full := slices.ContainsFunc(answer.Full, func(f state.Full) bool { return !ask.Charges[f.Index].CountOnly })
	over := slices.ContainsFunc(answer.Campaigns, func(c state.Campaign) bool { return c.Full })
	return len(answer.Blocks) == 0 && !full && !over
}

// newWorld is one at the beginning of an episode. With a folder the store is a real one.
func newWorld(s setup, folder string) (*world, error) {
	w := &world{
		ctx: context.Background(), setup: s, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), folder: folder, source: source(),
		model: newModel(), log: &alarms{Handler: slog.NewTextHandler(io.Discard, nil)}, begun: map[int]session{}, last: map[*person]*letter{},
		orphans: map[string]bool{}, read: map[string]*state.Held{}, verdict: map[string]int{}, count: map[string]int{},
	}
	w.mta = &mta{queue: map[string]*queued{}, now: w.clock}
	w.base = memory.New()
	if folder != "" {
		w.now = time.Now().UTC().Round(0) // its clock begins with the host's
		if err := w.open(); err != nil {
			return nil, err
		}
	}
	w.start()
	return w, nil
}

func (w *world) clock() time.Time { return w.now.Add(w.skew) }

func (w *world) open() (err error) {
	w.base, err = badgerdb.Open(badgerdb.Options{Path: w.folder, Log: slog.New(slog.DiscardHandler)})
	return err
}

// start begins a process on what the last one left.
func (w *world) start() {
	logger := slog.New(w.log)
	w.store = &faulty.Store{Store: watcher{w.base, w}, Plan: w.goes}
	w.keeper = hold.New(hold.Options{
		Store: w.store, Agent: w.mta, Log: logger, Rules: func() *rules.Engine { return w.engine },
		Send:    func(context.Context, time.Time, string, func(string) []byte) error { return nil },
		Lasting: func(error) bool { return false },
	}, hold.Settings{MaxAge: 72 * time.Hour, MaxPerSubject: 1000, MaxMessages: 10_000, Language: "en"})
	w.desk = &desk.Desk{Store: w.store, Judge: judge{w}, Log: logger, Now: w.clock, Sessions: func() int { return 0 }}
	w.desk.Changed = func(e desk.Event) {
		w.events = append(w.events, notify.Event{What: e.What, At: w.clock(), Block: e.Block, Request: e.Request})
	}
	var err error
	w.notes, err = notify.New(notify.Options{Store: w.store, Log: logger, Now: w.clock, Host: host}, notify.Settings{Operator: []string{"root@" + host}, Customer: true})
	if err != nil {
		panic(err) // of settings of our own
	}
	w.engine = nil
	w.begun = map[int]session{}
	w.configure(w.variant)
}

// configure brings rules into force.
func (w *world) configure(variant int) {
	set := w.setup.settings(variant)
	set.Hold = w.keeper.Put
	w.variant = variant
	if w.engine == nil {
		w.engine = rules.New(set, w.source, w.store, w.clock)
		return
	}
	w.engine = w.engine.Next(set, w.source)
	w.keeper.Configure(hold.Settings{MaxAge: 72 * time.Hour, MaxPerSubject: 1000, MaxMessages: 10_000, Language: "en"})
}

// judge answers the desk under the rules of now.
type judge struct{ w *world }

func (j judge) WindowsOf(ctx context.Context, now time.Time, subject string) ([]rules.Window, error) {
	return j.w.engine.WindowsOf(ctx, now, subject)
}

func (j judge) Account(ctx context.Context, login string) (*accounts.Account, error) {
	return j.w.engine.AccountOf(ctx, login)
}

func (j judge) Settings() *rules.Settings { return j.w.engine.Settings() }

// elsewhere is what somebody on another host does just before a call of the store.
func (w *world) elsewhere(method string) {
	if w.other == nil || w.turn == "" {
		return
	}
	if w.other.a--; w.other.a > 0 {
		return
	}
	w.count["blocks meanwhile"]++
	b := state.Block{
		ID: fmt.Sprintf("BX%d-%d", w.ids, w.count["blocks meanwhile"]), Subject: w.subject(w.other.b), Rule: "manual", Reason: "abuse", By: "another",
		Since: w.clock().UTC().Truncate(time.Second), Until: w.clock().UTC().Truncate(time.Second).Add(time.Hour),
	}
	w.other = nil
	if err := w.base.AddBlock(w.ctx, b); err != nil {
		panic(err) // of a store that is well
	}
	w.model.blocks.put(b.ID, b)
	w.came, w.inTime = &b, len(w.taken) == 0 && (method == "ActiveBlocks" || method == "DocsOf" || method == "Take")
}

// goes says how a call of the store goes.
func (w *world) goes(_ int, method string) faulty.Way {
	w.elsewhere(method)
	if len(w.plan) == 0 {
		return faulty.Well
	}
	w.since++
	p := &w.plan[0]
	if w.since < p.a {
		return faulty.Well
	}
	way := faulty.Ways[p.b]
	if p.c--; p.c <= 0 {
		w.plan, w.since = w.plan[1:], 0
	}
	w.met++
	w.failed = append(w.failed, method+" "+way.String())
	if way == faulty.Hangs {
		if w.hanging == nil {
			return faulty.Fails // who has no patience of ours to wait for
		}
		w.hanging()
	}
	return way
}

// try has something done, and says whether a fault was met meanwhile, and what the
// panic was, if the driver panicked.
func (w *world) try(who string, do func()) (met bool, panicked any) {
	before := w.met
	w.failed = nil
	w.turn, w.taken, w.came, w.inTime = who, nil, nil, false
	defer func() {
		w.turn = ""
		if p := recover(); p != nil {
			if !faulty.Ours(p) {
				panic(p)
			}
			panicked = p
		}
		met = w.met > before
	}()
	do()
	return met, nil
}

// tell has people told of what has happened since.
func (w *world) tell() error {
	events := w.events
	w.events = nil
	for _, e := range events {
		alarmed := w.log.n
		met, panicked := w.try("notices", func() { w.notes.Notify(w.ctx, w.clock(), e) })
		if met && panicked == nil && w.log.n == alarmed {
			return fmt.Errorf("notice of %s: the store failed in %v, and nobody is told", e.What, w.failed)
		}
	}
	return nil
}

// restart ends the process and begins another one, which finds what the store kept.
func (w *world) restart(kill bool) error {
	if w.folder == "" {
		w.start()
		return nil
	}
	old, was := w.base, w.folder
	if kill {
		w.folder = was + "k"
		if err := snapshot(was, w.folder); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if kill {
		if err := os.RemoveAll(was); err != nil {
			return err
		}
	}
	// The new process goes on by the time since the host's boot, of which next to
	// nothing has passed: for it the clock was set back to when it really is.
	w.skew = time.Now().Round(0).Sub(w.now)
	w.model.loose = w.now.Add(25 * time.Hour)
	if err := w.open(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	w.start()
	return nil
}

// snapshot copies the folder of a store at work: what a process leaves that is killed. When
// the store removes a file meanwhile, it is copied again.
func snapshot(from, to string) (err error) {
	for range 20 {
		if err = os.CopyFS(to, os.DirFS(from)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	return err
}

func (w *world) close() error {
	err := w.base.Close()
	if w.folder != "" {
		err = errors.Join(err, os.RemoveAll(w.folder))
	}
	return err
}
