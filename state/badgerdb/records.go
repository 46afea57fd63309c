package badgerdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

const (
	// maxRecord bounds what one record may add to a batch, in bytes. Badger takes
	// 15 % of memTableSize, 1.2 MB, in one transaction.
	maxRecord = 256 << 10
	// maxSubjects bounds a decision's index keys: 12,000 keys fit one transaction.
	maxSubjects = 2000
)

// record is one key to write, or to delete.
type record struct {
	key, value []byte
	ttl        time.Duration // 0: for ever
	gone       bool          // delete it
}

// Records are JSON, so that an admin can read them. JSON holds no bytes that are
// not UTF-8; mail does. So every text that others may have chosen is escaped.

func decisionTexts(d *state.Decision) []*string {
	texts := []*string{&d.ID, &d.Action, &d.Rule, &d.Account, &d.Client, &d.From}
	for i := range d.Subjects {
		texts = append(texts, &d.Subjects[i])
	}
	return texts
}

func encodeDecision(d state.Decision) ([]byte, error) {
	d.At = d.At.UTC()
	d.Subjects = slices.Clone(d.Subjects)
	text.EscapeAll(decisionTexts(&d))
	return sized(json.Marshal(d))
}

func decodeDecision(value []byte) (d state.Decision, err error) {
	if err = json.Unmarshal(value, &d); err == nil {
		err = text.UnescapeAll(decisionTexts(&d))
	}
	return d, err
}

func sized(value []byte, err error) ([]byte, error) {
	if err == nil && len(value) > maxRecord {
		err = fmt.Errorf("record of %d bytes; want at most %d", len(value), maxRecord)
	}
	return value, err
}

// decisionRecords are the record and its place in each subject's history.
func decisionRecords(d state.Decision, retention time.Duration) ([]record, error) {
	if d.ID == "" {
		return nil, errors.New("decision without id")
	}
	if err := state.CheckTime(d.At); err != nil {
		return nil, fmt.Errorf("decision %.100q: %w", d.ID, err)
	}
	if len(d.Subjects) > maxSubjects {
		return nil, fmt.Errorf("decision %.100q: %d subjects; want at most %d", d.ID, len(d.Subjects), maxSubjects)
	}
	value, err := encodeDecision(d)
	if err != nil {
		return nil, fmt.Errorf("decision %.100q: %w", d.ID, err)
	}
	records := []record{{key: decisionKey(d.ID), value: value, ttl: retention}}
	size := 0
	for _, s := range d.Subjects {
		key := byKey(s, d.At, d.ID)
		size += len(key)
		records = append(records, record{key: key, ttl: retention})
	}
	if size > maxRecord {
		return nil, fmt.Errorf("decision %.100q: subjects of %d bytes; want at most %d", d.ID, size, maxRecord)
	}
	return records, nil
}
