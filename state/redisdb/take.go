package redisdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// Take implements state.Store. While the server is away a block that is known here is
// in force all the same.
func (s *Store) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if err := s.enter(ctx); err != nil {
		return state.Answer{}, err
	}
	defer s.leave()
	if err := ledger.CheckAsk(now, ask); err != nil {
		return state.Answer{}, err
	}
	if s.options.HostTime && !ask.Dry {
		s.order.Lock() // else one call's time could be behind what another has charged
		defer s.order.Unlock()
	}
	t := newTaking(s, now, ask)
	if len(ask.Charges)+len(ask.Letters)+len(ask.Subjects) == 0 {
		return state.Answer{}, nil
	}
	err := s.link.do(ctx, t.ask)
	if errors.Is(err, state.ErrUnavailable) {
		if blocks := s.mirror.docs.Active(now, ask.Subjects); len(blocks) > 0 {
			return state.Answer{Blocks: blocks}, nil
		}
	}
	if err != nil {
		return state.Answer{}, fmt.Errorf("charge: %w", err)
	}
	if len(t.blocks) > 0 {
		return state.Answer{Blocks: t.blocks}, nil
	}
	answer, err := t.answer()
	if err == nil && t.charged() {
		s.health.charged(now)
	}
	return answer, err
}

// taking is one call of Take at work.
type taking struct {
	store         *Store
	now           time.Time
	wants         state.Ask
	seconds, nano string   // of the time, where the host's decides; else empty
	keys          []string // of each charge's window
	sets          []string // and of its set; empty where it has none
	members       [][]uint64
	recipients    [][]uint64 // of each letter
	names         []string   // of windows and sets, for o2n:names

	blocks  []state.Block // found; nothing was charged
	results []result      // of each charge
	sent    []sent        // of each letter
}

// result is what became of one charge.
type result struct {
	used   int64 // in its window, before the call
	cost   int64
	full   bool
	line   int64    // the time at which its window was judged, in ns
	took   bool     // it was charged
	undone bool     // and taken back
	hash   []string // its window after the script's call; nil where one more fits
}

func newTaking(s *Store, now time.Time, ask state.Ask) *taking {
	n := len(ask.Charges)
	t := &taking{
		store: s, now: now, wants: ask, keys: make([]string, n), sets: make([]string, n),
		members: make([][]uint64, n), recipients: make([][]uint64, len(ask.Letters)),
	}
	if s.options.HostTime {
		line := s.clock.Peek(now)
		if !ask.Dry {
			line = s.clock.At(now)
		}
		t.seconds, t.nano = strconv.FormatInt(line/int64(time.Second), 10), strconv.FormatInt(line%int64(time.Second), 10)
	}
	for i, c := range ask.Charges {
		name := limitName + escape(c.Limit)
		t.keys[i] = subjectKey(name, c.Subject)
		t.names = append(t.names, name)
		if c.Set != "" {
			name = setName + escape(c.Set)
			t.sets[i] = subjectKey(name, c.Subject)
			t.names = append(t.names, name)
		}
	}
	return t
}

// ask asks the server until the docs here are as new as there.
func (t *taking) ask(ctx context.Context, c redis.UniversalClient) error {
	if err := t.store.names.ensure(ctx, c, t.names); err != nil {
		return err
	}
	key := t.store.hashes.Load() // known since the link was first up
	for i, charge := range t.wants.Charges {
		t.members[i] = key.Hashes(charge.Members)
	}
	for i, l := range t.wants.Letters {
		t.recipients[i] = key.Hashes(l.Members)
	}
	for {
		known := *t.store.mirror.known.Load()
		t.blocks = nil
		if len(t.wants.Subjects) > 0 {
			t.blocks = t.store.mirror.docs.Active(t.now, t.wants.Subjects)
		}
		fresh, err := t.once(ctx, c, known)
		if err != nil || fresh {
			return err
		}
		if err := t.store.mirror.sync(ctx, c, known); err != nil {
			return err
		}
	}
}

// once says false, and charges nothing, when there are newer docs than known.
func (t *taking) once(ctx context.Context, c redis.UniversalClient, known generation) (fresh bool, err error) {
	gen := ""
	if len(t.wants.Subjects) > 0 {
		gen = known.String()
	}
	if t.store.address.IsClusterMode {
		return t.inGroups(ctx, c, gen)
	}
	mode := modeTake
	if t.wants.Dry {
		mode = modeDry
	}
	p := t.part()
	if len(t.blocks) == 0 { // else only whether they still stand
		p.charges, p.letters = upTo(len(t.wants.Charges)), upTo(len(t.wants.Letters))
	}
	return p.run(ctx, c, mode, gen)
}

