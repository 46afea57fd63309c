package desk

import (
	"time"

	"o2n-milter/state"
)

// HeldView is a held message as people see it.
type HeldView struct {
	ID         string          `json:"id"` // the decision's
	Host       string          `json:"host"`
	QueueID    string          `json:"queue_id"`
	Subject    string          `json:"subject"` // whose mail it waits behind
	Rule       string          `json:"rule"`
	Since      time.Time       `json:"since"`
	Due        *time.Time      `json:"due"` // null: nobody knows, or it does not leave by itself
	State      state.HeldState `json:"state"`
	Account    string          `json:"account"`
	Customer   string          `json:"customer"`
	From       string          `json:"from"`
	Recipients int             `json:"recipients"`
	About      string          `json:"about"` // its Subject field
	Size       int64           `json:"size"`
	Ended      *time.Time      `json:"ended"` // null: it is still there
	Wish       state.Wish      `json:"wish"`  // what somebody wants done with it; empty: nothing
	WishBy     string          `json:"wish_by"`
}

func heldView(h state.Held) HeldView {
	v := HeldView{
		ID: h.ID, Host: h.Host, QueueID: h.QueueID, Subject: h.Subject, Rule: h.Rule, Since: h.Since.UTC(),
		State: h.State, Account: h.Account, Customer: h.Customer, From: h.From, Recipients: len(h.Recipients),
		About: h.About, Size: h.Size, Ended: optional(h.Ended), Wish: h.Wish, WishBy: h.WishBy,
	}
	if h.State == state.HeldWaiting {
		v.Due = optional(h.Due)
	}
	return v
}

// HeldDetail is a held message with all that is known about it.
type HeldDetail struct {
	HeldView
	Reason string   `json:"reason"` // the verdict's text
	To     []string `json:"to"`     // its recipients
}

// HeldQuery says which held mail is meant.
type HeldQuery struct {
	ID string // the decision's, or a queue id; empty: any
	// Subject is whose mail it waits behind, or whose account or customer sent it;
	// empty: any.
	Subject string
	Rule    string    // empty: any
	Host    string    // empty: any
	Until   time.Time // held then or before; zero: at any time
	All     bool      // also what is no longer held
}

// HeldList is oldest first.
type HeldList struct {
	Held    []HeldView    `json:"held"`
	More    int           `json:"more"`    // that are not in the list, which has at most MostShown
	Unknown []UnknownHeld `json:"unknown"` // of this host
}

// UnknownHeld is mail on hold in this host's MTA that we did not put there: it is
// shown and never touched.
type UnknownHeld struct {
	Host       string    `json:"host"`
	QueueID    string    `json:"queue_id"`
	From       string    `json:"from"`
	Recipients int       `json:"recipients"`
	Since      time.Time `json:"since"` // when the MTA got it
	Size       int64     `json:"size"`
	Reason     string    `json:"reason"` // the MTA's own; empty: it gives none
}

// HeldGroup is the mail that one rule holds of one subject.
type HeldGroup struct {
	Subject string
	Rule    string
	Count   int
	Kept    int        // of these do not leave by themselves
	Oldest  time.Time  // since when the first of them is held
	Next    *time.Time // when the next one leaves; nil: nobody knows
}

// WishHeld asks what is to become of held mail: of the messages that IDs names, or
// of all of a subject.
type WishHeld struct {
	Wish    state.Wish `json:"wish"`
	IDs     []string   `json:"ids"` // of decisions, or queue ids; at most mostWished
	Subject string     `json:"subject"`
	Rule    string     `json:"rule"`  // with Subject; empty: any
	Until   time.Time  `json:"until"` // with Subject: held then or before; zero: at any time
	Reason  string     `json:"reason"`
	// Wait is for how many seconds to wait for what becomes of it, at most mostWait.
	Wait   int  `json:"wait"`
	DryRun bool `json:"dry_run"`
}

// HeldOutcome is what became of a wish.
type HeldOutcome string

// The outcomes.
const (
	HeldDone   HeldOutcome = "done"   // the mail has gone as was wanted
	HeldAsked  HeldOutcome = "asked"  // its host has not done it yet
	HeldLate   HeldOutcome = "late"   // it is leaving, or has ended otherwise
	HeldUndone HeldOutcome = "undone" // it cannot be done, or somebody wants something else
	HeldWould  HeldOutcome = "would"  // a dry run
)

// WishedHeld is a message as the wish left it.
type WishedHeld struct {
	HeldDetail
	Outcome HeldOutcome `json:"outcome"`
	Changed bool        `json:"changed"` // false: it was so before, or nothing could be done
}

// WishedList has at least one.
type WishedList struct {
	Held []WishedHeld `json:"held"`
}

// CustomerHeld is a held message as its customer may see it.
type CustomerHeld struct {
	ID     string
	Since  time.Time
	Due    *time.Time // nil: nobody knows, or it does not leave by itself
	Rule   string
	State  state.HeldState
	Wish   state.Wish
	About  string
	To     []string // the first of its recipients
	MoreTo int      // recipients that are not in To
}

// CustomerHeldList is newest first.
type CustomerHeldList struct {
	Held []CustomerHeld
	More int // older ones that are not in the list
}
