package desk

import (
	"encoding/json"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// Status is the daemon's health.
type Status struct {
	Version    string     `json:"version"`
	Backend    string     `json:"backend"`
	Degraded   bool       `json:"degraded"`
	Reason     string     `json:"reason"` // why it is degraded
	Sessions   int        `json:"sessions"`
	LastCommit *time.Time `json:"last_commit"` // null before the first one
	Blocks     int        `json:"blocks"`      // in force
	Held       int        `json:"held"`
	Size       int64      `json:"size"`    // bytes of the store; 0: not known
	Windows    int        `json:"windows"` // in memory
	Memory     int64      `json:"memory"`  // bytes they take there, an estimate
	Clock      string     `json:"clock"`   // what is wrong with the host's clock; empty: nothing
	Hold       string     `json:"hold"`    // why held mail of this host stays; empty: nothing is held, or it does not
	// AllShadow: nothing is refused but by manual blocks ([shadow] all).
	AllShadow bool `json:"all_shadow"`
	// Expiring are the exemptions that end within a week, the next one first.
	Expiring []ExemptionView `json:"expiring"`
	// Configuration is the version of the one in force, as decisions have it.
	Configuration string `json:"configuration"`
}

// Shadow is what rules in shadow would have hit.
type Shadow struct {
	Shadow []ShadowCount `json:"shadow"` // most first
}

// BlockView is a block as people see it; its state is computed.
type BlockView struct {
	ID       string           `json:"id"`
	Subject  string           `json:"subject"`
	Rule     string           `json:"rule"`
	Reason   string           `json:"reason"`
	Since    time.Time        `json:"since"`
	Until    *time.Time       `json:"until"` // null: until it is lifted
	By       string           `json:"by"`
	State    state.BlockState `json:"state"`
	LiftedAt *time.Time       `json:"lifted_at,omitempty"`
	LiftedBy string           `json:"lifted_by,omitempty"`
	Note     string           `json:"note,omitempty"` // why it was lifted
}

func viewOf(b state.Block, now time.Time) BlockView {
	return BlockView{
		ID: b.ID, Subject: b.Subject, Rule: b.Rule, Reason: b.Reason,
		Since: b.Since.UTC(), Until: optional(b.Until), By: b.By, State: b.State(now),
		LiftedAt: optional(b.LiftedAt), LiftedBy: b.LiftedBy, Note: b.Note,
	}
}

// optional is nil for the zero time.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// BlockList is newest first.
type BlockList struct {
	Blocks []BlockView `json:"blocks"`
}

// BlockDetail is a block with all that is known about it.
type BlockDetail struct {
	BlockView
	Account   string           `json:"account"`   // whose subject it is; empty: not noted
	Customer  string           `json:"customer"`  // as above
	Evidence  []rules.Evidence `json:"evidence"`  // that caused it
	Decisions []DecisionView   `json:"decisions"` // that struck, those that are still kept
	Requests  []RequestView    `json:"requests"`
	Earlier   []BlockView      `json:"earlier"` // of the same subject, newest first
}

// AddBlock asks for a new block.
type AddBlock struct {
	Subject string `json:"subject"`
	For     string `json:"for"` // duration as in TOML, or "manual"
	Reason  string `json:"reason"`
	DryRun  bool   `json:"dry_run"`
}

// LiftBlock asks to end blocks.
type LiftBlock struct {
	Block  string `json:"block"` // a block's id, or a subject: all its active blocks
	Reason string `json:"reason"`
	DryRun bool   `json:"dry_run"`
}

// ExtendBlock asks for another end of a block, counted from now.
type ExtendBlock struct {
	Block  string `json:"block"`
	For    string `json:"for"`    // as in AddBlock
	Reason string `json:"reason"` // empty: the block's own
	DryRun bool   `json:"dry_run"`
}

// LiftedBlock is a block as lifting left it.
type LiftedBlock struct {
	BlockView
	Changed bool `json:"changed"` // false: it was not in force
}

// LiftedList has at least one.
type LiftedList struct {
	Blocks []LiftedBlock `json:"blocks"`
}

// RequestView is a customer's wish to be unblocked.
type RequestView struct {
	ID         string             `json:"id"`
	Block      string             `json:"block"`
	Subject    string             `json:"subject"`
	At         time.Time          `json:"at"`
	Text       string             `json:"text"` // what happened, and what was done about it
	State      state.RequestState `json:"state"`
	Account    string             `json:"account"` // who asks
	Happened   string             `json:"happened"`
	Done       string             `json:"done"`
	Password   bool               `json:"password"` // changed, as the customer says
	From       string             `json:"from"`
	Self       bool               `json:"self"` // unblocked by the customer himself
	AnsweredAt *time.Time         `json:"answered_at"`
	AnsweredBy string             `json:"answered_by"`
	Answer     string             `json:"answer"`           // what the customer reads
	Lifted     []string           `json:"lifted,omitempty"` // blocks that approving ended, or would end
}

func requestView(r state.Request) RequestView {
	text := r.Happened
	if r.Done != "" {
		text += "\n" + r.Done
	}
	return RequestView{
		ID: r.ID, Block: r.Block, Subject: r.Subject, At: r.At.UTC(), Text: text, State: r.State,
		Account: r.Account, Happened: r.Happened, Done: r.Done, Password: r.Password, From: r.From, Self: r.Self,
		AnsweredAt: optional(r.AnsweredAt), AnsweredBy: r.AnsweredBy, Answer: r.Answer,
	}
}

// RequestList is newest first.
type RequestList struct {
	Requests []RequestView `json:"requests"`
}

// AnswerRequest approves or denies a request.
type AnswerRequest struct {
	Request string `json:"request"`
	Text    string `json:"text"` // what the customer reads
	DryRun  bool   `json:"dry_run"`
}

// ExemptionState is computed.
type ExemptionState string

// The states of an exemption.
const (
	ExemptionActive  ExemptionState = "active"
	ExemptionExpired ExemptionState = "expired"
	ExemptionRemoved ExemptionState = "removed"
)

// ExemptionView is an allowance as people see it.
type ExemptionView struct {
	ID        string         `json:"id"`
	Scope     string         `json:"scope"` // "rule", "limit x3", "rule to remote.example"
	Rule      string         `json:"rule"`
	Subject   string         `json:"subject"`
	Owner     string         `json:"owner"`
	Reason    string         `json:"reason"`
	Until     time.Time      `json:"until"`
	Factor    int64          `json:"factor"`
	Domain    string         `json:"domain"`
	Since     time.Time      `json:"since"`
	By        string         `json:"by"`
	State     ExemptionState `json:"state"`
	RemovedAt *time.Time     `json:"removed_at"`
	RemovedBy string         `json:"removed_by"`
	Changed   bool           `json:"changed,omitempty"` // removing has ended it
}

// ExemptionList is newest first.
type ExemptionList struct {
	Exemptions []ExemptionView `json:"exemptions"`
}

// AddExemption asks for a new exemption.
type AddExemption struct {
	Subject string `json:"subject"`
	Rule    string `json:"rule"`   // a rule's id, "limit.NAME", or "block" for automatic blocks
	Factor  int64  `json:"factor"` // of a limit's max; 0: the rule does not hold at all
	Domain  string `json:"domain"` // only for mail whose every recipient is there; empty: all mail
	Owner   string `json:"owner"`
	Reason  string `json:"reason"`
	For     string `json:"for"` // duration as in TOML
	DryRun  bool   `json:"dry_run"`
}

// RemoveExemption asks for its end.
type RemoveExemption struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
	DryRun bool   `json:"dry_run"`
}

