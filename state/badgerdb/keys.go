package badgerdb

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

// The keys, which an admin can read. What others chose is percent-escaped, so
// that a '/' always parts and no two names share a key. TIME is UTC with all its
// nanoseconds, so that keys sort by it.
//
//	limit/NAME/SUBJECT        a window: state.Slots
//	known/SET/SUBJECT/HASH    a member of a set: state.Members
//	letter/SUBJECT/SKETCH/HASH  a recipient of the campaign whose first letter looks so
//	                          (base64url): the same. A campaign is its recipients
//	doc/KIND/ID               a doc: JSON
//	decision/TIME/ID          a decision: JSON
//	id/ID                     TIME of the decision with this id
//	by/NAME/TIME/ID           empty; the history of a subject, of "rcpt:" and a recipient,
//	                          of "rule:" and the rule that decided
//	mark/COMMIT               JSON: a link of the chain that shows what is missing
//	meta/commit               JSON: how far the database is
//	meta/key                  hex: what members are hashed with
//	meta/format               the number of this layout
const (
	limitPrefix    = "limit/"
	knownPrefix    = "known/"
	letterPrefix   = "letter/" // between known/ and limit/, as sweepWindows has it
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

func limitKey(limit, subject string) []byte {
	return []byte(limitPrefix + text.Escape(limit) + "/" + text.Escape(subject))
}

// knownBy is the prefix of a set's members.
func knownBy(set, subject string) string {
	return knownPrefix + text.Escape(set) + "/" + text.Escape(subject) + "/"
}

func knownKey(set, subject string, hash uint64) []byte {
	return fmt.Appendf(nil, "%s%016x", knownBy(set, subject), hash)
}

// sentBy is the prefix of the recipients of a subject's campaigns.
func sentBy(subject string) string { return letterPrefix + text.Escape(subject) + "/" }

func letterKey(subject string, of state.Sketch, hash uint64) []byte {
	var sketch [8 * len(of)]byte
	for i, word := range of {
		binary.BigEndian.PutUint64(sketch[8*i:], word)
	}
	var last [8]byte
	binary.BigEndian.PutUint64(last[:], hash)
	prefix := sentBy(subject)
	key := make([]byte, 0, len(prefix)+base64.RawURLEncoding.EncodedLen(len(sketch))+1+2*len(last))
	key = append(base64.RawURLEncoding.AppendEncode(append(key, prefix...), sketch[:]), '/')
	return hex.AppendEncode(key, last[:])
}

// recipientOf reads what a letter/ key says after sentBy.
func recipientOf(rest string) (of state.Sketch, hash uint64, err error) {
	sketch, _, _ := strings.Cut(rest, "/")
	raw, err := base64.RawURLEncoding.DecodeString(sketch)
	if err != nil || len(raw) != 8*len(of) {
		return of, 0, fmt.Errorf("%s is no sketch", sketch)
	}
	for i := range of {
		of[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	hash, err = hashOf(rest)
	return of, hash, err
}

// hashOf reads the hash at the end of a known/ or letter/ key.
func hashOf(key string) (uint64, error) {
	hash, err := strconv.ParseUint(key[strings.LastIndexByte(key, '/')+1:], 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: its end is no hash", key)
	}
	return hash, nil
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
