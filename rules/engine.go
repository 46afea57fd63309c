package rules

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/state"
)

// Engine judges messages under one set of Settings. It is never changed after
// New: a reload builds another one. It is safe for concurrent use.
type Engine struct {
	set      Settings
	accounts accounts.Source
	store    state.Store
	now      func() time.Time
	active   *activity
	gate     *gate
	words    bulkWords
	hashes   atomic.Pointer[AddressKey] // nil until it is needed
	order    []ordered                  // the rules that are not off
	often    often
	meant    map[string]Action        // of rules and limits, as configured
	lengths  map[time.Duration]string // of the limits' windows, as TOML has them
}

// New builds an Engine. now is its clock, time.Now but in tests, check and replay.
// It panics when a rule has no action: its silence would be taken for off.
func New(set Settings, source accounts.Source, store state.Store, now func() time.Time) *Engine {
	for _, id := range IDs() {
		_, isFixed := fixed[id]
		if _, ok := set.Actions[id]; !ok && !isFixed && id != "limit.NAME" {
			panic("rules: no action for " + id)
		}
	}
	words := newBulkWords(set.Bulk.UnsubscribePhrases, set.Bulk.ReasonPhrases)
	e := &Engine{set: set, accounts: source, store: store, now: now, active: newActivity(), gate: newGate(), words: words, meant: meantBy(set)}
	if set.AllShadow {
		e.set = inShadow(set)
	}
	e.lengths = make(map[time.Duration]string, len(set.Limits))
	for _, l := range set.Limits {
		e.lengths[l.Window] = FormatDuration(l.Window)
	}
	e.lookUp()
	return e
}

// ordered is a rule of ruleOrder with what it is set to.
type ordered struct {
	*rule
	action Action
}

// often are the actions of other rules that each message asks for.
type often struct {
	active, pace, volume Action
	means                [len(lacks{})]Action // of allMeans
}

// lookUp looks actions up that each message asks for.
func (e *Engine) lookUp() {
	e.order = nil
	for i := range ruleOrder {
		if r := &ruleOrder[i]; e.action(r.id) != Off {
			e.order = append(e.order, ordered{r, e.action(r.id)})
		}
	}
	e.often = often{active: e.action("block.active"), pace: e.action(bulkPace), volume: e.action("bulk.volume")}
	for i, m := range allMeans {
		e.often.means[i] = e.action(m.id)
	}
}

// Next builds the Engine that takes over from e at a reload.
func (e *Engine) Next(set Settings, source accounts.Source) *Engine {
	next := New(set, source, e.store, e.now)
	next.active, next.gate = e.active, e.gate
	return next
}

// Settings are those the Engine was made with, with all in shadow where [shadow] all
// says so; they are not to be changed.
func (e *Engine) Settings() *Settings { return &e.set }

// rule is one check: facts in, evidence out. It fills neither Rule nor Shadow.
type rule struct {
	id    string
	check func(*facts) []Evidence
}

// ruleOrder is the fixed order: between actions of the same strength the first
// rule decides. block.active comes before and the limits come after these.
var ruleOrder = []rule{
	{"message.malformed", messageMalformed},
	{"message.too_complex", messageTooComplex},
	{"accounts.unknown", accountsUnknown},
	{"identity.malformed", identityMalformed},
	{"identity.header_from", identityHeaderFrom},
	{"identity.sender", identitySender},
	{"identity.envelope_from", identityEnvelopeFrom},
	{"identity.reply_to", identityReplyTo},
	{"identity.display_name", identityDisplayName},
	{"recipients.visible", recipientsVisible},
	{"recipients.envelope", recipientsEnvelope},
	{"recipients.duplicate", recipientsDuplicate},
	{"bulk.unsubscribe", allMeans[0].declared},
	{"bulk.one_click", allMeans[1].declared},
	{"bulk.reason", allMeans[2].declared},
}

