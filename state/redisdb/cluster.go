package redisdb

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// inGroups charges on a Cluster: slot by slot, in order of the slots. A charge is made
// before the next slot is asked, so that no window is over its Max at any moment, and
// taken back when a later one refuses; so is a letter. Members of sets are put only
// when all have passed: a crash before that costs them again.
func (t *taking) inGroups(ctx context.Context, c redis.UniversalClient, gen string) (fresh bool, err error) {
	if gen != "" {
		now, err := c.Get(ctx, genKey).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return false, err
		}
		if now != gen {
			return false, nil
		}
	}
	if len(t.blocks) > 0 {
		return true, nil
	}
	groups := t.groups()
	if len(groups) == 1 && !t.wants.Dry {
		return groups[0].run(ctx, c, modeTake, "")
	}
	mode := modeHold
	if t.wants.Dry {
		mode = modeDry
	}
	for n, g := range groups {
		if _, err := g.run(ctx, c, mode, ""); err != nil {
			return false, errors.Join(err, t.undo(ctx, c, groups[:n]))
		}
		if !g.fits && mode == modeHold {
			// Those after it are only asked, so that all that are full are reported.
			if err := t.undo(ctx, c, groups[:n]); err != nil {
				return false, err
			}
			mode = modeDry
		}
	}
	if mode == modeDry {
		t.settle()
		return true, nil
	}
	return true, t.remember(ctx, c, groups)
}

// groups are the charges and letters by slot.
func (t *taking) groups() []*part {
	bySlot := make(map[int]*part)
	at := func(subject string) *part {
		slot := slotOf(escape(subject))
		if bySlot[slot] == nil {
			bySlot[slot] = t.part()
		}
		return bySlot[slot]
	}
	for i, c := range t.wants.Charges {
		p := at(c.Subject)
		p.charges = append(p.charges, i)
	}
	for i, l := range t.wants.Letters {
		p := at(l.Subject)
		p.letters = append(p.letters, i)
	}
	groups := make([]*part, 0, len(bySlot))
	for _, slot := range slices.Sorted(maps.Keys(bySlot)) {
		groups = append(groups, bySlot[slot])
	}
	return groups
}

// settle makes results what one call would have said of all: nothing was charged, and
// where a window is full those that only count are not reported.
func (t *taking) settle() {
	refused := t.refused()
	for i := range t.results {
		x := &t.results[i]
		if x.took {
			x.took, x.undone = false, true
		}
		x.full = x.full && !(refused && t.wants.Charges[i].CountOnly)
	}
}

// undo takes back what groups were charged. It also does so when the budget is over.
func (t *taking) undo(ctx context.Context, c redis.UniversalClient, groups []*part) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.store.options.Budget)
	defer cancel()
	var faults []error
	for _, g := range groups {
		var keys []string
		var args []any
		for _, i := range g.charges {
			x, c := &t.results[i], t.wants.Charges[i]
			if x.took {
				keys = append(keys, t.keys[i])
				length := int64(c.Length)
				args = append(args, strconv.FormatInt(length, 10), x.line/(length/60), x.cost)
			}
		}
		if len(keys) > 0 {
			_, err := run(ctx, c, undoScript, keys, args)
			faults = append(faults, err)
		}
		faults = append(faults, g.unsend(ctx, c))
	}
	return errors.Join(faults...)
}

// remember puts the members of a message that has passed.
func (t *taking) remember(ctx context.Context, c redis.UniversalClient, groups []*part) error {
	for _, g := range groups {
		keys, args := g.arguments(modeTake, "", nil, nil)
		if len(keys) == 0 {
			continue
		}
		if _, err := run(ctx, c, takeScript, keys, args); err != nil {
			return err
		}
	}
	return nil
}
