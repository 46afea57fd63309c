package replay

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
)

// Result is what became of all messages.
type Result struct {
	Messages int        `json:"messages"`
	First    *time.Time `json:"first,omitempty"` // of the messages, in simulated time
	Last     *time.Time `json:"last,omitempty"`
	// Partial: somebody ended it before all messages were judged.
	Partial    bool           `json:"partial"`
	Rules      []RuleCount    `json:"rules"`
	Subjects   []SubjectCount `json:"subjects"`
	Shadow     []ShadowCount  `json:"shadow"`
	Changed    []Change       `json:"changed"`
	NewRules   []RuleCount    `json:"new_rules"` // as Rules, by the new rules; empty without
	Blocks     []BlockLine    `json:"blocks"`    // that strikes led to, under the present rules
	NewBlocks  []BlockLine    `json:"new_blocks"`
	Undated    int            `json:"undated"` // messages without a time of their own
	Failed     int            `json:"failed"`  // that could not be read
	Unreadable []Unreadable   `json:"unreadable"`
	Notes      []string       `json:"notes"` // what could not be judged as in life
}

// Span is how many messages, and when the first and the last were.
type Span struct {
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// RuleCount is messages that a rule decided, "none" for those that passed.
type RuleCount struct {
	Rule   string `json:"rule"`
	Action string `json:"action"`
	Span
}

// SubjectCount is messages of a sender that a rule decided.
type SubjectCount struct {
	Subject string `json:"subject"`
	Rule    string `json:"rule"`
	Action  string `json:"action"`
	Span
}

// ShadowCount is messages in which a rule in shadow found something.
type ShadowCount struct {
	Rule string `json:"rule"`
	Span
}

// Change is messages of a sender that the new rules judge otherwise. From and To are
// rules.
type Change struct {
	Subject    string `json:"subject"`
	From       string `json:"from"`
	To         string `json:"to"`
	FromAction string `json:"from_action"`
	ToAction   string `json:"to_action"`
	Span
}

// BlockLine is a block that the replay made.
type BlockLine struct {
	Subject string     `json:"subject"`
	Rule    string     `json:"rule"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until"` // null: until it is lifted
}

// outcome is what decided.
type outcome struct{ rule, action string }

func outcomeOf(v rules.Verdict) outcome { return outcome{v.Rule, v.Action.String()} }

// tally counts verdicts.
type tally struct {
	all      Span
	rules    map[outcome]*Span
	newRules map[outcome]*Span
	subjects map[subjectOutcome]*Span
	shadow   map[string]*Span
	changed  map[change]*Span
}

type subjectOutcome struct {
	subject string
	outcome
}

type change struct {
	subject  string
	from, to outcome
}

func newTally() *tally {
	return &tally{
		rules: map[outcome]*Span{}, newRules: map[outcome]*Span{}, subjects: map[subjectOutcome]*Span{},
		shadow: map[string]*Span{}, changed: map[change]*Span{},
	}
}

func (s *Span) add(at time.Time) {
	if s.Count == 0 || at.Before(s.First) {
		s.First = at
	}
	if s.Count == 0 || at.After(s.Last) {
		s.Last = at
	}
	s.Count++
}

func count[K comparable](m map[K]*Span, key K, at time.Time) {
	s := m[key]
	if s == nil {
		s = &Span{}
		m[key] = s
	}
	s.add(at)
}

// add counts a message's verdict, and that of the new rules, if there are any.
func (t *tally) add(at time.Time, v rules.Verdict, next *rules.Verdict) {
	t.all.add(at)
	was, sender := outcomeOf(v), senderSubject(v)
	count(t.rules, was, at)
	if sender != "" {
		count(t.subjects, subjectOutcome{sender, was}, at)
	}
	seen := map[string]bool{}
	for _, ev := range v.Evidence {
		if ev.Shadow && !seen[ev.Rule] {
			seen[ev.Rule] = true
			count(t.shadow, ev.Rule, at)
		}
	}
	if next == nil {
		return
	}
	is := outcomeOf(*next)
	count(t.newRules, is, at)
	if is != was {
		count(t.changed, change{cmp.Or(sender, senderSubject(*next)), was, is}, at)
	}
}

// senderSubject is who sent the message: the first that a verdict names, but no
// destination; empty for inbound mail.
func senderSubject(v rules.Verdict) string {
	if len(v.Subjects) == 0 || strings.HasPrefix(v.Subjects[0], "domain:") {
		return ""
	}
	return v.Subjects[0]
}

// result tells what was counted, most first.
func (t *tally) result() Result {
	r := Result{
		Messages: t.all.Count, Rules: ruleCounts(t.rules), NewRules: ruleCounts(t.newRules),
		Subjects: []SubjectCount{}, Shadow: []ShadowCount{}, Changed: []Change{},
		Blocks: []BlockLine{}, NewBlocks: []BlockLine{}, Unreadable: []Unreadable{}, Notes: []string{},
	}
	if t.all.Count > 0 {
		r.First, r.Last = &t.all.First, &t.all.Last
	}
	for k, s := range t.subjects {
		r.Subjects = append(r.Subjects, SubjectCount{k.subject, k.rule, k.action, *s})
	}
	most(r.Subjects, func(c SubjectCount) (Span, []string) { return c.Span, []string{c.Subject, c.Rule, c.Action} })
	for k, s := range t.shadow {
		r.Shadow = append(r.Shadow, ShadowCount{k, *s})
	}
	most(r.Shadow, func(c ShadowCount) (Span, []string) { return c.Span, []string{c.Rule} })
	for k, s := range t.changed {
		r.Changed = append(r.Changed, Change{k.subject, k.from.rule, k.to.rule, k.from.action, k.to.action, *s})
	}
	most(r.Changed, func(c Change) (Span, []string) {
		return c.Span, []string{c.Subject, c.From, c.To, c.FromAction, c.ToAction}
	})
	return r
}

func ruleCounts(m map[outcome]*Span) []RuleCount {
	list := []RuleCount{}
	for k, s := range m {
		list = append(list, RuleCount{k.rule, k.action, *s})
	}
	most(list, func(c RuleCount) (Span, []string) { return c.Span, []string{c.Rule, c.Action} })
	return list
}

// most puts the highest counts first; those of one count in the order of their names.
func most[T any](list []T, of func(T) (Span, []string)) {
	slices.SortFunc(list, func(a, b T) int {
		as, an := of(a)
		bs, bn := of(b)
		return cmp.Or(cmp.Compare(bs.Count, as.Count), slices.Compare(an, bn))
	})
}

func blockLines(ctx context.Context, l *Lane) ([]BlockLine, error) {
	blocks, err := l.Blocks(ctx)
	list := make([]BlockLine, len(blocks))
	for i, b := range blocks {
		list[i] = BlockLine{Subject: b.Subject, Rule: b.Rule, Since: b.Since}
		if !b.Until.IsZero() {
			list[i].Until = &b.Until
		}
	}
	return list, err
}
