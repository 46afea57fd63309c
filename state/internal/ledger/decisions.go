package ledger

import (
	"encoding/json"
	"errors"
	"fmt"

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

const (
	// MaxDecision bounds a decision, in bytes: it must fit one transaction of every
	// store (Badger's takes 1.2 MB).
	MaxDecision = 256 << 10
	// MaxDecisionSubjects bounds its places in histories, a hash each (in Redis an entry):
	// of its subjects, and again of its recipients.
	MaxDecisionSubjects = 2000
)

// EncodeDecision checks a decision and gives what every store keeps of it: JSON,
// which an admin can read. JSON holds no bytes that are not UTF-8; mail does. So
// every text that others may have chosen is escaped.
func EncodeDecision(d state.Decision) ([]byte, error) {
	value, err := encodeDecision(d)
	if err != nil {
		return nil, fmt.Errorf("decision %.100q: %w", d.ID, err)
	}
	return value, nil
}

func encodeDecision(d state.Decision) ([]byte, error) {
	if d.ID == "" {
		return nil, errors.New("it has no id")
	}
	if err := state.CheckTime(d.At); err != nil {
		return nil, err
	}
	if n := len(d.Subjects); n > MaxDecisionSubjects {
		return nil, fmt.Errorf("%d subjects; want at most %d", n, MaxDecisionSubjects)
	}
	if n := len(d.To); n > MaxDecisionSubjects {
		return nil, fmt.Errorf("%d recipients; want at most %d", n, MaxDecisionSubjects)
	}
	// What stands beside the detail takes some 300 bytes.
	value, err := appendDecision(make([]byte, 0, len(d.Detail)+512), d)
	if err == nil && len(value) > MaxDecision {
		err = fmt.Errorf("%d bytes; want at most %d", len(value), MaxDecision)
	}
	return value, err
}

// DecodeDecision reads what EncodeDecision gave.
func DecodeDecision(value []byte) (d state.Decision, err error) {
	if err = json.Unmarshal(value, &d); err == nil {
		err = text.UnescapeAll(decisionTexts(&d))
	}
	return d, err
}

func decisionTexts(d *state.Decision) []*string {
	texts := []*string{&d.ID, &d.Action, &d.Rule, &d.Account, &d.Client, &d.From}
	for i := range d.Subjects {
		texts = append(texts, &d.Subjects[i])
	}
	for i := range d.To {
		texts = append(texts, &d.To[i])
	}
	return texts
}

// Beside subjects, which begin with another kind, decisions have a history by each
// recipient and by the rule that decided.
const (
	byRecipient = "rcpt:"
	byRule      = "rule:"
	// noRule is that of mail that passed: most of all mail, which needs no index.
	noRule = "none"
)

// Histories are the names of all histories that d belongs in.
func Histories(d state.Decision) []string {
	names := make([]string, 0, len(d.Subjects)+len(d.To)+1)
	EachHistory(d, func(kind, name string) { names = append(names, kind+name) })
	return names
}

// EachHistory calls f with each of Histories in two parts.
func EachHistory(d state.Decision, f func(kind, name string)) {
	for _, subject := range d.Subjects {
		f("", subject)
	}
	for _, to := range d.To {
		f(byRecipient, to)
	}
	if d.Rule != noRule && d.Rule != "" {
		f(byRule, d.Rule)
	}
}

// HistoryFor is the history to look through for what q asks, the shortest as a rule;
// empty: all decisions.
func HistoryFor(q state.Query) string {
	if names := HistoriesFor(q); len(names) > 0 {
		return names[0]
	}
	return ""
}

// HistoriesFor are all histories that a decision is in if q asks for it, the shortest
// first as a rule.
func HistoriesFor(q state.Query) (names []string) {
	if q.Recipient != "" {
		names = append(names, byRecipient+q.Recipient)
	}
	if q.Subject != "" {
		names = append(names, q.Subject)
	}
	if q.Rule != "" && q.Rule != noRule {
		names = append(names, byRule+q.Rule)
	}
	return names
}

// Signs are what stands in each value that EncodeDecision has given of a decision that q
// asks for: who reads many need not decode those that lack one.
func Signs(q state.Query) (signs [][]byte) {
	for _, part := range []struct{ name, text string }{
		{"", q.Recipient}, {"", q.Subject}, {`"rule":`, q.Rule}, {`"action":`, q.Action},
	} {
		if part.text != "" {
			signs = append(signs, appendText([]byte(part.name), part.text))
		}
	}
	return signs
}

// SignOf is what the value of the decision with this id begins with.
func SignOf(id string) []byte { return append(appendText([]byte(`{"id":`), id), ',') }
