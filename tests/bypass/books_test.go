package bypass

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
)

// books are kept beside the engine: every charge with its true time, for ever, so that
// what a window holds is a sum and nothing else.
type books struct {
	spent  map[spentBy][]spending
	known  map[string]map[int]bool // whom a subject has written to
	blocks map[string]time.Time    // ends of blocks by subject; zero: until lifted
	// slack is by how much the store's time may have stood while the true one went on,
	// so that charges count longer.
	slack time.Duration
}

type spentBy struct{ limit, subject string }

type spending struct {
	at   time.Time
	cost int64
}

func newBooks() *books {
	return &books{spent: map[spentBy][]spending{}, known: map[string]map[int]bool{}, blocks: map[string]time.Time{}}
}

// due is what a mail costs one subject of one limit.
type due struct {
	spentBy
	limit     *rules.Limit
	max, cost int64
}

func (d due) refuses() bool { return d.limit.Action >= rules.Quarantine }

// bill is all that a mail costs.
func (b *books) bill(limits []rules.Limit, a *attempt) []due {
	var list []due
	for i := range limits {
		l := &limits[i]
		for subject, to := range a.subjects(l.Subject) {
			d := due{spentBy: spentBy{l.Name, subject}, limit: l, max: l.Max, cost: 1}
			if l.Action == rules.Shadow { // counts apart, what it would have let through
				d.spentBy.limit = "shadow/" + l.Name
			}
			if most, ok := l.Plans[a.plan]; ok && a.account != "" {
				d.max = most
			}
			switch l.Unit {
			case rules.Recipients:
				d.cost = int64(len(to))
			case rules.Bytes:
				d.cost = a.mail.Size
			case rules.NewRecipients:
				d.cost = b.strangers(subject, to)
			}
			list = append(list, d)
		}
	}
	return list
}

// subjects are those that a kind of limit counts, with the targets that each stands for.
func (a *attempt) subjects(kind string) map[string][]reader {
	list := map[string][]reader{}
	whole := map[string]string{"account": a.account, "customer": a.customer, "script": a.script, "host": a.host, "ip": a.ip}
	if s := whole[kind]; s != "" {
		list[s] = a.targets
	}
	for _, to := range a.targets {
		s := "domain:" + to.domain
		if kind == "account+domain" {
			s = a.account + "+" + s
		}
		if kind == "domain" || kind == "account+domain" && a.account != "" {
			list[s] = append(list[s], to)
		}
	}
	return list
}

// strangers are the people among them whom the subject has not written to.
func (b *books) strangers(subject string, to []reader) int64 {
	met := map[int]bool{}
	for _, t := range to {
		if !b.known[subject][t.who] {
			met[t.who] = true
		}
	}
	return int64(len(met))
}

// used is what was spent at most so long before.
func (b *books) used(by spentBy, at time.Time, length time.Duration) int64 {
	var sum int64
	for _, s := range b.spent[by] {
		if at.Sub(s.at) <= length {
			sum += s.cost
		}
	}
	return sum
}

// most is what a window may take for used: a charge counts up to a 60th of it longer.
func (b *books) most(d due, at time.Time) int64 {
	return b.used(d.spentBy, at, d.limit.Window+d.limit.Window/60+b.slack)
}

// charge enters a mail that has passed.
func (b *books) charge(at time.Time, list []due, a *attempt) {
	for _, d := range list {
		b.spent[d.spentBy] = append(b.spent[d.spentBy], spending{at, d.cost})
		if d.limit.Unit != rules.NewRecipients {
			continue
		}
		if b.known[d.subject] == nil {
			b.known[d.subject] = map[int]bool{}
		}
		for _, to := range a.subjects(d.limit.Subject)[d.subject] {
			b.known[d.subject][to.who] = true
		}
	}
}

// blocked is a subject of the mail that is blocked; empty for none.
func (b *books) blocked(a *attempt, now time.Time) string {
	for _, s := range a.own() {
		for blocked, until := range b.blocks {
			isIt := blocked == s || a.isScript(blocked)
			if s != "" && isIt && (until.IsZero() || now.Before(until)) {
				return blocked
			}
		}
	}
	return ""
}

