// Package wire is what the privileged agent (hold/agent) and its client in the
// daemon (hold.Agent) say to each other over a unix socket: JSON, a line each. It
// stands alone, so that the process that runs as root is made of little.
package wire

import "time"

// Queue is where in its MTA a message is.
type Queue string

// The queues, by Postfix' names.
const (
	QueueNone Queue = ""     // in no queue: sent, deleted, or never there
	QueueHold Queue = "hold" // on hold; Sendmail says quarantined
	// QueueIncoming, QueueActive and QueueDeferred are all on their way. Sendmail
	// has but one queue of these, and says of a message that a process has in hand
	// that it is active, of any other that it is deferred.
	QueueIncoming Queue = "incoming"
	QueueActive   Queue = "active"
	QueueDeferred Queue = "deferred"
)

// Queued is a message in its MTA's queue.
type Queued struct {
	ID      string    `json:"id"`
	Queue   Queue     `json:"queue"`
	Arrived time.Time `json:"arrived"` // whole seconds
	From    string    `json:"from"`    // envelope sender; empty: the null sender
	// Recipients are the first MaxRecipients of Count.
	Recipients []string `json:"recipients"`
	Count      int      `json:"count"`
	Size       int64    `json:"size"` // octets; Sendmail: of the body alone
	// Reason is why it waits, in the MTA's words; empty when it does not say, as
	// Postfix does not of mail on hold.
	Reason string `json:"reason,omitempty"`
}

// Bounds of what the agent takes and tells.
const (
	MaxRecipients = 20  // of a message that is listed
	MaxText       = 320 // octets of each text: an address has 254 at most (RFC 5321 4.5.3.1), a reason may be cut
	MaxIDs        = 500 // of one request
	// MaxRequest bounds a request's line. MaxIDs of the longest ids take 14 kB.
	MaxRequest = 32 << 10
)

// The verbs, which are all that the agent knows.
const (
	VerbList    = "list"
	VerbHold    = "hold"
	VerbRelease = "release"
	VerbDelete  = "delete"
	VerbFind    = "find"
)

// Request is a line that the agent reads. There is one in each connection.
type Request struct {
	Verb   string   `json:"verb"`
	Queues []Queue  `json:"queues,omitempty"` // list: these alone; none: all
	IDs    []string `json:"ids,omitempty"`    // all verbs but list
}

// Answer is a line that the agent writes. The first, before any request, is the
// Host; then come a line for each message listed, and a last one, which is Done.
// A Problem ends everything at any time.
type Answer struct {
	Host    *Host    `json:"host,omitempty"`
	Message *Queued  `json:"message,omitempty"`
	Results []Result `json:"results,omitempty"` // one for each id asked for
	Done    bool     `json:"done,omitempty"`
	Problem string   `json:"problem,omitempty"`
}

// Host is whose queue it is.
type Host struct {
	MTA  string `json:"mta"`  // postfix, sendmail
	Name string `json:"name"` // the MTA's own name, which it tells its milters as {j}
}

// Result is what became of one id.
type Result struct {
	ID      string `json:"id"`
	Queue   Queue  `json:"queue,omitempty"` // find: where it is
	Missing bool   `json:"missing,omitempty"`
	Problem string `json:"problem,omitempty"` // why it was not done; empty: it was
}