// facts is what the rules look at.
type facts struct {
	mail  *Mail
	msg   message.Facts
	rcpts []message.Address // of the envelope, in order
	who   submitter
	set   *Settings
	words *bulkWords
	score *Score // nil: the content engine was not asked, or did not answer

	whole    [len(wholeKinds)]subjectCount // subjects by wholeKinds; without a name until asked for
	clientAs string                        // the client as a subject; empty until asked for
	domains  []subjectCount                // destinations; nil until asked for
	named    namedCounts                   // what To, Cc and Bcc name; not done until asked for
	everyone []string                      // members' of all recipients; nil until asked for
	text     *bodyText                     // nil until asked for
	others   []int                         // outsiders; nil until asked for
	sole     sole
}

// sole has room for lists of which nearly all mail has one member.
type sole struct {
	rcpt    [1]message.Address
	domain  [1]subjectCount
	outside [1]int
}

func (f *facts) owns(a message.Address) bool { return f.who.owns(a, f.set.Strict) }

// destinations walks the fields that name recipients.
func (f *facts) destinations(yield func(message.List) bool) {
	for _, lists := range [][]message.List{f.msg.To, f.msg.Cc, f.msg.Bcc} {
		for _, l := range lists {
			if !yield(l) {
				return
			}
		}
	}
}

// Decide judges one message at its end: blocks, rules, and, when they let it pass,
// one Take for all its limits, which asks for blocks once more; a refusal for abuse
// strikes. It never fails: what it cannot know is a verdict of its own. The decision
// is recorded before it returns.
func (e *Engine) Decide(ctx context.Context, m *Mail) Verdict {
	id := NewID()
	r := e.judgeSafely(ctx, e.now(), m, false)
	defer r.recycle()
	defer e.gate.leave(r.weight)
	now := r.at
	v := e.verdict(r, now, id)
	if r.away {
		return v // the store may be what is slow
	}
	if v.Action == Quarantine {
		e.hold(ctx, now, r, &v)
	}
	if v.Judged {
		if err := e.strikeSafely(ctx, now, r, &v); err != nil {
			v.Err = errors.Join(v.Err, fmt.Errorf("strike %s: %w", id, err))
		}
		if err := e.recordSafely(ctx, &r.facts, &v); err != nil {
			v.Err = errors.Join(v.Err, fmt.Errorf("record %s: %w", id, err))
		}
	}
	return v
}

// judgeSafely turns a panic, which is always our own fault, into a ruling.
func (e *Engine) judgeSafely(ctx context.Context, now time.Time, m *Mail, dry bool) (r *ruling) {
	r = rulings.Get().(*ruling)
	r.mail, r.set, r.words, r.dry, r.at = m, &e.set, &e.words, dry, now
	defer func() {
		if p := recover(); p != nil {
			r.panicked()
			r.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if r.own = !dry && e.isNotice(m); r.own || e.isInbound(m) {
		r.unjudged = true
		return r
	}
	if !dry && !e.enter(ctx, r) {
		return r
	}
	e.judge(ctx, r.at, r)
	return r
}

// caught, deferred, turns a panic, which is always our own fault, into an error.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// panicked forgets what was found before our own fault.
func (r *ruling) panicked() {
	r.evidence, r.decider, r.action, r.unjudged = nil, "", 0, false
	r.hits = nil
	action := fixed["internal.panic"]
	if r.set.AllShadow {
		action = Shadow
	}
	r.find("internal.panic", action, one("message", "our own fault", "a verdict"))
}

// Panicked is the verdict on a message that no Engine could judge, through a
// fault of our own: why goes into the log.
func Panicked(m *Mail, now time.Time, why error) Verdict {
	e := Engine{set: Settings{Language: "en"}}
	r := ruling{facts: facts{mail: m, set: &e.set}, err: why}
	r.panicked()
	return e.verdict(&r, now, NewID())
}

func (e *Engine) judge(ctx context.Context, now time.Time, r *ruling) {
	r.msg = message.Read(r.mail.Header)
	r.rcpts = slices.Grow(r.sole.rcpt[:0], len(r.mail.Recipients))
	for _, rcpt := range r.mail.Recipients {
		r.rcpts = append(r.rcpts, message.ParseAddress(rcpt.Address))
	}
	var err error
	if r.who, err = e.submitterOf(ctx, r.mail, r.msg.From); err != nil {
		e.unavailable(r, "accounts.unavailable", fmt.Errorf("accounts: %w", err))
		return
	}
	r.subjects = r.subjectsOf()
	if r.who.account != nil && !r.who.unknown && !r.dry {
		e.active.seen(now, r.who.account.Login)
	}
	r.blockable = r.blockableSubjects(r.subjects)
	blocks, err := e.store.ActiveBlocks(ctx, now, r.blockable)
	if err != nil {
		// The rules that need no store hold all the same.
		e.unavailable(r, "store.unavailable", fmt.Errorf("store: %w", err))
	}
	if err := e.findExemptions(ctx, now, r); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("exemptions: %w", err))
	}
	e.blocked(r, blocks)
	for _, rule := range e.order {
		r.find(rule.id, r.allowed(rule.id, rule.action, ""), rule.check(&r.facts))
		if rule.id == "message.too_complex" && r.decider == rule.id && r.action >= Quarantine {
			return // what the rest of the message says is not known
		}
	}
	e.content(ctx, r)
	if err != nil {
		r.toRelease(e.letters(r))
		return
	}
	e.charge(ctx, now, r)
}

