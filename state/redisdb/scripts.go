package redisdb

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

//go:embed take.lua
var takeLua string

//go:embed letters.lua
var lettersLua string

//go:embed decide.lua
var decideLua string

//go:embed unsend.lua
var unsendLua string

//go:embed undo.lua
var undoLua string

//go:embed reset.lua
var resetLua string

//go:embed docs.lua
var docsLua string

//go:embed changes.lua
var changesLua string

//go:embed put.lua
var putLua string

//go:embed restore.lua
var restoreLua string

var (
	takeScript    = redis.NewScript(takeLua + lettersLua + decideLua)
	unsendScript  = redis.NewScript(unsendLua)
	undoScript    = redis.NewScript(undoLua)
	resetScript   = redis.NewScript(resetLua)
	changesScript = redis.NewScript(docsLua + changesLua)
	putScript     = redis.NewScript(docsLua + putLua)
	restoreScript = redis.NewScript(docsLua + restoreLua)
)

// run runs a script. Its text is sent only when the server does not have it.
func run(ctx context.Context, c redis.Scripter, script *redis.Script, keys []string, args []any) (*reply, error) {
	values, err := script.Run(ctx, c, keys, args...).Slice()
	if err != nil {
		return nil, err
	}
	return &reply{values: values}, nil
}

// reply is an array that a script answered with, read from the front. The first
// value that is not what is wanted makes it bad, and all that follow empty.
type reply struct {
	values []any
	at     int
	bad    error
}

func (r *reply) next() any {
	if r.at >= len(r.values) {
		r.fail("nothing")
		return nil
	}
	r.at++
	return r.values[r.at-1]
}

func (r *reply) fail(got any) {
	if r.bad == nil {
		r.bad = fmt.Errorf("answer of a script: found %.100v at %d", got, r.at)
	}
}

func (r *reply) more() bool { return r.bad == nil && r.at < len(r.values) }

func (r *reply) text() string {
	v := r.next()
	s, ok := v.(string)
	if !ok {
		r.fail(v)
	}
	return s
}

// number reads an integer, which may come as text where a double could not hold it.
func (r *reply) number() int64 {
	switch v := r.next().(type) {
	case int64:
		return v
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			r.fail(v)
		}
		return n
	default:
		r.fail(v)
		return 0
	}
}

func (r *reply) list() *reply {
	v := r.next()
	values, ok := v.([]any)
	if !ok {
		r.fail(v)
	}
	return &reply{values: values}
}

func (r *reply) numbers() []int64 {
	l := r.list()
	numbers := make([]int64, 0, len(l.values))
	for l.more() {
		numbers = append(numbers, l.number())
	}
	if l.bad != nil {
		r.fail(l.bad)
	}
	return numbers
}

func (r *reply) texts() []string {
	l := r.list()
	texts := make([]string, 0, len(l.values))
	for l.more() {
		texts = append(texts, l.text())
	}
	if l.bad != nil {
		r.fail(l.bad)
	}
	return texts
}
