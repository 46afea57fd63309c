package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// firstPause is how long a loop rests after a panic, twice as long after each
	// further one, up to mostPause: a record that brings it on each time costs a stack
	// in the log a minute, and what has healed runs again soon.
	firstPause = time.Second
	mostPause  = time.Minute
	// steady is how long a loop must have run to count as well: longer than the minute
	// that lies between two rounds of most of them.
	steady = 5 * time.Minute
	// reloadLoop stands for what SIGHUP brings on.
	reloadLoop = "reload"
)

// loops runs what goes on beside the sessions. A panic there is a fault of ours, often
// one that a stored record brings at each start as well: it must end neither the daemon,
// for which all mail would wait, nor the loop for good. It is told, counted, and the loop
// is started again. A panic that holds a lock which is not deferred is beyond its help.
type loops struct {
	log    *slog.Logger
	panics *prometheus.CounterVec

	mu   sync.Mutex
	hurt map[string]injury // by the loop's name
}

// injury is what became of a loop that has panicked.
type injury struct {
	panics int       // without a steady run between them
	back   time.Time // that it was started again; zero while it rests
}

func newLoops(log *slog.Logger) *loops {
	return &loops{log: log, hurt: map[string]injury{}, panics: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_loop_panics_total",
		Help: "Panics of ours outside of messages and pages, by what was at work.",
	}, []string{"loop"})}
}

// register registers o2n_milter_loop_panics_total.
func (l *loops) register(reg prometheus.Registerer) {
	l.panics.WithLabelValues(reloadLoop) // no loop, but guarded like one
	reg.MustRegister(l.panics)
}

// start keeps run going until ctx ends, or the function that it returns is called, which
// waits for its end. run returns when its ctx ends; one that was stopped by a panic then
// gets a last chance to keep what is left.
func (l *loops) start(ctx context.Context, name string, run func(context.Context)) (stop func()) {
	l.panics.WithLabelValues(name) // a series that is there from the start is seen to rise
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { l.keep(ctx, name, run) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (l *loops) keep(ctx context.Context, name string, run func(context.Context)) {
	for pause, panics := firstPause, 1; ; pause, panics = min(2*pause, mostPause), panics+1 {
		last, began := ctx.Err() != nil, time.Now()
		if l.guard(name, func() { run(ctx) }) || last {
			return
		}
		if time.Since(began) >= steady {
			pause, panics = firstPause, 1
		}
		l.note(name, injury{panics: panics})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		l.note(name, injury{panics: panics, back: time.Now()})
	}
}

// guard does something and says whether it came to its end. A panic is told and counted.
func (l *loops) guard(name string, do func()) (whole bool) {
	defer func() {
		if p := recover(); p != nil {
			l.panics.WithLabelValues(name).Inc()
			l.log.Error("loop: panic", "loop", name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	do()
	return true
}

func (l *loops) note(name string, i injury) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hurt[name] = i
}

// trouble says which loops rest, or have not run for long since; empty when all is well.
func (l *loops) trouble() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(l.hurt)) {
		i := l.hurt[name]
		switch {
		case i.back.IsZero():
			list = append(list, fmt.Sprintf("loop %s is away after %d panics", name, i.panics))
		case time.Since(i.back) < steady:
			list = append(list, fmt.Sprintf("loop %s is just back after %d panics", name, i.panics))
		}
	}
	return strings.Join(list, ", ")
}

// every does something again and again until its context ends.
func every(period time.Duration, do func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do(ctx)
			case <-ctx.Done():
				return
			}
		}
	}
}
