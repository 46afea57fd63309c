package web

import (
	"time"

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
}

// Fault is the body of every answer above 399.
type Fault struct {
	Error string `json:"error"`
}
