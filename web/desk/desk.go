// Package desk is what an operator and a customer may ask and do: the one service
// behind the admin API, the command line, the operator console and the customer
// page. It knows nothing of HTTP, and decides nothing about mail.
//
// Invariants: every change leaves an audit line, with who did it; a dry run
// changes nothing; history is never edited, so that extending a block is lifting
// it and making another; what a customer sees and does goes through the account
// that his link names, and whatever is another's is not found.
package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/stats"
)

// The kinds of fault that a caller can mend. What wraps them is a sentence for him.
var (
	ErrNotFound = errors.New("not found")
	ErrBad      = errors.New("bad request")
	ErrConflict = errors.New("conflict")
)

// fault is one of the errors above with its own sentence.
type fault struct {
	kind error
	text string
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.kind }

func bad(format string, args ...any) error {
	return &fault{ErrBad, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &fault{ErrNotFound, fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &fault{ErrConflict, fmt.Sprintf(format, args...)}
}

// Actor is who changes something, for the record.
type Actor struct {
	Name string // "root", "alice", "customer alice@client-a.example"
	From string // "cli", "console 192.0.2.7", "page 192.0.2.7"
}

// Judge is asked what the rules in force say; it follows reloads.
type Judge interface {
	// WindowsOf is the Engine's.
	WindowsOf(ctx context.Context, now time.Time, subject string) ([]rules.Window, error)
	// Account is the Engine's AccountOf: the account of whoever logs in by this name,
	// in lower case; nil when he may not send.
	Account(ctx context.Context, login string) (*accounts.Account, error)
	Settings() *rules.Settings
}

// Event is a change that others may want to be told of.
type Event struct {
	What    string // block, lift, request, approve, deny, ceiling
	Block   state.Block
	Request state.Request // of request, approve and deny
}

// Desk is the service. Its fields are set before its first use; it is then safe
// for concurrent use.
type Desk struct {
	Store    state.Store
	Judge    Judge
	Log      *slog.Logger // audit lines go here too
	Now      func() time.Time
	Changed  func(Event)    // called after the change stands; nil: nobody listens
	Links    *Links         // nil: no key is configured, links cannot be made
	Stats    *stats.Counter // nil: Overview counts nothing
	Sessions func() int     // open milter sessions
	Clock    func() string  // what is wrong with the host's clock; nil: nobody looks
	Trouble  func() string  // which parts of the daemon do not run, empty when all do; nil: nobody looks
	// HeldChanged is called when somebody wants something of held mail; nil: nobody
	// listens. HeldUnknown is the mail on hold in this host's MTA that is not ours, and
	// HoldAway says why nothing of this host is released, empty while it is; nil: nobody
	// looks.
	HeldChanged func()
	HeldUnknown func() []UnknownHeld
	HoldAway    func() string
	Wiring      func() Wiring // what came through the milter sockets; nil: nobody counts
	// Try judges a message that is only asked about; an error says what is wrong with
	// the question. Nil: nobody judges.
	Try     func(context.Context, CheckMail) (rules.Verdict, error)
	Version string
	// PublicURL is where customers reach /c/, without a slash at the end; empty
	// when none is configured.
	PublicURL string
	// ConsoleURL is where operators reach /admin/; empty: as PublicURL.
	ConsoleURL string

	codes    codes
	tallies  tallies
	heldBook heldBook
	lines    atomic.Uint32 // audit lines so far: keeps those of one microsecond in order
}

// now is the time of a change: whole seconds, which is what people are shown.
func (d *Desk) now() time.Time { return d.Now().UTC().Truncate(time.Second) }

// carryOn keeps a change going when its caller hangs up: it would stand all the
// same, without its audit line.
func carryOn(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}

func (d *Desk) tell(e Event) {
	if d.Changed != nil {
		d.Changed(e)
	}
}
