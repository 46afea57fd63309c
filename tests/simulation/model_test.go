package simulation

import (
	"maps"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// model is what must be so, told as plainly as can be. Its times are true ones, which
// no setting of a clock moves, but for blocks and exemptions, which end by the clock.
type model struct {
	windows    map[key][]charge
	known      map[string]map[string]contact // who has been written to, by account
	letters    map[key]map[string]contact    // and with which text, by its owner
	strikes    map[key][]charge              // by whom, and how many blocks there were
	blocks     list[state.Block]             // as people and replies were told
	exemptions list[state.Exemption]
	requests   list[state.Request]
	departed   map[key][]charge // held mail
	reached    map[string][]time.Time
	loose      time.Time // until then windows may hold more than they must
}

// key is a window: of a limit and its subject, for example.
type key struct {
	what, subject string
	n             int
}

// charge is what was taken at a time. One that is not sure may have been taken.
type charge struct {
	at   time.Time
	cost int64
	sure bool
}

// contact is when somebody was last written to, for sure and perhaps.
type contact struct{ sure, maybe time.Time }

// list is what people were told of, by id and in order.
type list[T any] struct {
	ids []string
	of  map[string]T
}

func (l *list[T]) put(id string, v T) {
	if l.of == nil {
		l.of = map[string]T{}
	}
	if _, known := l.of[id]; !known {
		l.ids = append(l.ids, id)
	}
	l.of[id] = v
}

// pick is one of them, by number.
func (l *list[T]) pick(n int) (v T, ok bool) {
	if len(l.ids) == 0 {
		return v, false
	}
	return l.of[l.ids[n%len(l.ids)]], true
}

func newModel() *model {
	return &model{
		windows: map[key][]charge{}, known: map[string]map[string]contact{}, letters: map[key]map[string]contact{}, strikes: map[key][]charge{},
		departed: map[key][]charge{},
		reached:  map[string][]time.Time{},
	}
}

// late is how long what has left a window may still count.
func late(window time.Duration) time.Duration { return window + window/60 }

// held is how much a window holds at least and at most.
func held(list []charge, now time.Time, window time.Duration) (least, most int64) {
	for _, c := range list {
		age := now.Sub(c.at)
		if age < window && c.sure {
			least += c.cost
		}
		if age <= late(window) {
			most += c.cost
		}
	}
	return least, most
}

// put adds a charge, and forgets old ones.
func put(windows map[key][]charge, k key, c charge, window time.Duration) {
	list := slices.DeleteFunc(windows[k], func(old charge) bool { return c.at.Sub(old.at) > 2*window })
	windows[k] = append(list, c)
}

// cost is what a message costs in one window.
type cost struct {
	key
	limit *rules.Limit
	most  int64 // the limit's for this message
	// It costs so much at least and at most.
	low, high int64
}

// costs are those of a letter under some limits. Those in shadow count elsewhere, and so
// do free ones, if the exemption was found.
func (m *model) costs(l *letter, limits []rules.Limit, clock, now time.Time) (list []cost) {
	for i := range limits {
		limit := &limits[i]
		if limit.Action <= rules.Shadow {
			continue
		}
		factor := m.factor(l.who, "limit."+limit.Name, clock)
		for subject, n := range l.subjectsOf(limit.Subject) {
			c := cost{key: key{what: limit.Name, subject: subject}, limit: limit, most: limit.Max * factor, low: 1, high: 1}
			switch limit.Unit {
			case rules.Recipients:
				c.low, c.high = int64(n), int64(n)
			case rules.Bytes:
				c.low, c.high = l.Size, l.Size
			case rules.NewRecipients:
				c.low, c.high = m.strangers(m.known[subject], l.to, now, 90*24*time.Hour)
			}
			list = append(list, c)
		}
	}
	return list
}

// free says that the sender is exempt.
func (c cost) free() bool { return c.most == 0 }

// subjectsOf are those of a kind, and how many recipients each has.
func (l *letter) subjectsOf(kind string) map[string]int {
	found := map[string]int{}
	if kind != "domain" {
		if s := l.who.of(kind); s != "" {
			found[s] = len(l.to)
		}
		return found
	}
	for _, to := range l.to {
		found["domain:"+to[strings.IndexByte(to, '@')+1:]]++
	}
	return found
}

// subjects are all of the message's.
func (l *letter) subjects() []string {
	list := l.who.subjects()
	for s := range l.subjectsOf("domain") {
		list = append(list, s)
	}
	return list
}

// strangers are how many of to have not been written to, at least and at most.
func (m *model) strangers(known map[string]contact, to []string, now time.Time, memory time.Duration) (least, most int64) {
	for _, a := range to {
		c := known[a]
		if c.sure.IsZero() || now.Sub(c.sure) >= memory {
			most++
			if latest := c.maybe; latest.IsZero() || now.Sub(latest) > late(memory) {
				least++
			}
		}
	}
	return least, most
}

func wrote(all map[string]contact, to []string, now time.Time, sure bool) map[string]contact {
	if all == nil {
		all = map[string]contact{}
	}
	for _, a := range to {
		c := all[a]
		c.maybe = now
		if sure {
			c.sure = now
		}
		all[a] = c
	}
	return all
}

// factor is by how much the sender's max of a limit is raised; 0: there is none.
func (m *model) factor(p *person, rule string, clock time.Time) int64 {
	whole := func(factor int64) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(m.exemptions.of)), func(x state.Exemption) bool {
			return x.Rule == rule && x.Factor == factor && holds(x, clock) && slices.Contains(p.subjects(), x.Subject)
		})
	}
	switch {
	case whole(0):
		return 0
	case whole(exemptFactor):
		return exemptFactor
	}
	return 1
}

