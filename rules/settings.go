package rules

import (
	"context"
	"net/netip"
	"time"

	"o2n-milter/state"
)

// Settings is all that an Engine is configured with; config builds it.
type Settings struct {
	// Actions by rule id, "identity.header_from" and so on, for every rule that
	// has a TOML key of its own, the limits excepted; also "accounts.unavailable",
	// "store.unavailable" (state.on_failure; Accept is allowed there).
	Actions map[string]Action

	// AllShadow puts every action above shadow down to it, but for manual blocks.
	AllShadow bool

	Strict        bool // identity.alignment = "strict"
	MaxVisible    int
	MaxEnvelope   int
	MaxDuplicates int
	Limits        []Limit // in file order

	UnknownReject bool   // accounts.unknown = "reject"
	DefaultRealm  string // lower-case IDNA ASCII, empty for none
	Networks      []netip.Prefix
	Hosts         []string // lower-case IDNA ASCII

	Content Content

	Blocking Blocking
	Own      []netip.Addr // this host's addresses

	Bulk Bulk

	Language    string // reply.language: "en", "fr", "en+fr"
	HelpURL     string
	BulkService string // reply.bulk_service
	// Link is the customer page of an account, for replies; nil or "": there is none.
	Link func(account string, now time.Time) string

	// Ours says, once, whether a notice of this value to these recipients is our own;
	// nil: there are none.
	Ours func(value string, recipients []string) bool

	// Hold writes down that the MTA is about to hold a message. With an error, of which
	// ErrNoRoom may be shown to people, it is not held. Nil: nothing is really held.
	Hold func(ctx context.Context, now time.Time, h state.Held) error

	// SelfUnblock is how often in 30 days an account may end automatic blocks of its
	// own itself (block.self_unblock); 0: never. Nothing here asks for it: the
	// customer page does.
	SelfUnblock int

	// Origin tells where a key was set, for explain: file and line, or "" and 0
	// for a default. The argument is the dotted key, "identity.header_from".
	Origin func(key string) (file string, line int)
	// Value is the value of a key as TOML has it, a default too. Nil, like a nil Origin:
	// decisions keep no lines.
	Value func(key string) string
	// Version tells configurations apart, in decisions; empty: nobody asks.
	Version string

	// HideAddresses keeps keyed hashes in decisions in place of what stands before the @
	// of addresses; the account's own login stays (state.addresses = "hashed").
	HideAddresses bool
}

// Unit is what a limit counts.
type Unit string

// The units. NewRecipients counts recipients the subject has not written to lately.
const (
	Messages      Unit = "messages"
	Recipients    Unit = "recipients"
	NewRecipients Unit = "new_recipients"
	Bytes         Unit = "bytes"
)

// Limit is one [limit.NAME].
type Limit struct {
	Name    string
	Subject string // account, customer, script, host, ip, domain, account+domain
	Unit    Unit
	Max     int64
	Window  time.Duration
	Action  Action
	Plans   map[string]int64 // max by plan
}
