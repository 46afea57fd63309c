package bypass

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/badgerdb"
	"o2n-milter/state/memory"
	"o2n-milter/tests/campaign"
)

// game is a spammer against a provider, with the books beside them.
type game struct {
	forge
	*provider
	*books
	count   *campaign.Count
	last    []string // what was done, for a failure
	reopen  func() state.Store
	blockID int
	waiting map[string]*attempt // held, by decision
	// parallel games have several sessions in one moment: the seed does not say which of
	// them is first.
	parallel bool
	passes   int
	refused  int
}

// newGame begins a game under limits made by chance, with automatic blocks in some.
func newGame(t *testing.T, g forge, count *campaign.Count, stores ...state.Store) *game {
	t.Helper()
	automatic := rules.Off
	if g.chance(30) {
		automatic = rules.Reject
	}
	p := newProvider(t, func(s *rules.Settings) {
		s.Limits = g.limits()
		s.Blocking.Automatic = automatic
	}, stores...)
	return &game{forge: g, provider: p, books: newBooks(), count: count, waiting: map[string]*attempt{}}
}

// limits are some of each kind and unit, small, so that they are often full.
func (g forge) limits() []rules.Limit {
	kinds := []string{"account", "customer", "script", "host", "ip", "domain", "account+domain"}
	lengths := []time.Duration{time.Second, 7 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour}
	units := []rules.Unit{rules.Messages, rules.Recipients, rules.NewRecipients, rules.Bytes}
	actions := []rules.Action{rules.Tempfail, rules.Tempfail, rules.Tempfail, rules.Reject, rules.Quarantine, rules.Tag, rules.Shadow}
	var list []rules.Limit
	for i := range 3 + g.IntN(6) {
		l := rules.Limit{
			Name: fmt.Sprint("l", i), Subject: kinds[g.IntN(len(kinds))], Unit: units[g.IntN(len(units))],
			Window: lengths[g.IntN(len(lengths))], Action: actions[g.IntN(len(actions))],
		}
		if i > 0 && g.chance(30) { // the same, with another window and action
			l.Subject, l.Unit = list[i-1].Subject, list[i-1].Unit
		}
		l.Max = g.max(l.Unit)
		if g.chance(30) {
			l.Plans = map[string]int64{"pro": g.max(l.Unit)}
		}
		list = append(list, l)
	}
	return list
}

func (g forge) max(unit rules.Unit) int64 {
	if unit == rules.Bytes {
		return int64(1000 + g.IntN(30_000))
	}
	return int64(1 + g.IntN(14))
}

// play makes so many moves.
func (gm *game) play(moves int) {
	gm.Helper()
	for range moves {
		switch n := gm.IntN(100); {
		case n < 40:
			gm.send(gm.mail())
		case n < 50:
			gm.burst()
		case n < 58 && gm.parallel:
			gm.atOnce()
		case n < 80:
			gm.wait()
		case n < 84:
			gm.only()
		case n < 88:
			gm.release()
		case n < 92:
			gm.blockOrLift()
		case n < 95:
			gm.change()
		case n < 96 && gm.reopen != nil:
			gm.again()
		}
	}
}

// mail is the next that is tried, now and then one that is just about as much as a
// limit allows.
func (gm *game) mail() *attempt {
	a := gm.spam(5)
	l := &gm.settings.Limits[gm.IntN(len(gm.settings.Limits))]
	edge := l.Max + int64(gm.IntN(3)) - 1
	switch {
	case gm.chance(70) || edge < 1:
	case l.Unit == rules.Bytes:
		a.mail.Size = edge
	case l.Unit != rules.Messages:
		a.mail.Recipients, a.targets = nil, nil
		for who := range int(edge) {
			text, to := gm.spelled(who)
			a.mail.Recipients, a.targets = append(a.mail.Recipients, rules.Recipient{Address: text}), append(a.targets, to)
		}
	}
	return a
}

func (gm *game) engine() *rules.Engine { return gm.engines[gm.IntN(len(gm.engines))] }

// send has one mail judged, and the verdict held against the books.
func (gm *game) send(a *attempt) rules.Verdict {
	gm.Helper()
	list := gm.bill(gm.settings.Limits, a)
	v := gm.engine().Decide(gm.Context(), a.mail)
	gm.judged(a, list, &v, nil)
	gm.is(alone(list, &v), a, &v)
	if v.Action < rules.Quarantine {
		gm.is(gm.windows(gm.at, list, &v), a, &v)
	}
	return v
}

// judged enters a verdict.
func (gm *game) judged(a *attempt, list []due, v *rules.Verdict, highest map[spentBy]int64) {
	gm.Helper()
	gm.note("%s %s at %s: %s by %s %v", a.account+a.script+a.ip, a.mail.Sender, gm.at.Format("02 15:04:05.000000000"), v.Action, v.Rule, a.targets)
	if v.Action < rules.Quarantine {
		gm.passes++
		gm.is(gm.passed(gm.at, gm.now(), gm.settings.Limits, a, v.Account, highest), a, v)
	} else {
		gm.refused++
		gm.is(gm.books.refused(gm.at, gm.now(), list, a, v), a, v)
	}
	if v.Action == rules.Quarantine {
		gm.waiting[v.ID] = a
	}
	gm.enterBlocks(v)
}

