package replay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"o2n-milter/state"
)

// page is how many decisions are asked for at once; some 2 KB each.
const page = 1000

// Tape holds recorded decisions in a file that has no name: they come newest first and
// are judged oldest first, and may be more than fit into memory.
type Tape struct {
	file *os.File
	ends []int64 // where each ends in the file, in the order in which they came
}

// Fetch gets a page of decisions as a store does, newest first.
type Fetch func(ctx context.Context, q state.Query) ([]state.Decision, error)

// Record gets the decisions from since on that were made before until, page by page.
// seen is told how many there are so far.
func Record(ctx context.Context, fetch Fetch, since, until time.Time, seen func(decisions int)) (*Tape, error) {
	f, err := os.CreateTemp("", "o2n-milter-replay-")
	if err != nil {
		return nil, err
	}
	t := &Tape{file: f}
	if err = os.Remove(f.Name()); err == nil {
		err = t.record(ctx, fetch, state.Query{Since: since, Before: until, Limit: page}, seen)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

func (t *Tape) record(ctx context.Context, fetch Fetch, q state.Query, seen func(int)) error {
	out := bufio.NewWriter(t.file)
	end := int64(0)
	for {
		list, err := fetch(ctx, q)
		if err != nil {
			return err
		}
		for _, d := range list {
			line, err := json.Marshal(d)
			if err != nil {
				return fmt.Errorf("decision %s: %w", d.ID, err)
			}
			if _, err := out.Write(line); err != nil {
				return err
			}
			end += int64(len(line))
			t.ends = append(t.ends, end)
		}
		seen(len(t.ends))
		if len(list) < q.Limit {
			return out.Flush()
		}
		last := list[len(list)-1]
		q.Before, q.Past = last.At, last.ID
	}
}

// Len is how many decisions there are.
func (t *Tape) Len() int { return len(t.ends) }

// Each calls f for all decisions, oldest first, until f or ctx ends it.
func (t *Tape) Each(ctx context.Context, f func(state.Decision) error) error {
	for i := range slices.Backward(t.ends) {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := int64(0)
		if i > 0 {
			start = t.ends[i-1]
		}
		var d state.Decision
		if err := json.NewDecoder(io.NewSectionReader(t.file, start, t.ends[i]-start)).Decode(&d); err != nil {
			return fmt.Errorf("recorded decision: %w", err)
		}
		if err := f(d); err != nil {
			return err
		}
	}
	return nil
}

// Close lets go of the file.
func (t *Tape) Close() error { return t.file.Close() }
