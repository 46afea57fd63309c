package badgerdb

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"o2n-milter/state/internal/ledger"
	"o2n-milter/state/internal/text"
)

// The keys, which an admin can read. What others chose is percent-escaped, so
// that a '/' always parts and no two names share a key. TIME is UTC with all its
// nanoseconds, so that keys sort by it.
//
//	subject/SUBJECT           its windows, and what it sent last: the head, as ledger.Record
//	                          has it
//	subject-members/SUBJECT/GENERATION/NUMBER  whom it sent to before: a page
//	doc/KIND/ID               a doc: JSON
//	decision/TIME/ID          a decision: JSON
//	id/ID                     TIME of the decision with this id
//	by/NAME/TIME/ID           empty; the history of a subject, of "rcpt:" and a recipient,
//	                          of "rule:" and the rule that decided
//	mark/COMMIT               JSON: a link of the chain that shows what is missing
//	meta/commit               JSON: how far the database is
//	meta/key                  hex: what members are hashed with
//	meta/format               the number of this layout
//
// Those of a format before this one are in convert.go.
const (
	subjectPrefix  = "subject/"
	membersPrefix  = "subject-members/" // just before subject/, as sweepSubjects has it
	docPrefix      = "doc/"
	decisionPrefix = "decision/"
	idPrefix       = "id/"
	byPrefix       = "by/"
	markPrefix     = "mark/"
	standKey       = "meta/commit"
	memberKey      = "meta/key"
	formatKey      = "meta/format"
)

// keyTime sorts as the times do: 1970 to 2199, as state.CheckTime has it.
const keyTime = "2006-01-02T15:04:05.000000000Z"

func subjectKey(subject string) []byte {
	return append([]byte(subjectPrefix), text.Escape(subject)...)
}

func pageKey(subject string, p ledger.Page) []byte {
	return fmt.Appendf(nil, "%s%s/%d/%d", membersPrefix, text.Escape(subject), p.Generation, p.Number)
}

// parsePageKey undoes pageKey, but for the subject's escapes.
func parsePageKey(key string) (escaped string, p ledger.Page, ok bool) {
	parts := strings.Split(strings.TrimPrefix(key, membersPrefix), "/")
	if len(parts) != 3 {
		return "", p, false
	}
	var faults [2]error
	p.Generation, faults[0] = strconv.ParseInt(parts[1], 10, 64)
	p.Number, faults[1] = strconv.ParseInt(parts[2], 10, 64)
	return parts[0], p, errors.Join(faults[:]...) == nil
}

func docKey(kind, id string) []byte { return []byte(docPrefix + kind + "/" + id) }

func idKey(id string) []byte { return []byte(idPrefix + text.Escape(id)) }

// byName is the prefix of a history.
func byName(name string) string { return byPrefix + text.Escape(name) + "/" }

// place is where a decision stands among all and, behind another prefix, in each
// history.
func place(at time.Time, id string) string { return timeText(at) + "/" + text.Escape(id) }

func timeText(at time.Time) string { return at.UTC().Format(keyTime) }

// parsePlace undoes place.
func parsePlace(s string) (at time.Time, id string, err error) {
	timeOf, id, ok := strings.Cut(s, "/")
	if !ok {
		return at, "", fmt.Errorf("key part %q holds no id", s)
	}
	if at, err = time.Parse(keyTime, timeOf); err != nil {
		return at, "", fmt.Errorf("key part %q holds no time", s)
	}
	id, err = text.Unescape(id)
	return at, id, err
}

func markKey(commit int64) []byte { return fmt.Appendf(nil, "%s%016d", markPrefix, commit) }