func (gm *game) enterBlocks(v *rules.Verdict) {
	for _, b := range v.Blocked {
		gm.blocks[b.Subject] = b.Until
	}
}

// is fails the test unless why is empty.
func (gm *game) is(why string, a *attempt, v *rules.Verdict) {
	gm.Helper()
	if why == "" {
		gm.count.Held()
		return
	}
	gm.count.Failed()
	for _, l := range gm.settings.Limits {
		gm.Logf("limit %+v", l)
	}
	gm.Fatalf("%s\nlast:\n%s\nmail %+v\n%s by %s, evidence %+v", why, strings.Join(gm.last, "\n"), *a.mail, v.Action, v.Rule, v.Evidence)
}

func (gm *game) note(format string, args ...any) {
	gm.last = append(gm.last[max(0, len(gm.last)-30):], fmt.Sprintf(format, args...))
}

// burst is one mail again and again until it is refused, then as the reply says.
func (gm *game) burst() {
	gm.Helper()
	a := gm.mail()
	for range 1 + gm.IntN(20) {
		v := gm.send(a)
		if v.Action < rules.Quarantine {
			continue
		}
		if gm.chance(60) {
			gm.obey(a, &v)
		}
		return
	}
}

var comeAgain = regexp.MustCompile(`try again in (\d+) seconds`)

// obey comes again when the reply says: nothing has gone out meanwhile, so it passes.
func (gm *game) obey(a *attempt, v *rules.Verdict) {
	gm.Helper()
	wait := toldSeconds(v)
	if wait == 0 {
		return
	}
	gm.at = gm.at.Add(wait + gm.slack)
	if again := gm.send(a); again.Action > rules.Quarantine && again.Rule != "block.active" {
		gm.is("refused when it came again as told", a, &again)
	}
}

// toldSeconds is when a reply says to come again; 0 where it does not.
func toldSeconds(v *rules.Verdict) time.Duration {
	told := comeAgain.FindStringSubmatch(v.Text)
	if told == nil || v.Code < 400 {
		return 0
	}
	seconds, err := strconv.Atoi(told[1])
	if err != nil {
		panic(err) // they are digits, and few
	}
	return time.Duration(seconds) * time.Second
}

// atOnce is several sessions in one moment.
func (gm *game) atOnce() {
	gm.Helper()
	one := gm.mail()
	tries := make([]*attempt, 2+gm.IntN(12))
	bills := make([][]due, len(tries))
	verdicts := make([]rules.Verdict, len(tries))
	var sessions sync.WaitGroup
	for i := range tries {
		tries[i] = one
		if gm.chance(40) {
			tries[i] = gm.mail()
		}
		bills[i] = gm.bill(gm.settings.Limits, tries[i])
		e := gm.engine()
		mail := *tries[i].mail
		sessions.Go(func() { verdicts[i] = e.Decide(context.Background(), &mail) })
	}
	sessions.Wait()
	highest := map[spentBy]int64{}
	for _, d := range slices.Concat(bills...) {
		highest[d.spentBy] = max(highest[d.spentBy], d.max)
	}
	// Who was refused may have been so for the last that passed, or that was blocked.
	for i, a := range tries {
		if verdicts[i].Action < rules.Quarantine {
			gm.judged(a, bills[i], &verdicts[i], highest)
		}
	}
	for i := range verdicts {
		gm.enterBlocks(&verdicts[i])
	}
	for i, a := range tries {
		if verdicts[i].Action >= rules.Quarantine {
			gm.judged(a, bills[i], &verdicts[i], highest)
		}
	}
}

// Nobody gets more through than a limit says, whatever he does, and nobody is refused
// what there is room for.
func TestWindows(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "windows", "mail against limits, made by chance")
	passes, refused := 0, 0
	for n := range campaign.Pick(8, 1000) {
		gm := newGame(t, g, count, memory.New())
		gm.parallel = n%2 == 1
		gm.play(120)
		passes, refused = passes+gm.passes, refused+gm.refused
	}
	t.Logf("%d pass, %d are refused", passes, refused)
	if passes < refused/20 || refused < passes/20 {
		t.Errorf("%d pass, %d are refused: the traffic shows nothing", passes, refused)
	}
}

// The same with the store on disk, which is closed and opened again in between.
func TestWindowsOverRestarts(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "windows", "mail against limits, with restarts")
	for range campaign.Pick(1, 20) {
		dir := t.TempDir()
		open := func() state.Store {
			s, err := badgerdb.Open(badgerdb.Options{Path: dir, MinFree: 1, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		gm := newGame(t, g, count, open())
		gm.settings.Blocking.Automatic = rules.Off // blocks end by the clock, which restarts here set back
		gm.reload(slices.Clone(gm.settings.Limits))
		gm.reopen, gm.parallel = open, true
		for range 5 {
			gm.play(campaign.Pick(40, 150))
			gm.again()
		}
		if err := gm.stores[0].Close(); err != nil {
			t.Error(err)
		}
	}
}