// upTo are the numbers from 0 on, n of them.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// The modes of take.lua.
const (
	modeTake = "take"
	modeDry  = "dry"
	modeHold = "hold"
)

// part is a call of the script for some of the charges and letters, which share a
// server.
type part struct {
	*taking
	charges []int // into wants
	letters []int // likewise
	fits    bool
}

func (t *taking) part() *part {
	if t.results == nil {
		t.results, t.sent = make([]result, len(t.wants.Charges)), make([]sent, len(t.wants.Letters))
	}
	return &part{taking: t}
}

// run says false when the docs have changed since gen.
func (p *part) run(ctx context.Context, c redis.UniversalClient, mode, gen string) (fresh bool, err error) {
	keys, args := p.arguments(mode, gen, p.charges, p.letters)
	r, err := run(ctx, c, takeScript, keys, args)
	if err != nil {
		return false, err
	}
	switch status := r.text(); status {
	case "stale":
		return false, r.bad
	case "damaged":
		return false, refusal{fmt.Errorf("%s is damaged; reset clears it", r.text())}
	case "ok", "full":
		p.fits = status == "ok"
	default:
		r.fail(status)
	}
	p.read(r, mode)
	return true, r.bad
}

// arguments are the script's KEYS and ARGV for these charges and letters, and p's
// members.
func (p *part) arguments(mode, gen string, charges, letters []int) (keys []string, args []any) {
	keys = make([]string, 0, 2*len(p.charges)+len(letters)+1)
	args = make([]any, 0, 10+6*len(charges)+10*len(letters))
	args = append(args, mode, p.seconds, p.nano, gen, len(charges), nil, len(letters),
		state.MaxMembers, state.MaxCampaigns, state.CampaignGrace)
	for _, i := range charges {
		c := &p.wants.Charges[i]
		only := ""
		if c.CountOnly {
			only = "1"
		}
		keys = append(keys, p.keys[i])
		length := int64(c.Length)
		args = append(args, length, length/60, length%60, c.Max, c.Cost, only)
	}
	sets, list := p.setArguments()
	for _, i := range sets {
		remember := p.wants.Charges[i].Remember
		keys = append(keys, p.sets[i])
		args = append(args, int64(remember/time.Second), int64(remember%time.Second))
	}
	args[5] = len(sets)
	for _, i := range letters {
		keys = append(keys, campaignsKey(p.wants.Letters[i].Subject))
		args = append(args, p.letterArguments(i)...)
	}
	args = append(args, list...)
	if gen != "" {
		keys = append(keys, genKey)
	}
	return keys, args
}

// setArguments are, of each set, a charge that names it; and for each charge of
// members its number, its set's number and they.
func (p *part) setArguments() (sets []int, list []any) {
	numbers := map[string]int{}
	for n, i := range p.charges {
		key := p.sets[i]
		if key == "" {
			continue
		}
		if numbers[key] == 0 {
			sets = append(sets, i)
			numbers[key] = len(sets)
		}
		list = append(list, n+1, numbers[key], len(p.members[i]))
		for _, h := range p.members[i] {
			list = append(list, member(h))
		}
	}
	return sets, list
}

// read takes the rest of the script's answer apart.
func (p *part) read(r *reply, mode string) {
	line := r.number()*int64(time.Second) + r.number()
	for _, i := range p.charges {
		p.results[i] = result{used: r.number(), cost: p.wants.Charges[i].Cost, line: line}
	}
	costs := r.numbers()
	for _, i := range p.charges {
		if p.sets[i] != "" && len(costs) > 0 {
			p.results[i].cost = costs[0]
			costs = costs[1:]
		}
	}
	for _, n := range r.numbers() {
		if n < 0 || n >= int64(len(p.charges)) {
			r.fail(n)
			return
		}
		p.results[p.charges[n]].full = true
	}
	for _, i := range p.letters {
		p.sent[i] = readSent(r.list(), p.wants.Letters[i].Subject)
		if p.sent[i].bad != nil {
			r.fail(p.sent[i].bad)
			return
		}
		p.sent[i].took = p.fits && mode != modeDry && len(p.recipients[i]) > 0
	}
	for r.more() {
		n, hash := r.number(), r.texts()
		if n < 0 || n >= int64(len(p.charges)) {
			r.fail(n)
			return
		}
		p.results[p.charges[n]].hash = hash
	}
	for _, i := range p.charges {
		x := &p.results[i]
		x.took = p.fits && mode != modeDry && !x.full && x.cost > 0
	}
}

// charged says that anything was.
func (t *taking) charged() bool {
	for _, x := range t.results {
		if x.took {
			return true
		}
	}
	for _, x := range t.sent {
		if x.took {
			return true
		}
	}
	return false
}

// sum of two amounts, at most the highest int64.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
