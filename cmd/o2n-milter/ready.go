package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"o2n-milter/internal/chaos"
	"o2n-milter/state"
)

const (
	// beatPeriod is how often the service manager hears how the daemon is; more often
	// where its watchdog wants that.
	beatPeriod = 10 * time.Second
	// answerTime is what the daemon gives itself to answer its own question: a third of
	// what the MTAs wait for an answer.
	answerTime = 5 * time.Second
	// openingStep is how often more time is asked for while the store is opened, and
	// mostOpening how long: a start that takes longer hangs.
	openingStep = 20 * time.Second
	mostOpening = 30 * time.Minute
	// closingTime is what everything but sessions and store may take to end.
	closingTime = 10 * time.Second
)

// manager is the service manager that started the daemon (sd_notify(3)); without one,
// telling it anything does nothing.
type manager struct {
	log    *slog.Logger
	beside *loops
}

func (m manager) tell(lines ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		m.log.Warn("the service manager cannot be told how the daemon is", "error", err)
	}
}

// moreTime asks for so much time from now on, where the manager would give up before.
func moreTime(d time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds())
}

// opening asks for more time until the function that it returns is called: a damaged
// store is repaired while it is opened, which takes as long as it is large.
func (m manager) opening() (done func()) {
	ctx, cancel := context.WithTimeout(context.Background(), mostOpening)
	say := func(context.Context) { m.tell("STATUS=opening the store", moreTime(3*openingStep)) }
	say(ctx)
	stop := m.beside.start(ctx, "opening", every(openingStep, say))
	return func() {
		stop()
		cancel()
	}
}

// reloading brackets a reload. One that panics leaves what was in force by then.
func (m manager) reloading(reload func()) {
	m.tell(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
	m.beside.guard(reloadLoop, reload)
	m.tell(daemon.SdNotifyReady)
}

// stopping asks for the time that the daemon may take to stop.
func (m manager) stopping(atMost time.Duration) {
	m.tell(daemon.SdNotifyStopping, moreTime(atMost))
}

// pulse is what the daemon says of itself while it serves.
type pulse struct {
	store    state.Store
	account  func(context.Context, string) error // looks a login up, as for each message
	sessions func() int
	judged   atomic.Int64  // messages
	trouble  func() string // of the loops beside the sessions; empty when all is well
	dead     func()        // is told, each time, of a store that only another process can use
	now      func() time.Time
	log      *slog.Logger
}

// errStoreDead ends the daemon: until another one is started, nothing that is to be kept can be.
var errStoreDead = errors.New("the store keeps nothing more; start again")

// start says that the daemon is ready, and how it is until the function that it
// returns is called.
func (p *pulse) start(m manager) (stop func()) {
	period := beatPeriod
	if patience, _ := daemon.SdWatchdogEnabled(false); patience > 0 { // an error is another process's watchdog
		period = min(period, patience/3)
	}
	var first []string
	m.beside.guard("pulse", func() { first = p.beat(context.Background()) })
	m.tell(append(first, daemon.SdNotifyReady)...)
	return m.beside.start(context.Background(), "pulse", every(period, func(ctx context.Context) { m.tell(p.beat(ctx)...) }))
}

// beat is the daemon's state in one line, and that it lives if it does. It does not come
// back from a lock that nobody lets go of, and then the watchdog hears nothing.
func (p *pulse) beat(ctx context.Context) []string {
	chaos.Point("pulse")
	late := p.late(ctx)
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	st, err := p.store.Status(ctx, p.now())
	line := fmt.Sprintf("STATUS=%d sessions, %d messages judged; store %s", p.sessions(), p.judged.Load(), st.Backend)
	switch {
	case err != nil:
		line += ": " + oneLine(err.Error())
	case st.Degraded != "":
		line += " degraded: " + oneLine(st.Degraded)
	}
	if err == nil && st.Dead {
		p.dead()
	}
	if why := p.trouble(); why != "" {
		line += "; " + why
	}
	// A store that is away may be late: mail gets its answer by state.on_failure.
	if late && !st.Away {
		p.log.Error("the daemon does not answer its own question", "within", answerTime)
		return []string{line + "; does not answer"}
	}
	return []string{line, daemon.SdNotifyWatchdog}
}

// late says that the daemon does not answer its own question in time.
func (p *pulse) late(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	p.ask(ctx)
	return errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// ask takes the way of a message that passes: whose it is, and its charge, which is not
// made. What is answered does not matter, only that something is.
func (p *pulse) ask(ctx context.Context) {
	_ = p.account(ctx, "watchdog@localhost")
	_, _ = p.store.Take(ctx, p.now(), state.Ask{Dry: true, Charges: []state.Charge{{
		Window: state.Window{Limit: "watchdog", Subject: "account:watchdog@localhost", Length: time.Minute, Max: 1}, Cost: 1,
	}}})
}

// oneLine is a text without what ends a line, which would end the field.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
