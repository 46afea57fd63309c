package web

import (
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// BlockView is a block as the admin API shows it; its state is computed.
type BlockView struct {
	ID      string           `json:"id"`
	Subject string           `json:"subject"`
	Rule    string           `json:"rule"`
	Reason  string           `json:"reason"`
	Since   time.Time        `json:"since"`
	Until   *time.Time       `json:"until"` // null: until it is lifted
	By      string           `json:"by"`
	State   state.BlockState `json:"state"`
}

func viewOf(b state.Block, now time.Time) BlockView {
	v := BlockView{
		ID: b.ID, Subject: b.Subject, Rule: b.Rule, Reason: b.Reason,
		Since: b.Since.UTC(), By: b.By, State: b.State(now),
	}
	if !b.Until.IsZero() {
		until := b.Until.UTC()
		v.Until = &until
	}
	return v
}

// BlockList answers GET /v1/blocks.
type BlockList struct {
	Blocks []BlockView `json:"blocks"`
}

// LiftedBlock is a block as lifting left it.
type LiftedBlock struct {
	BlockView
	Changed bool `json:"changed"` // false: it was not in force
}

// LiftedList answers POST /v1/blocks/lift.
type LiftedList struct {
	Blocks []LiftedBlock `json:"blocks"`
}

// AddBlock is the body of POST /v1/blocks.
type AddBlock struct {
	Subject string `json:"subject"`
	For     string `json:"for"` // duration as in TOML, or "manual"
	Reason  string `json:"reason"`
	DryRun  bool   `json:"dry_run"`
}

// LiftBlock is the body of POST /v1/blocks/lift.
type LiftBlock struct {
	Block  string `json:"block"` // a block's id, or a subject: all its active blocks
	Reason string `json:"reason"`
	DryRun bool   `json:"dry_run"`
}

// Status answers GET /v1/status.
type Status struct {
	Version    string     `json:"version"`
	Backend    string     `json:"backend"`
	Degraded   bool       `json:"degraded"`
	Reason     string     `json:"reason"` // why it is degraded
	Sessions   int        `json:"sessions"`
	LastCommit *time.Time `json:"last_commit"` // null before the first one
	Blocks     int        `json:"blocks"`      // in force
	Held       int        `json:"held"`
	Size       int64      `json:"size"`    // of the store, in bytes on disk or in the server; 0: not known
	Windows    int        `json:"windows"` // in the daemon's memory
	Memory     int64      `json:"memory"`  // bytes they take there, an estimate
	Clock      string     `json:"clock"`   // what is wrong with the host's clock; empty: nothing
}

// Usage answers GET /v1/usage?subject=SUBJECT.
type Usage struct {
	Subject string         `json:"subject"`
	Windows []rules.Window `json:"windows"`
}

// History answers GET /v1/history?subject=SUBJECT&limit=N&before=TIME, newest first.
type History struct {
	Subject   string         `json:"subject"`
	Decisions []DecisionView `json:"decisions"`
}

// DecisionView is a decision as lists show it.
type DecisionView struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Rule    string    `json:"rule"`
	Account string    `json:"account"` // empty without account
	Client  string    `json:"client"`  // IP address; empty for none
	From    string    `json:"from"`    // envelope sender; empty for the null sender
	Rcpts   int       `json:"rcpts"`
}

// Reset is the body of POST /v1/reset.
type Reset struct {
	Subject string `json:"subject"`
	Reason  string `json:"reason"`
	DryRun  bool   `json:"dry_run"`
}

// ResetDone answers POST /v1/reset.
type ResetDone struct {
	Subject string         `json:"subject"`
	Windows []rules.Window `json:"windows"` // of configured limits, that held something
	Cleared int            `json:"cleared"` // windows, empty ones and those of former limits too; 0 in a dry run
}

// Fault is the body of every answer above 399.
type Fault struct {
	Error string `json:"error"`
}
