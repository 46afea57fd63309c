// Package state is everything that is remembered: windows, known recipients, blocks,
// decisions, and docs, which are whatever else others keep (requests, exemptions).
//
// It knows nothing of rules, SMTP or the store behind it. Drivers live in
// state/badgerdb, state/redisdb and state/memory, and state/statetest holds the one
// suite that every driver must pass; state/local stands before a driver.
//
// Invariants of every driver: in any true window of length W no subject gets
// more than Max through; a message is charged to all its windows or to none; a
// call that returned without an error survives kill -9 (not memory); time is an
// argument and never read from the clock.
//
// Places come free up to W/60 late (Slots says why). Windows are counted on a
// time line of the store's own (Clock): a host's clock that is set back lets
// nobody over Max and refuses for no longer than W; one that is set forward
// moves nothing as long as callers pass time.Now as it is, with its monotonic
// reading. A record from a process whose clock was ahead counts as if charged
// when it is first read. What a store drops by its own clock is only what has
// emptied long before: twice the window; blocks are never dropped.
//
// When a limit's window is made longer, charges that had left the shorter one
// stay forgotten; when made shorter, they count up to a slot of the longer one late.
package state

import (
	"context"
	"encoding/json"
	"errors"
	"math/bits"
	"slices"
	"time"
)

var (
	// ErrNotFound is returned for a block or decision that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict is returned for a Doc that somebody else has changed meanwhile.
	ErrConflict = errors.New("changed by somebody else meanwhile")
	// ErrUnavailable is in every error that is due to a store which cannot be reached
	// or cannot serve now, and in none that is due to what was asked.
	ErrUnavailable = errors.New("the store is away")
	// ErrNewer is in the errors of a store that a later version has written, in a format
	// that this one does not read. Nothing was touched.
	ErrNewer = errors.New("written by a newer o2n-milter: install that version again, or use another folder")
)

// Window names one sliding window of one subject.
type Window struct {
	Limit   string        // NAME of [limit.NAME]
	Subject string        // "account:alice@client-a.example"
	Length  time.Duration // W, one second to MaxLength
	Max     int64         // in the limit's unit
}

// Charge is what one message costs against one window.
type Charge struct {
	Window
	Cost int64 // in the limit's unit; at least 0; not looked at where there is a Set
	// CountOnly charges a window that refuses nothing (actions shadow and tag):
	// it is charged when it has room, reported when it is full, and never keeps
	// the message's other charges from being taken.
	CountOnly bool
	// Members, where Set names a set, make the cost: one for each that is not in
	// this set of the subject; one named twice costs once. When the message is
	// charged, though this window only counts and is full, they are put there, and
	// stay for Remember from then on, or for up to 1/60 longer. Charges of one call
	// that name the same set all cost what they cost before it. Only keyed hashes
	// of members are kept, and of one set the latest MaxMembers: who is forgotten
	// early costs again.
	Set      string        // "recipients"; empty: Cost says it, and there are no Members
	Members  []string      // at most MaxMembers
	Remember time.Duration // one second to MaxLength; one call says one time for one set
}

// MaxMembers bounds a set, and the members of one charge; some 70 bytes each on
// disk with their key, 16 in memory.
const MaxMembers = 10_000

// Sketch is a letter's likeness: two letters are as alike as few of its bits differ.
type Sketch [4]uint64

// Distance is how many bits differ.
func (s Sketch) Distance(o Sketch) int {
	n := 0
	for i := range s {
		n += bits.OnesCount64(s[i] ^ o[i])
	}
	return n
}

