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
//	decisions/TIME/NUMBER     a page of decisions, the last of that time; NUMBER is random
//	filter/TIME/NUMBER        what may be on that page
//	draft/NUMBER              decisions that are on no page yet
//	mark/COMMIT               JSON: a link of the chain that shows what is missing
//	meta/commit               JSON: how far the database is
//	meta/key                  hex: what members are hashed with
//	meta/format               the number of this layout
//
// Those of a format before this one are in convert.go.
const (
	subjectPrefix = "subject/"
	membersPrefix = "subject-members/" // just before subject/, as sweepSubjects has it
	docPrefix     = "doc/"
	// Pages come before all other keys, those of older times first: so Badger, which
	// merges tables by the range of their keys, leaves the old ones alone.
	decisionsPrefix = "decisions/"
	draftPrefix     = "draft/"
	filterPrefix    = "filter/"
	markPrefix      = "mark/"
	standKey        = "meta/commit"
	memberKey       = "meta/key"
	formatKey       = "meta/format"
)

// keyTime sorts as the times do: 1970 to 2199, as state.CheckTime has it.
const keyTime = "2006-01-02T15:04:05.000000000Z"

func subjectKey(subject string) []byte {
	escaped := text.Escape(subject)
	return append(append(make([]byte, 0, len(subjectPrefix)+len(escaped)), subjectPrefix...), escaped...)
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

func decisionsKey(place string) []byte { return []byte(decisionsPrefix + place) }

func filterKey(place string) []byte { return []byte(filterPrefix + place) }

func draftKey(number int64) []byte { return fmt.Appendf(nil, "%s%016d", draftPrefix, number) }

// numberOf reads a draft/ key.
func numberOf(key []byte) (int64, error) {
	return strconv.ParseInt(string(key[len(draftPrefix):]), 10, 64)
}

func timeText(at time.Time) string { return at.UTC().Format(keyTime) }

// lastOf reads the time at the beginning of a page's place.
func lastOf(place string) (ns int64, err error) {
	text, _, _ := strings.Cut(place, "/")
	at, err := time.Parse(keyTime, text)
	return at.UnixNano(), err
}

func markKey(commit int64) []byte { return fmt.Appendf(nil, "%s%016d", markPrefix, commit) }