// isScript says whether the subject is the mail's envelope sender or its script's name, as
// automatic blocks have them.
func (a *attempt) isScript(subject string) bool {
	name, is := strings.CutPrefix(subject, "script:")
	if !is || a.host == "" || a.mail.Sender == "" {
		return false
	}
	user, script, named := strings.Cut(name, "/")
	if user != strings.ToLower(a.mail.Sender) {
		return false
	}
	for _, f := range a.mail.Header {
		if f.Name == "X-PHP-Originating-Script" && strings.HasSuffix(f.Value, ":"+script) {
			return true
		}
	}
	return !named
}

// passed says what is wrong with a mail's having passed, and enters it. Of mail of several
// sessions in one moment nobody knows which was first: there a window's max is the
// highest that any of their plans gives it.
func (b *books) passed(at, now time.Time, limits []rules.Limit, a *attempt, account string, highest map[spentBy]int64) string {
	list := b.bill(limits, a)
	defer b.charge(at, list, a)
	if s := b.blocked(a, now); s != "" {
		return s + " is blocked and passes"
	}
	if a.forged {
		return "a foreign author passes"
	}
	if "account:"+account != a.account && account+a.account != "" {
		return fmt.Sprintf("it passes as %q, and is %s", account, a.account)
	}
	for _, d := range list {
		if used := b.used(d.spentBy, at, d.limit.Window); d.refuses() && d.cost > 0 && used+d.cost > max(d.max, highest[d.spentBy]) {
			return fmt.Sprintf("%s of %s: %d pass where %d of %d are used", d.limit.Name, d.subject, d.cost, used, d.max)
		}
	}
	return ""
}

// refused says what is wrong with a mail's having been refused, or held, with the bill
// that it had.
func (b *books) refused(at, now time.Time, list []due, a *attempt, v *rules.Verdict) string {
	switch {
	case v.Err != nil:
		return "inner error: " + v.Err.Error()
	case v.Rule == "block.active" && b.blocked(a, now) != "", v.Rule == "accounts.unknown" && a.odd,
		strings.HasPrefix(v.Rule, "identity.") && (a.forged || a.odd):
		return ""
	case !strings.HasPrefix(v.Rule, "limit."):
		return "refused by " + v.Rule + " for nothing"
	}
	isFull := func(d due) bool { return d.refuses() && d.cost > 0 && b.most(d, at)+d.cost > d.max }
	for _, ev := range v.Evidence {
		ofIt := func(d due) bool { return "limit."+d.limit.Name == ev.Rule }
		if !ev.Shadow && slices.ContainsFunc(list, func(d due) bool { return ofIt(d) && d.refuses() }) &&
			!slices.ContainsFunc(list, func(d due) bool { return ofIt(d) && isFull(d) }) {
			return fmt.Sprintf("%s has room: %s, %s", ev.Rule, ev.Fact, ev.Got)
		}
	}
	if !slices.ContainsFunc(list, isFull) {
		return "no limit of it is full"
	}
	return ""
}

// alone says what is wrong with the answer to mail of one session that no window can ever
// hold: it is refused for good.
func alone(list []due, v *rules.Verdict) string {
	for _, d := range list {
		if d.refuses() && d.cost > d.max && strings.HasPrefix(v.Rule, "limit.") && v.Action != rules.Reject {
			return fmt.Sprintf("%d alone are more than %d, and it is told to come again", d.cost, d.max)
		}
	}
	return ""
}

// windows says what is wrong with the windows that mail has just been charged to: one
// that nobody should have, one that is missing, or what it holds.
func (b *books) windows(at time.Time, list []due, v *rules.Verdict) string {
	told := 0
	for _, w := range v.Windows {
		if w.Shadow {
			continue
		}
		told++
		i := slices.IndexFunc(list, func(d due) bool { return d.spentBy == spentBy{w.Limit, w.Subject} })
		if i < 0 {
			return fmt.Sprintf("%s counts %s, which is nobody", w.Limit, w.Subject)
		}
		d := list[i]
		least, most := b.used(d.spentBy, at, d.limit.Window), b.most(d, at)
		if d.refuses() && (w.Used < least || w.Used > most) {
			return fmt.Sprintf("%s of %s holds %d; it was charged %d to %d", w.Limit, w.Subject, w.Used, least, most)
		}
	}
	for _, d := range list {
		if d.limit.Action > rules.Shadow {
			told--
		}
	}
	if told != 0 {
		return fmt.Sprintf("%+d windows more than the mail has subjects: %+v", told, v.Windows)
	}
	return ""
}
