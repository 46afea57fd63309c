package ledger

import (
	"fmt"

	"o2n-milter/state"
)

// Earlier puts what a store of an earlier format has of a subject, a record for each
// window and each member, into one entry.
type Earlier struct{ entry *Entry }

// NewEarlier begins with what is there of the subject in this format: nil when nothing is.
func NewEarlier(subject string, there *Entry) Earlier {
	if there == nil {
		there = &Entry{Subject: subject}
	}
	return Earlier{there}
}

// Window adds a window.
func (x Earlier) Window(limit string, value []byte) error {
	slots, err := state.DecodeSlots(value)
	if err != nil {
		return fmt.Errorf("limit %.100q: %w", limit, err)
	}
	x.entry.limits[x.entry.limit(limit)].slots.Merge(slots)
	return nil
}

// Known adds a member of a set.
func (x Earlier) Known(set string, hash uint64, value []byte) error {
	remember, slot, err := state.DecodeMember(value)
	if err != nil {
		return err
	}
	return x.entry.sets[x.entry.set(set)].members.Restore(hash, remember, slot)
}

// Sent adds a recipient of a campaign.
func (x Earlier) Sent(of state.Sketch, hash uint64, value []byte) error {
	remember, slot, err := state.DecodeMember(value)
	if err != nil {
		return err
	}
	return x.entry.campaigns().Restore(of, hash, remember, slot)
}

// Records are what is to be kept of the subject.
func (x Earlier) Records() []Record {
	if x.entry.letters != nil {
		x.entry.letters.Loaded()
	}
	x.entry.kept.anew = true
	records, _ := x.entry.records(nil, nil)
	return records
}
