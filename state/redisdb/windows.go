package redisdb

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// Usage implements state.Store.
func (s *Store) Usage(ctx context.Context, now time.Time, windows []state.Window) ([]state.Usage, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := ledger.CheckWindows(now, windows); err != nil {
		return nil, err
	}
	out := make([]state.Usage, len(windows))
	if len(windows) == 0 {
		return out, nil
	}
	err := s.link.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		pipe := c.Pipeline()
		clock := pipe.Time(ctx)
		hashes := make([]*redis.SliceCmd, len(windows))
		for i, w := range windows {
			hashes[i] = redis.NewSliceCmd(ctx, "hgetall", limitKey(w.Limit, w.Subject))
			_ = pipe.Process(ctx, hashes[i]) // queues it
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		line := clock.Val().UnixNano()
		if s.options.HostTime {
			line = s.clock.Peek(now)
		}
		for i, w := range windows {
			u, err := usage(w, hashes[i].Val(), now, line)
			if err != nil {
				return refusal{fmt.Errorf("%s is damaged: %w; reset clears it", limitKey(w.Limit, w.Subject), err)}
			}
			out[i] = u
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	return out, nil
}

func usage(w state.Window, hash []any, now time.Time, line int64) (state.Usage, error) {
	r := reply{values: []any{hash}}
	texts := r.texts()
	if r.bad != nil {
		return state.Usage{}, r.bad
	}
	slots, err := decodeWindow(texts, 0, 0)
	if err != nil {
		return state.Usage{}, err
	}
	slots.Advance(w.Length, line)
	u := state.Usage{Window: w, Used: slots.Used()}
	if at, ok := slots.FreeAt(1, w.Max, line); ok {
		u.NextFree = now.UTC().Add(time.Duration(at - line))
	}
	return u, nil
}

// Reset implements state.Store. It also clears windows that cannot be read.
func (s *Store) Reset(ctx context.Context, subject string) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	if subject == "" {
		return 0, nil
	}
	count := 0
	err := s.link.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		windows, sets, err := keysOf(ctx, c, subject)
		if err != nil {
			return err
		}
		keys := append(append(windows, sets...), campaignsKey(subject))
		r, err := run(ctx, c, resetScript, keys, []any{len(windows)})
		if err != nil {
			return err
		}
		line := r.number()*int64(time.Second) + r.number()*int64(time.Microsecond)
		if s.options.HostTime {
			line = s.clock.Line()
		}
		for r.more() {
			if held(r.texts(), line) {
				count++
			}
		}
		return r.bad
	})
	if err != nil {
		return 0, fmt.Errorf("reset: %w", err)
	}
	return count, nil
}

// keysOf are those that subject may have, by the names in use.
func keysOf(ctx context.Context, c redis.UniversalClient, subject string) (windows, sets []string, err error) {
	names, err := c.SMembers(ctx, namesKey).Result()
	for _, name := range names {
		key := subjectKey(name, subject)
		if len(name) > len(setName) && name[:len(setName)] == setName {
			sets = append(sets, key)
		} else {
			windows = append(windows, key)
		}
	}
	return windows, sets, err
}

// held says that a window counted anything at this time; at 0, which is before the
// first call, everything counts. So does what cannot be read.
func held(hash []string, line int64) bool {
	if len(hash) == 0 {
		return false
	}
	slots, err := decodeWindow(hash, 0, 0)
	if err != nil {
		return true
	}
	if line > 0 {
		slots.Expire(line)
	}
	return slots.Used() > 0
}