// blocked is block.active.
func (e *Engine) blocked(r *ruling, blocks []state.Block) {
	action := e.often.active
	blocks = e.sparing(r, blocks)
	if action >= Quarantine && len(blocks) > 0 && r.toReachable() {
		r.reaching, action = blocks, Shadow // until they have had their share of it
	}
	if action != Off && r.find("block.active", action, blockActive(blocks)) {
		r.behind = blocks[0].Subject
	}
}

// unavailable rules on a message that cannot be judged.
func (e *Engine) unavailable(r *ruling, id string, err error) {
	r.err = err
	if action := e.action(id); action != Off {
		r.find(id, action, one("message", "cannot be judged now", "an answer"))
	}
}

// fixed are the rules that have no action of their own in the settings: a login
// that nobody knows is nobody's to send with, a panic is always ours, and mail that we
// have no time for comes again.
var fixed = map[string]Action{"accounts.unknown": Reject, "internal.panic": Tempfail, overload: Tempfail}

// action is what a rule is set to.
func (e *Engine) action(id string) Action { return e.set.action(id) }

func (s *Settings) action(id string) Action {
	action, ok := s.Actions[id]
	if ok {
		return action
	}
	if action, ok = fixed[id]; ok && s.AllShadow {
		return Shadow
	}
	return action
}

// verdict closes the ruling: the strongest action and its reply.
func (e *Engine) verdict(r *ruling, now time.Time, id string) Verdict {
	v := Verdict{ID: id, At: now, Judged: !r.unjudged, Own: r.own, Subjects: r.subjects, Evidence: r.evidence,
		Charges: r.charges, Windows: r.windows, Campaign: r.campaign, Hits: r.hitsOf(), Err: r.err}
	v.Action, v.Rule = r.strongest()
	if v.Rule == "none" && r.err != nil {
		// state.on_failure = "accept", or all in shadow: it passes, and says so.
		v.Rule = r.unavailableRule()
	}
	if r.who.account != nil {
		v.Account = r.who.account.Login
	}
	if v.Rule == "block.active" {
		r.params.link = e.link(v.Account, now)
	}
	v.Code, v.Enhanced, v.Text = e.reply(v.Action, v.Rule, id, r.params)
	return v
}

// link is where a blocked customer reads why; the help page for who has no account.
func (e *Engine) link(account string, now time.Time) string {
	if e.set.Link != nil && account != "" {
		if link := e.set.Link(account, now); link != "" {
			return link
		}
	}
	return e.set.HelpURL
}

func (r *ruling) unavailableRule() string {
	for _, f := range r.evidence {
		if slices.Contains([]string{"accounts.unavailable", "store.unavailable", "internal.panic", overload}, f.Rule) {
			return f.Rule
		}
	}
	return "none"
}