// exemptFactor is the only one that is ever given.
const exemptFactor = 3

func (m *model) isExempt(p *person, rule string, clock time.Time) bool {
	return m.factor(p, rule, clock) == 0
}

func inForce(b state.Block, clock time.Time) bool {
	return b.LiftedAt.IsZero() && (b.Until.IsZero() || clock.Before(b.Until))
}

func holds(x state.Exemption, clock time.Time) bool {
	return x.RemovedAt.IsZero() && !clock.Before(x.Since) && clock.Before(x.Until)
}

// blocked are the blocks in force of a letter.
func (m *model) blocked(l *letter, clock time.Time) (list []state.Block) {
	subjects := l.subjects()
	for _, b := range m.blocks.of {
		if inForce(b, clock) && slices.Contains(subjects, b.Subject) {
			list = append(list, b)
		}
	}
	return list
}

// passed notes what a message that passes has cost.
func (m *model) passed(l *letter, costs []cost, now time.Time, sure, met bool) {
	for _, c := range costs {
		if !c.free() || met {
			m.charge(c, now, sure && !c.free())
		}
	}
	if s := l.who.of("account"); s != "" {
		m.known[s] = wrote(m.known[s], l.to, now, sure)
	}
	if l.text >= 0 {
		k := key{subject: l.who.campaignOf(), n: l.text}
		m.letters[k] = wrote(m.letters[k], l.to, now, sure)
	}
}

func (m *model) charge(c cost, now time.Time, sure bool) {
	put(m.windows, c.key, charge{now, c.low, sure}, c.limit.Window)
	if c.high > c.low {
		put(m.windows, c.key, charge{now, c.high - c.low, false}, c.limit.Window)
	}
}

// readers are how many a text has gone to with this letter, at least and at most.
func (m *model) readers(l *letter, now time.Time) (least, most int) {
	if l.text < 0 {
		return len(l.to), len(l.to)
	}
	k := key{subject: l.who.campaignOf(), n: l.text}
	all := maps.Clone(m.letters[k])
	if all == nil {
		all = map[string]contact{}
	}
	for _, to := range l.to {
		all[to] = contact{now, now}
	}
	for _, c := range all {
		if !c.sure.IsZero() && now.Sub(c.sure) < bulkWindow {
			least++
		}
		if now.Sub(c.maybe) <= late(bulkWindow) {
			most++
		}
	}
	return least, most
}

// chainBlocks are how many blocks those of a chain have ever had.
func (m *model) chainBlocks(chain []string) (n int) {
	for _, b := range m.blocks.of {
		if slices.Contains(chain, b.Subject) {
			n++
		}
	}
	return n
}

// threshold is how many strikes block a subject.
func (m *model) threshold(subject string, strikes int, clock time.Time) int64 {
	for _, b := range m.blocks.of {
		if b.Subject == subject && !b.LiftedAt.IsZero() && clock.Sub(b.LiftedAt) < remember {
			return int64(strikes+1) / 2
		}
	}
	return int64(strikes)
}

// reset is what an operator does; with a doubt when he was not told that it is done.
func (m *model) reset(subject string, sure bool) {
	doubt := func(windows map[key][]charge) {
		for k, list := range windows {
			switch {
			case k.subject != subject:
			case sure:
				delete(windows, k)
			default:
				for i := range list {
					list[i].sure = false
				}
			}
		}
	}
	doubt(m.windows)
	doubt(m.strikes)
	delete(m.reached, subject)
	contacts := func(all map[string]contact) {
		for a, c := range all {
			if c.sure = (time.Time{}); sure {
				delete(all, a)
			} else {
				all[a] = c
			}
		}
	}
	contacts(m.known[subject])
	for k, all := range m.letters {
		if k.subject == subject {
			contacts(all)
		}
	}
}
