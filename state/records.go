package state

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"o2n-milter/state/internal/text"
)

// A record is what a Doc of one kind holds, with names for what is in it. Rev is
// the doc's: a record that was read, changed and put gives ErrConflict when somebody
// else has put it meanwhile.

// Exemption is an allowance: what it names does not stop its subject's mail. It is
// judged and counted all the same.
type Exemption struct {
	ID      string `json:"id"`
	Rev     int64  `json:"-"`
	Subject string `json:"subject"`
	// Rule is a rule's id, "limit.NAME" too, or "block" for automatic blocks.
	Rule string `json:"rule"`
	// Factor, for a limit, multiplies its max; 0: no max at all.
	Factor    int64     `json:"factor"`
	Domain    string    `json:"domain"` // only mail whose every recipient is there; empty: all mail
	Owner     string    `json:"owner"`  // who answers for it
	Reason    string    `json:"reason"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	By        string    `json:"by"`
	RemovedAt time.Time `json:"removed_at"` // zero: not removed
	RemovedBy string    `json:"removed_by"`
}

// Active says whether it is in force.
func (e Exemption) Active(now time.Time) bool {
	return e.RemovedAt.IsZero() && !now.Before(e.Since) && now.Before(e.Until)
}

// RequestState is where a request stands.
type RequestState string

// The states of a request.
const (
	RequestOpen     RequestState = "open"
	RequestApproved RequestState = "approved"
	RequestDenied   RequestState = "denied"
)

// Request is a customer's wish to be unblocked.
type Request struct {
	ID       string       `json:"id"`
	Rev      int64        `json:"-"`
	Block    string       `json:"block"`   // the block's id
	Subject  string       `json:"subject"` // that is blocked
	Account  string       `json:"account"` // who asks
	At       time.Time    `json:"at"`
	Happened string       `json:"happened"` // what happened
	Done     string       `json:"done"`     // what was done about it
	Password bool         `json:"password"` // changed, as the customer says
	From     string       `json:"from"`     // the address that the form was sent from
	State    RequestState `json:"state"`
	Self     bool         `json:"self"` // approved by itself, within block.self_unblock
	// The answer; filled once.
	AnsweredAt time.Time `json:"answered_at"`
	AnsweredBy string    `json:"answered_by"`
	Answer     string    `json:"answer"` // what the customer reads
}

// AuditLine says who changed what.
type AuditLine struct {
	ID      string    `json:"id"` // sorts by time
	Rev     int64     `json:"-"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`   // "root", "alice (console)", "customer alice@client-a.example"
	From    string    `json:"from"` // where: "cli", an IP address, "" for the daemon itself
	What    string    `json:"what"` // "block lift"
	Target  string    `json:"target"`
	Subject string    `json:"subject"`
	Reason  string    `json:"reason"`
}

// HeldState is what becomes of held mail.
type HeldState string

// The states of held mail. The last four end it.
const (
	HeldWaiting  HeldState = "waiting"  // leaves by itself when its windows have room
	HeldKept     HeldState = "kept"     // does not leave by itself: an operator decides
	HeldLeaving  HeldState = "leaving"  // paid for; the MTA is told to send it
	HeldReleased HeldState = "released" // gone on its way
	HeldDeleted  HeldState = "deleted"
	HeldBounced  HeldState = "bounced" // sent back to its sender with the reason
	HeldGone     HeldState = "gone"    // released or deleted in the MTA by somebody else
)

// Wish is what somebody wants done with held mail; the host that holds it does it.
type Wish string

// The wishes.
const (
	WishNone    Wish = ""
	WishRelease Wish = "release" // at once, charged to no window
	WishDelete  Wish = "delete"
	WishBounce  Wish = "bounce"
)

// Held is a message that an MTA holds for us. Its ID is the decision's.
type Held struct {
	ID  string `json:"id"`
	Rev int64  `json:"-"`
	// Subject is whose mail it waits behind: that of the limit or block that holds it,
	// else its account, script or client.
	Subject    string    `json:"subject"`
	Rule       string    `json:"rule"`
	Reason     string    `json:"reason"` // the verdict's text
	Account    string    `json:"account,omitempty"`
	Customer   string    `json:"customer,omitempty"`
	Host       string    `json:"host"` // the MTA's own name
	QueueID    string    `json:"queue_id"`
	From       string    `json:"from"` // envelope sender
	Recipients []string  `json:"recipients"`
	About      string    `json:"about"` // its Subject field
	Size       int64     `json:"size"`  // octets
	Since      time.Time `json:"since"`
	// Ask is what its release costs: written by rules, opaque here.
	Ask   json.RawMessage `json:"ask,omitempty"`
	State HeldState       `json:"state"`
	Due   time.Time       `json:"due"` // when it leaves, as far as is known; zero: nobody knows
	Ended time.Time       `json:"ended"`
	// What somebody wants done with it, and who.
	Wish   Wish   `json:"wish,omitempty"`
	WishBy string `json:"wish_by,omitempty"`
}

// record is a pointer to one of the types above, which may be nil for its kind. names
// gives the fields that PutRecord must know.
type record[T any] interface {
	*T
	kind() string
	names() (id *string, rev *int64)
	texts() []*string // that others may have written
}

func (*Exemption) kind() string { return "exemption" }
func (*Request) kind() string   { return "request" }
func (*AuditLine) kind() string { return "audit" }
func (*Held) kind() string      { return "held" }

func (e *Exemption) names() (*string, *int64) { return &e.ID, &e.Rev }
func (r *Request) names() (*string, *int64)   { return &r.ID, &r.Rev }
func (a *AuditLine) names() (*string, *int64) { return &a.ID, &a.Rev }
func (h *Held) names() (*string, *int64)      { return &h.ID, &h.Rev }

func (e *Exemption) texts() []*string {
	return []*string{&e.Subject, &e.Rule, &e.Domain, &e.Owner, &e.Reason, &e.By, &e.RemovedBy}
}

func (r *Request) texts() []*string {
	return []*string{&r.Subject, &r.Account, &r.Happened, &r.Done, &r.From, &r.AnsweredBy, &r.Answer}
}

func (a *AuditLine) texts() []*string {
	return []*string{&a.By, &a.From, &a.What, &a.Target, &a.Subject, &a.Reason}
}

func (h *Held) texts() []*string {
	h.Recipients = slices.Clone(h.Recipients) // they are changed in place
	list := []*string{&h.Subject, &h.Reason, &h.Account, &h.Customer, &h.Host, &h.QueueID, &h.From, &h.About, &h.WishBy}
	for i := range h.Recipients {
		list = append(list, &h.Recipients[i])
	}
	return list
}

// PutRecord stores v, as PutDoc does, and sets its Rev.
func PutRecord[T any, P record[T]](ctx context.Context, s Store, v *T) error {
	doc, err := encodeRecord[T, P](*v)
	if err != nil {
		return err
	}
	doc, err = s.PutDoc(ctx, doc)
	if err != nil {
		return err
	}
	_, rev := P(v).names()
	*rev = doc.Rev
	return nil
}

// RecordSize is the size of the doc that PutRecord would store, in bytes.
func RecordSize[T any, P record[T]](v T) (int, error) {
	doc, err := encodeRecord[T, P](v)
	return len(doc.Data), err
}

// encodeRecord is the other way round of DecodeRecord.
func encodeRecord[T any, P record[T]](v T) (Doc, error) {
	id, rev := P(&v).names()
	text.EscapeAll(P(&v).texts())
	data, err := json.Marshal(v)
	if err != nil {
		return Doc{}, fmt.Errorf("%s %s: %w", P(nil).kind(), *id, err)
	}
	return Doc{Kind: P(nil).kind(), ID: *id, Rev: *rev, Data: data}, nil
}

// DeleteRecord deletes v as it was read.
func DeleteRecord[T any, P record[T]](ctx context.Context, s Store, v T) error {
	id, rev := P(&v).names()
	_, err := s.PutDoc(ctx, Doc{Kind: P(nil).kind(), ID: *id, Rev: *rev})
	return err
}

// Records are all of a type, in order of their ids.
func Records[T any, P record[T]](ctx context.Context, s Store) ([]T, error) {
	docs, err := s.Docs(ctx, P(nil).kind())
	if err != nil {
		return nil, err
	}
	return decodeRecords[T, P](docs)
}

// RecordsOf are those about any of subjects, in order of their ids.
func RecordsOf[T any, P record[T]](ctx context.Context, s Store, subjects []string) ([]T, error) {
	docs, err := s.DocsOf(ctx, P(nil).kind(), subjects)
	if err != nil {
		return nil, err
	}
	return decodeRecords[T, P](docs)
}

func decodeRecords[T any, P record[T]](docs []Doc) ([]T, error) {
	list := make([]T, len(docs))
	for i, doc := range docs {
		v, err := DecodeRecord[T, P](doc)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

// DecodeRecord is the record that a doc of its kind holds, for who reads of many
// only those that have changed.
func DecodeRecord[T any, P record[T]](doc Doc) (T, error) {
	var v T
	err := json.Unmarshal(doc.Data, &v)
	if err == nil {
		err = text.UnescapeAll(P(&v).texts())
	}
	if err != nil {
		return v, fmt.Errorf("%s %s: %w", doc.Kind, doc.ID, err)
	}
	id, rev := P(&v).names()
	*id, *rev = doc.ID, doc.Rev
	return v, nil
}
