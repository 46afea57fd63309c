package rules

import (
	"strings"
	"sync"
	"time"

	"o2n-milter/state"
)

// ruling is a verdict in the making.
type ruling struct {
	facts
	subjects []string
	// blockable are the subjects whose blocks hold for it.
	blockable  []string
	exemptions []state.Exemption
	reaching   []state.Block // that do not hold, as everybody it goes to is always reachable
	evidence   []Evidence
	decider    string // the rule that decides so far; empty for none
	action     Action // its action
	charges    []Charge
	ask        state.Ask // what letting it pass costs, all of it
	behind     string    // the subject of the limit or block that decides
	windows    []Window  // of the charges, in order, where the store was asked
	campaign   *Campaign // that it is a message of, where the store was asked
	lacking    lacks     // of a letter that may be one of a campaign
	params     params
	hits       []Hit // in shadow; without a subject it is who sent it
	unjudged   bool
	own        bool // our own notice
	spared     bool // an automatic block is in shadow
	dry        bool // it is only asked for: nothing is charged or kept
	at         time.Time
	weight     int  // in the gate, to be left; 0: it is not in there
	away       bool // it was turned away there
	err        error
	room       []limitCharge // that of another message, empty, to be used for the charges of this one
}

// rulings are there to be used again: a message has one, of 1.8 KB.
var rulings = sync.Pool{New: func() any { return new(ruling) }}

// recycle ends the use of a ruling. A verdict has its lists, but for the room, and
// nothing that points to it.
func (r *ruling) recycle() {
	r.free()
	room := r.room
	if cap(room) > mostRoom {
		room = nil
	}
	clear(room[:cap(room)])
	*r = ruling{room: room}
	rulings.Put(r)
}

// mostRoom is how many charges there is room for in a ruling that waits for its next
// message, at 128 bytes each: more than nearly all messages have.
const mostRoom = 32

// find keeps evidence, as much as can be read, and says whether its rule decides
// from now on: the strongest action does, between equals the first.
func (r *ruling) find(id string, action Action, found []Evidence) bool {
	if len(found) == 0 {
		return false
	}
	ofWindow := strings.HasPrefix(id, "limit.") || id == bulkPace // overLimit knows whose it is
	if action == Shadow && !ofWindow {
		r.hit(id, "")
	}
	decides := action > max(r.action, Accept) || action == r.action && before(id, r.decider)
	room := max(0, mostRecorded-len(r.evidence))
	if decides {
		r.action, r.decider = action, id
		room = max(room, 1) // why it was refused is never left out
	}
	for _, ev := range found[:min(len(found), room)] {
		ev.Rule, ev.Shadow = id, action == Shadow
		if !ofWindow {
			ev.Exempt = r.exemptBy(id, "", action)
		}
		r.evidence = append(r.evidence, ev)
	}
	return decides
}

// before says which of two rules comes first in the fixed order though it was asked
// later: what a campaign lacks is known when the content has been looked at.
func before(id, decider string) bool {
	return strings.HasPrefix(id, "bulk.") && strings.HasPrefix(decider, "content.")
}

// strongest is the action that decides and its rule; Accept and "none" when
// nothing that was found has a say.
func (r *ruling) strongest() (Action, string) {
	if r.decider == "" {
		return Accept, "none"
	}
	action, id := r.action, r.decider
	switch {
	case action == Tempfail && r.mail.localSubmission() && r.mail.CanHold && id != overload:
		// Postfix keeps a deferred local submission in maildrop for ever and
		// tries it again with every other one: it is held, but for what the next try
		// finds gone.
		action = Quarantine
	case action == Quarantine && !r.mail.CanHold:
		action = Tempfail
	}
	return action, id
}
