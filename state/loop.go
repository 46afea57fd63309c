package state

import (
	"context"
	"sync"
)

// Loop runs what a store does beside its calls until ctx ends, or until the function that
// it returns is called, which waits for run to end and may be called again. What becomes of
// a panic is for the Loop to decide: one that starts run again does so also when the end
// comes between a panic and the next start, with a context that has ended, so that run can
// write what waits.
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
