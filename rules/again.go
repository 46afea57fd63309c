package rules

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"o2n-milter/state"
)

// Again judges a recorded decision anew, by what its record has: what was found in the
// message's text is taken as found, with the actions of these settings; numbers and
// addresses that the record holds are held against these settings and accounts; limits
// are charged what it costs, its letter is counted, and refusals strike, at the time of
// the engine's clock. unknown is what the record does not tell.
func (e *Engine) Again(ctx context.Context, d state.Decision) (v Verdict, unknown []string) {
	now := e.now()
	p := past{decision: d}
	p.set, p.words = &e.set, &e.words
	if err := json.Unmarshal(d.Detail, &p.detail); err != nil {
		p.unknown = append(p.unknown, UnknownRecord)
		p.unjudged = true
	}
	p.remember()
	if p.unjudged = p.unjudged || e.isInbound(p.mail); !p.unjudged {
		e.judgeAgain(ctx, now, &p)
	}
	v = e.verdict(&p.ruling, now, d.ID)
	if !v.Judged {
		return v, p.unknown
	}
	if v.Action == Quarantine {
		e.hold(ctx, now, &p.ruling, &v)
	}
	err := e.strikeSafely(ctx, now, &p.ruling, &v)
	d.Action, d.Rule = v.Action.String(), v.Rule
	v.Err = errors.Join(v.Err, err, e.store.Record(ctx, d))
	return v, p.unknown
}

// judgeAgain is judge for what is recorded.
func (e *Engine) judgeAgain(ctx context.Context, now time.Time, p *past) {
	r := &p.ruling
	if err := e.submitterAgain(ctx, p); err != nil {
		e.unavailable(r, "accounts.unavailable", fmt.Errorf("accounts: %w", err))
		return
	}
	r.subjects = r.subjectsOf()
	if r.who.account != nil && !r.who.unknown {
		e.active.seen(now, r.who.account.Login)
	}
	r.blockable = r.blockableSubjects(r.subjects)
	blocks, err := e.store.ActiveBlocks(ctx, now, r.blockable)
	if err == nil {
		err = e.findExemptions(ctx, now, r)
	}
	if err != nil {
		e.unavailable(r, "store.unavailable", fmt.Errorf("store: %w", err))
		return
	}
	e.blocked(r, blocks)
	for _, rule := range ruleOrder {
		if action := r.allowed(rule.id, e.action(rule.id), ""); action != Off {
			r.find(rule.id, action, p.foundBy(rule))
		}
		if rule.id == "message.too_complex" && r.decider == rule.id && r.action >= Quarantine {
			return
		}
	}
	e.contentAgain(p)
	e.settle(ctx, now, r, p.costs(e.costs(r, math.MaxInt)), e.lettersAgain(p))
}

// submitterAgain is who sent it: an account as it is now.
func (e *Engine) submitterAgain(ctx context.Context, p *past) error {
	who, err := e.submitterOf(ctx, p.mail, p.msg.From)
	_, isHidden := HiddenDomain(p.mail.Sender)
	if login := p.decision.Account; err == nil && who.account == nil && isHidden && login != "" {
		// The account of a script is found by a sender that nobody knows any more.
		local := who.local
		who, err = e.byLogin(ctx, login)
		who.local = local
	}
	p.who = who
	return err
}

// contentAgain is content.score, where the record has the score.
func (e *Engine) contentAgain(p *past) {
	for _, id := range []string{"content.unavailable", "store.unavailable", "accounts.unavailable", "internal.panic", "message.too_complex"} {
		if len(p.evidenceOf(id)) > 0 {
			p.unsure(UnknownUnjudged)
		}
	}
	action := p.allowed("content.score", e.action("content.score"), "")
	if action == Off || p.action >= Quarantine {
		return
	}
	got := p.detail.Score // records of older versions have it in the evidence only
	for _, ev := range p.evidenceOf("content.score") {
		got = cmp.Or(got, ev.Got)
	}
	text, _, _ := strings.Cut(got, " ")
	score, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return // it was not asked
	}
	if action, from := e.set.Content.reached(score, action); action != Off {
		p.find("content.score", action, one("content score", got, "below "+number(from)))
	}
}

// lettersAgain are the letter for what is recorded: letters of one campaign then are one
// letter, and others another. None where no campaign was asked for.
func (e *Engine) lettersAgain(p *past) []state.Letter {
	c := p.detail.Campaign
	if c == nil || !e.isLetter(&p.ruling) {
		return nil
	}
	if !p.named {
		p.unsure(UnknownReaders)
	}
	for i, m := range allMeans {
		if slices.Contains(c.Lacks, m.id) && e.often.means[i] != Off {
			p.lacking[i] = "as found then"
		}
	}
	var sketch state.Sketch
	sum := sha256.Sum256([]byte(c.ID))
	for i := range sketch {
		sketch[i] = binary.LittleEndian.Uint64(sum[8*i:])
	}
	return []state.Letter{e.letterOf(&p.ruling, c.Subject, sketch, 0)}
}