// Letter asks which of its subject's campaigns a message belongs to, and counts its
// recipients there. That is the campaign whose first letter is nearest, at most Near
// bits away; of several the one with the most recipients, then the one with the lowest
// sketch. Where there is none, the message begins one.
//
// A campaign's recipients count until Remember after they were last written to, or
// up to 1/60 longer; who is written to again is one. When the last one leaves, the
// campaign is over. A subject has at most MaxCampaigns at a time: over that, of those
// that are not among the CampaignGrace that got a letter last, the one with the fewest
// recipients is forgotten, of several the one that got a letter least lately. So who
// sends many different letters hides none of them by that, unless so many others come
// between two of it.
// The order of letters is kept over a restart of the host that it is kept on as far
// as the 60ths of Remember tell.
//
// A letter without Members costs nothing: it begins no campaign, is never Full, and
// where it belongs to none, the Campaign in the answer is the zero one.
type Letter struct {
	Subject string
	Sketch  Sketch
	Near    int // bits
	// Max is how many different recipients the campaign may have with this message's.
	// Over it nothing of the Ask is charged. A campaign knows the latest MaxMembers of
	// its recipients, so that a Max over that may never be reached.
	Max      int64
	Members  []string      // its recipients, at most MaxMembers; only keyed hashes are kept
	Remember time.Duration // one second to MaxLength; one call says one time for one subject
}

// MaxCampaigns bounds the campaigns of one subject.
const MaxCampaigns = 256

// Campaign is what became of a Letter.
type Campaign struct {
	ID    string // of the campaign, the same on every host: 16 hex digits
	Known int64  // its different recipients before this call
	New   int64  // those of the letter that are not among them
	Full  bool   // Known and New are over Max
}

// Ask is what one message wants of the store.
type Ask struct {
	Charges []Charge
	Letters []Letter // all of the same call see what was there before it
	// Subjects that must not be blocked: an active block of any of them charges
	// nothing and comes back in Answer.Blocks. This is where a block of another
	// host, or of a moment ago, is in force at once.
	Subjects []string
	// Dry only asks: the answer is the one that it would be, but nothing is charged
	// and the store's time does not move, whatever now is.
	Dry bool
}

// Answer says what became of an Ask. Everything was charged, but for CountOnly
// windows in Full, when there are no Blocks, every window in Full is CountOnly and no
// campaign is Full.
type Answer struct {
	Blocks []Block // in force of Ask.Subjects, oldest first
	Full   []Full  // windows without room, in the order of the charges
	// Windows and Costs have one for each charge, in order: what the window holds
	// after the call, which is what it held before when the call was Dry or nothing
	// was charged, and what the charge costs. Both are empty when there are Blocks.
	Windows []Usage
	Costs   []int64
	// Campaigns has one for each letter, in order; empty when there are Blocks.
	Campaigns []Campaign
}

// Full reports a window that had no room.
type Full struct {
	Index int   // into the charges given to Take
	Used  int64 // counted at the time of the call
	// Free is the earliest time at which this charge, with the charges before it on
	// the same window, would fit if nothing else is charged; zero: never.
	Free time.Time
}

// Usage is the state of one window.
type Usage struct {
	Window
	Used     int64
	NextFree time.Time // when one more unit fits; the time of the call when it fits now; zero: never
}

// BlockState is a function of a block and the time; it is never stored.
type BlockState string

// The states of a block.
const (
	BlockActive  BlockState = "active"
	BlockExpired BlockState = "expired"
	BlockLifted  BlockState = "lifted"
)

// Block is a subject's time-limited ban. It is written once; lifting fills the
// Lifted fields once.
type Block struct {
	ID      string    `json:"id"`
	Subject string    `json:"subject"`
	Rule    string    `json:"rule"` // the rule that caused it, "manual" for an operator's own
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"` // zero: until it is lifted
	By      string    `json:"by"`
	// Of an automatic block: whose subject it is, the evidence and the decisions
	// that struck, and how many blocks of the subject came before it.
	Account   string          `json:"account,omitempty"`
	Customer  string          `json:"customer,omitempty"`
	Evidence  json.RawMessage `json:"evidence,omitempty"` // written by rules, opaque here
	Decisions []string        `json:"decisions,omitempty"`
	Before    int             `json:"before,omitempty"`
	LiftedAt  time.Time       `json:"lifted_at"` // zero: not lifted
	LiftedBy  string          `json:"lifted_by"`
	Note      string          `json:"note"` // why it was lifted
}

