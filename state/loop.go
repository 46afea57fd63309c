package state

import (
	"context"
	"sync"
)

// Loop runs what a store does beside its calls until ctx ends, or the function that it
// returns is called, which waits for its end and may be called again. It decides what
// becomes of a panic: one that starts run again also runs it once more, with a context that has ended,
// where the end comes between a panic and the next start.
type Loop func(ctx context.Context, name string, run func(context.Context)) (stop func())

// Unguarded is a Loop in which a panic ends the process.
func Unguarded(ctx context.Context, _ string, run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}
