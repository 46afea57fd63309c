package badgerdb

import (
	"fmt"
	"math"
	"strings"
	"time"

	"o2n-milter/state/internal/text"
)

// The keys, which an admin can read. What others chose is percent-escaped, so
// that a '/' always parts and no two names share a key.
//
//	limit/NAME/SUBJECT               a window: state.Slots
//	doc/KIND/ID                      a doc: JSON
//	decision/ID                      a decision: JSON
//	by/SUBJECT/INVERTED-TIME/ID      empty; a subject's decisions, newest first
//	meta/format                      the number of this layout
const (
	limitPrefix    = "limit/"
	docPrefix      = "doc/"
	decisionPrefix = "decision/"
	byPrefix       = "by/"
	formatKey      = "meta/format"
)

func limitKey(limit, subject string) []byte {
	return []byte(limitPrefix + text.Escape(limit) + "/" + text.Escape(subject))
}

func docKey(kind, id string) []byte { return []byte(docPrefix + kind + "/" + id) }

func decisionKey(id string) []byte { return []byte(decisionPrefix + text.Escape(id)) }

func bySubject(subject string) string { return byPrefix + text.Escape(subject) + "/" }

// byKey sorts newest first: the time is what is left of an int64 of ns, always 19 digits.
func byKey(subject string, at time.Time, id string) []byte {
	return fmt.Appendf(nil, "%s%019d/%s", bySubject(subject), math.MaxInt64-at.UnixNano(), text.Escape(id))
}

// idOf reads the id from the rest of a by/ key behind the subject.
func idOf(rest string) (string, error) {
	_, id, ok := strings.Cut(rest, "/")
	if !ok {
		return "", fmt.Errorf("key part %q holds no id", rest)
	}
	return text.Unescape(id)
}