// State is what the block is at now.
func (b Block) State(now time.Time) BlockState {
	switch {
	case !b.LiftedAt.IsZero():
		return BlockLifted
	case !b.Until.IsZero() && !now.Before(b.Until):
		return BlockExpired
	}
	return BlockActive
}

// Ended is when it ended or will end; zero: when it is lifted.
func (b Block) Ended() time.Time {
	if !b.LiftedAt.IsZero() {
		return b.LiftedAt
	}
	return b.Until
}

// BlockKind is the Kind of the Docs that hold blocks, as JSON of Block.
const BlockKind = "block"

// Decision is the record of one judged message.
type Decision struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Action   string    `json:"action"`
	Rule     string    `json:"rule"`
	Account  string    `json:"account"`
	Client   string    `json:"client"`
	From     string    `json:"from"`  // envelope sender
	Rcpts    int       `json:"rcpts"` // RCPT commands
	Subjects []string  `json:"subjects"`
	// To are the recipients that it can be found by, each once, as rules wrote them;
	// fewer than Rcpts where there were many.
	To []string `json:"to,omitempty"`
	// Detail is what rules wrote for explain: JSON, opaque here.
	Detail json.RawMessage `json:"detail,omitempty"`
	// Plain is set by who wrote Detail as encoding/json does: nobody need look at it
	// again. It is not kept.
	Plain bool `json:"-"`
}

// Query says which decisions are wanted: those that are all of it. A store finds them
// by Recipient, else Subject, else Rule, and looks at each that has it.
type Query struct {
	Subject   string // empty: of any
	Recipient string // one of To; empty: of any
	Rule      string // that decided; empty: any
	Action    string // empty: any
	// Since and Before bound the time: only at or after, zero: from the first; only
	// before, zero: up to the last.
	Since  time.Time
	Before time.Time
	// Past, an id, also wants those made at Before, with ids behind this one: with both
	// of a page's last decision the next page begins. Empty: none of that time.
	Past  string
	Limit int // at most so many; 0 or less: no decisions at all
}

// Wants says whether d is asked for; it knows nothing of Limit.
func (q Query) Wants(d Decision) bool {
	return (q.Subject == "" || slices.Contains(d.Subjects, q.Subject)) &&
		(q.Recipient == "" || slices.Contains(d.To, q.Recipient)) &&
		(q.Rule == "" || q.Rule == d.Rule) && (q.Action == "" || q.Action == d.Action) &&
		!d.At.Before(q.Since) && q.isBefore(d)
}

func (q Query) isBefore(d Decision) bool {
	return q.Before.IsZero() || d.At.Before(q.Before) || q.Past != "" && d.At.Equal(q.Before) && d.ID > q.Past
}

// Doc is a small record that every host has in memory and that is kept until it is
// deleted: a block, an exemption, a request. Who makes one answers for its end.
type Doc struct {
	Kind string          `json:"kind"` // "block"; 1 to 200 printable ASCII characters without / % { }, like ID
	ID   string          `json:"id"`
	Rev  int64           `json:"rev"` // 1 when first put, one more with each change
	Data json.RawMessage `json:"data"`
}

// Status is the store's own health.
type Status struct {
	Backend    string    // "badger", "redis", "memory"
	Degraded   string    // why it is not whole, or was not lately; empty when it is
	Away       bool      // what is charged now cannot be kept
	Dead       bool      // nor ever again by this process
	LastCommit time.Time // zero before the first one
	Size       int64     // bytes on disk, or in the server's memory; 0: not known
	Windows    int       // held in this process's memory
	Memory     int64     // bytes they take there, an estimate
}

