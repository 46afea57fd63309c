// Package rules is everything that decides. A rule is a pure function: facts in,
// evidence out. The Engine asks every rule, takes the strongest action, charges
// the limits of what passes, and gives one Verdict.
//
// It knows nothing of SMTP sessions, of the store behind state.Store, of HTTP
// or metrics. The rule id that stands in a reply is found by grepping it here.
package rules

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"o2n-milter/message"
	"o2n-milter/state"
)

// Action is what is done with a message, weakest to strongest.
type Action int

// The actions. Off judges nothing; Shadow judges, counts and logs exactly as if
// enforced but lets the mail pass; Accept is the action of mail that passes.
const (
	Off Action = iota
	Shadow
	Accept
	Tag
	Quarantine
	Tempfail
	Reject
)

var actionNames = [...]string{"off", "shadow", "accept", "tag", "quarantine", "tempfail", "reject"}

func (a Action) String() string { return actionNames[a] }

// ParseAction reads the name of an action that a rule may be set to.
func ParseAction(s string) (Action, error) {
	for i, n := range actionNames {
		if n == s && Action(i) != Accept {
			return Action(i), nil
		}
	}
	return Off, fmt.Errorf("%q is no action; want off, shadow, tag, quarantine, tempfail or reject", s)
}

// Recipient is one RCPT TO.
type Recipient struct {
	Address string // without <>, as the MTA gives it
	Local   bool   // the MTA delivers it on this host ({rcpt_mailer} is "local")
}

// MaxBody is how many octets of a body are looked at. Text comes first in nearly all
// mail; of what is longer, attachments make the length.
const MaxBody = 512 << 10

// Mail is everything known about one message at its end: what Decide judges.
type Mail struct {
	Client     netip.Addr // unmapped; zero when the client has no IP address
	ClientName string     // as the MTA resolved it; empty when unknown
	// Local is set when the MTA shows a program of its own host: Postfix' CONNECT
	// with port 0, a client without IP address, or the host's own address.
	Local      bool
	Host       string // the MTA's own name ({j}), names the host: subject
	Login      string // {auth_authen}; empty without login
	Sender     string // envelope MAIL FROM without <>; empty for the null sender
	Recipients []Recipient
	QueueID    string
	Header     []message.Field
	Body       []byte   // its first MaxBody octets
	Size       int64    // octets of header and body
	CanHold    bool     // the MTA can quarantine
	Faults     []string // why the adapter could not read it (message.malformed)
	Excess     []string // what of it went over the adapter's bounds and is not here (message.too_complex)
}

// localSubmission says that a program of the MTA's host sent it: sendmail(1), or
// a loopback client without login.
func (m *Mail) localSubmission() bool {
	return m.Login == "" && (m.Local || m.Client.IsLoopback())
}

// Evidence is what a rule found.
type Evidence struct {
	Rule   string `json:"rule"`
	Fact   string `json:"fact"` // what was looked at: "header From"
	Got    string `json:"got"`
	Want   string `json:"want"`
	Shadow bool   `json:"shadow"`
	// Exempt is the id of the exemption for which it stops nothing (then Shadow too) or
	// which has raised the max in Want; empty when there is none.
	Exempt string `json:"exempt,omitempty"`
}

// Verdict is action, rule, reply and evidence. The zero Verdict is not valid.
type Verdict struct {
	Action   Action // Accept when it passes, else Tag, Quarantine, Tempfail or Reject
	Rule     string // "none" when it passes
	ID       string // decision id
	At       time.Time
	Code     int    // SMTP reply code; 250 when the mail passes, is tagged or held
	Enhanced string // RFC 3463; empty with 250
	// Text follows the enhanced code and ends in "[RULE ID]"; printable ASCII,
	// no % doubled yet. Empty with 250, but for quarantine, where it is the reason.
	Text     string
	Judged   bool   // false for inbound mail and for our own
	Own      bool   // it is our own notice
	Account  string // login; empty without account
	Subjects []string
	Evidence []Evidence
	Charges  []Charge // what passing mail was charged, what refused mail would have been
	// Windows of the charges as they were left, in order; empty when the store was
	// not asked, since a rule or a block had stopped the mail.
	Windows []Window
	// Campaign is what bulk mail the message may be part of; nil when nobody asked.
	Campaign *Campaign
	// Hits are the rules in shadow that found something, with who would have been hit.
	Hits []Hit
	// Struck is what a refusal counted as abuse; 0 when it did not, or was counted before.
	Struck  int
	Blocked []state.Block // whom that blocked
	// WouldBlock is whom it would have blocked, were block.automatic not "shadow".
	WouldBlock []state.Block
	Alarm      string // what people must look at: no block was made, as there were too many
	// Err is what went wrong inside, for the log; it never reaches the sender.
	Err error
}

// Reply is the whole reply line, "550 5.7.1 text [rule id]", without any % doubled;
// empty when the mail passes or is held.
func (v *Verdict) Reply() string {
	if v.Code < 400 {
		return ""
	}
	return strconv.Itoa(v.Code) + " " + v.Enhanced + " " + v.Text
}

// NewID makes a decision id: 40 random bits in Crockford's base32, easy to read
// out on the phone.
func NewID() string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	id := chance.next()
	for i, b := range id {
		id[i] = alphabet[b&31]
	}
	return string(id[:])
}

// chance is where ids come from.
var chance randomness

// randomness is read for many ids at once: it is a system call.
type randomness struct {
	mu   sync.Mutex
	raw  [512]byte
	left int // of raw, at its end
}

func (r *randomness) next() (few [8]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == 0 {
		rand.Read(r.raw[:]) // never fails (crypto/rand, Go 1.24)
		r.left = len(r.raw)
	}
	r.left -= copy(few[:], r.raw[len(r.raw)-r.left:])
	return few
}

// IDs lists every rule id but those of the limits, which are "limit." and the
// limit's name; for them it holds "limit.NAME".
func IDs() []string {
	ids := []string{"block.active", "accounts.unavailable", "store.unavailable", "internal.panic", overload, "limit.NAME", "hold.full",
		"content.score", "content.unavailable"}
	for _, r := range ruleOrder {
		ids = append(ids, r.id)
	}
	return append(ids, "bulk.volume", bulkPace)
}