// UsageWindow is one window of a subject.
type UsageWindow = rules.Window

// Usage is what a subject has used of its limits.
type Usage struct {
	Subject string        `json:"subject"`
	Windows []UsageWindow `json:"windows"`
}

// DecisionLine is a decision in a list.
type DecisionLine struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Rule    string    `json:"rule"`
	Account string    `json:"account"`
	Client  string    `json:"client"`
	From    string    `json:"from"`
	Rcpts   int       `json:"rcpts"`
}

func lineOf(dec state.Decision) DecisionLine {
	return DecisionLine{
		ID: dec.ID, At: dec.At.UTC(), Action: dec.Action, Rule: dec.Rule,
		Account: dec.Account, Client: dec.Client, From: dec.From, Rcpts: dec.Rcpts,
	}
}

// History is newest first.
type History struct {
	Subject   string         `json:"subject"`
	Decisions []DecisionLine `json:"decisions"`
	// Next is where the next page begins, for HistoryQuery; empty: this was the last one.
	// A page may hold few or none and not be the last, when what was asked for is rare.
	Next string `json:"next,omitempty"`
}

// DecisionView is a decision with what it was made from.
type DecisionView struct {
	DecisionLine
	Subjects   []string `json:"subjects"`
	Recipients []string `json:"recipients,omitempty"` // the first ones, or hashes of them
	rules.Detail
}

func decisionView(dec state.Decision) (DecisionView, error) {
	v := DecisionView{DecisionLine: lineOf(dec), Subjects: dec.Subjects, Recipients: dec.To}
	if len(dec.Detail) == 0 {
		return v, nil
	}
	err := json.Unmarshal(dec.Detail, &v.Detail)
	return v, err
}

// Reset asks to clear a subject's windows.
type Reset struct {
	Subject string `json:"subject"`
	Reason  string `json:"reason"`
	DryRun  bool   `json:"dry_run"`
}

// Resetted says what was, or would be, cleared.
type Resetted struct {
	Subject string        `json:"subject"`
	Windows []UsageWindow `json:"windows"` // of configured limits, that held something
	Cleared int           `json:"cleared"` // windows, empty ones and those of former limits too; 0 in a dry run
}

// AuditQuery asks for the record of changes.
type AuditQuery struct {
	Subject string // empty: any
	Target  string // id of what was changed; empty: any
	Limit   int    // 0: 100
}

// AuditList is newest first.
type AuditList struct {
	Audit []state.AuditLine `json:"audit"`
}

// LinkFor asks for a customer's link.
type LinkFor struct {
	Account string `json:"account"`
	For     string `json:"for"` // duration as in TOML; empty: 24h
}

// LinkView is a customer's link.
type LinkView struct {
	URL     string    `json:"url"`
	Account string    `json:"account"`
	Until   time.Time `json:"until"`
}

// ConsoleLink opens the operator console, once.
type ConsoleLink struct {
	URL   string    `json:"url"`
	Until time.Time `json:"until"`
}