// Store remembers. All methods are safe for concurrent use; an error means that
// nothing is known to have been stored.
type Store interface {
	// Take charges all of ask's charges or none, atomically, and returns once that
	// is as durable as the store was opened for. If any window that is not
	// CountOnly has no room for its cost, nothing is charged (CountOnly windows
	// neither) and every such window is reported. Otherwise full CountOnly
	// windows are reported and all others are charged. Two charges of one call
	// may name the same window; their costs add up. A cost of 0 always fits. A
	// window or Remember under a second or over MaxLength, too many Members or some
	// without a Set, two times to remember one set or one subject's letters for, a
	// negative number, a Near over a Sketch's 256 bits, a name that is empty or over
	// 4,096 bytes, or a time before 1970 or after 2199 is an error.
	//
	// A letter whose campaign is Full keeps all charges from being taken, as a full
	// window does, and the recipients of all letters out.
	//
	// When ctx ends while the store is at work, Take returns an error and the
	// charge may stand all the same.
	Take(ctx context.Context, now time.Time, ask Ask) (Answer, error)
	// Usage reports the windows asked for, in order, without charging.
	Usage(ctx context.Context, now time.Time, windows []Window) ([]Usage, error)
	// Reset clears every window, set and campaign of exactly this subject and says how
	// many windows held anything.
	Reset(ctx context.Context, subject string) (int, error)

	// ActiveBlocks returns the blocks in force at now of any of subjects, oldest first.
	ActiveBlocks(ctx context.Context, now time.Time, subjects []string) ([]Block, error)
	// BlocksOf returns all blocks of any of subjects, whatever their state, oldest
	// first. It answers from memory.
	BlocksOf(ctx context.Context, subjects []string) ([]Block, error)
	// AddBlock stores a new block; its ID must be new, else ErrConflict.
	AddBlock(ctx context.Context, b Block) error
	// Blocks returns all blocks, lifted and expired ones too, newest first.
	Blocks(ctx context.Context) ([]Block, error)
	// LiftBlock fills the Lifted fields of the block, once: lifting a lifted or
	// expired block changes nothing and is no error. It returns the block as it
	// then is, or ErrNotFound.
	LiftBlock(ctx context.Context, id string, now time.Time, by, note string) (Block, error)

	// PutDoc stores doc as the next revision and returns it as it then is. doc.Rev
	// must be the stored one's, 0 where there must be none, else ErrConflict. Nil
	// Data deletes it. It is in force on every host, and as durable as the store
	// was opened for, when PutDoc returns. At most 64 KiB.
	PutDoc(ctx context.Context, doc Doc) (Doc, error)
	// Docs returns all of a kind, in order of their ids.
	Docs(ctx context.Context, kind string) ([]Doc, error)
	// DocsOf returns those of a kind whose data has a member "subject" that is one
	// of subjects, in order of their ids. It answers from memory.
	DocsOf(ctx context.Context, kind string, subjects []string) ([]Doc, error)

	// ChangedDocs returns those of a kind whose revision is not the one in known, by
	// their ids, and those of known that are there no more, without Data and with
	// Rev 0, in no order. It answers from memory and copies only what it returns:
	// who keeps thousands in mind can ask each second.
	ChangedDocs(ctx context.Context, kind string, known map[string]int64) ([]Doc, error)

	// Record stores a decision. It copies what it keeps of its lists and of Detail. It may
	// return before the record is durable; it is visible to Decision and Decisions within a
	// second.
	Record(ctx context.Context, d Decision) error
	// Decision finds one by id, or ErrNotFound.
	Decision(ctx context.Context, id string) (Decision, error)
	// Decisions returns what q asks for, newest first; of one nanosecond, in order
	// of their ids. The next page is what comes Before the last one's time and Past
	// its id.
	Decisions(ctx context.Context, q Query) ([]Decision, error)

	Status(ctx context.Context, now time.Time) (Status, error)
	Close() error
}
