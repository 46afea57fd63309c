package redisdb

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"o2n-milter/state"
)

// answer works out, from what the scripts said, what Take answers: the same as
// state/internal/ledger does from memory.
func (t *taking) answer() (state.Answer, error) {
	if len(t.wants.Charges) == 0 {
		return state.Answer{Campaigns: t.campaigns()}, nil
	}
	a := state.Answer{Windows: make([]state.Usage, len(t.results)), Costs: make([]int64, len(t.results)), Campaigns: t.campaigns()}
	var err error
	if a.Full, err = t.full(); err != nil {
		return state.Answer{}, err
	}
	stands := t.sums(func(x *result) bool { return x.took && !x.undone })
	undone := t.sums(func(x *result) bool { return x.undone })
	for i := range t.results {
		key := t.keys[i]
		u := state.Usage{Window: t.wants.Charges[i].Window, Used: sum(t.results[i].used, stands[key])}
		if u.NextFree, err = t.free(i, u.Used, 1, undone[key]); err != nil {
			return state.Answer{}, err
		}
		a.Windows[i], a.Costs[i] = u, t.results[i].cost
	}
	return a, nil
}

// sums are the costs of such charges, by window.
func (t *taking) sums(such func(*result) bool) map[string]int64 {
	sums := make(map[string]int64, len(t.results))
	for i := range t.results {
		if x := &t.results[i]; such(x) {
			sums[t.keys[i]] = sum(sums[t.keys[i]], x.cost)
		}
	}
	return sums
}

// full reports what was full. What a charge would need is its cost, and those of the
// charges before it on the same window: those that only count come after all others.
func (t *taking) full() ([]state.Full, error) {
	var full []state.Full
	took := t.sums(func(x *result) bool { return x.took })
	asked := make(map[string]int64)
	for _, only := range []bool{false, true} {
		for i, c := range t.wants.Charges {
			x, key := &t.results[i], t.keys[i]
			if c.CountOnly != only {
				continue
			}
			total := sum(asked[key], x.cost)
			if !x.full || !only {
				asked[key] = total
			}
			if !x.full {
				continue
			}
			at, err := t.free(i, x.used, total, took[key])
			if err != nil {
				return nil, err
			}
			full = append(full, state.Full{Index: i, Used: x.used, Free: at})
		}
	}
	return full, nil
}

// refused says that a campaign, or a window which is not CountOnly, was full.
func (t *taking) refused() bool {
	for i, x := range t.results {
		if x.full && !t.wants.Charges[i].CountOnly {
			return true
		}
	}
	return slices.ContainsFunc(t.sent, func(x sent) bool { return x.campaign.Full })
}

// free is when cost fits the window of charge i, which holds used and, in its hash,
// so much more.
func (t *taking) free(i int, used, cost, more int64) (time.Time, error) {
	x, c := &t.results[i], &t.wants.Charges[i]
	switch {
	case cost > c.Max:
		return time.Time{}, nil
	case cost <= c.Max-used:
		return t.now.UTC(), nil
	}
	slots, err := decodeWindow(x.hash, x.line/(int64(c.Length)/60), more)
	if err != nil {
		return time.Time{}, refusal{fmt.Errorf("%s is damaged: %w; reset clears it", t.keys[i], err)}
	}
	slots.Advance(c.Length, x.line)
	at, _ := slots.FreeAt(cost, c.Max, x.line)
	return t.now.UTC().Add(time.Duration(at - x.line)), nil
}

// decodeWindow reads a window's hash as HGETALL gives it, leaving out so much of one
// slot. No fields are an empty window.
func decodeWindow(hash []string, slot, without int64) (state.Slots, error) {
	if len(hash) == 0 {
		return state.Slots{}, nil
	}
	var length uint64
	slots := make(map[int64]int64)
	for i := 0; i+1 < len(hash); i += 2 {
		name := hash[i]
		n, err := strconv.ParseInt(hash[i+1], 10, 64)
		if err != nil || n < 0 {
			return state.Slots{}, fmt.Errorf("%.40q is %.40q", name, hash[i+1])
		}
		switch k, err := strconv.ParseInt(name, 10, 64); {
		case err == nil && k >= 0:
			slots[k] = n
		case name == "w":
			length = uint64(n)
		}
	}
	slots[slot] -= min(without, slots[slot])
	return encode(length, slots)
}

// encode goes by way of the bytes that state.Slots knows how to check.
func encode(length uint64, slots map[int64]int64) (state.Slots, error) {
	b := binary.AppendUvarint([]byte{1}, length)
	order := make([]int64, 0, len(slots))
	for k, n := range slots {
		if n > 0 {
			order = append(order, k)
		}
	}
	slices.Sort(order)
	last := int64(0)
	for _, k := range order {
		b = binary.AppendUvarint(b, uint64(k-last))
		b = binary.AppendUvarint(b, uint64(slots[k]))
		last = k
	}
	return state.DecodeSlots(b)
}
