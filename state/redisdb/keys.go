package redisdb

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

// The keys, which an admin can read. What others chose is percent-escaped, braces
// too: on a Cluster the keys with one subject in braces are on one server.
//
//	o2n:limit/NAME/{SUBJECT}  a window: hash of w its length in ns, u what it holds, o and n
//	                          its oldest and newest slot, and SLOT what was charged in it
//	o2n:set/NAME/{SUBJECT}    sorted set of members' 8-byte keyed hashes, by the end of the
//	                          slot in which each was last put there, in us since 1970
//	o2n:campaigns/{SUBJECT}   sorted set of the sketches of campaigns' first letters, in hex,
//	                          in the order of their last letters
//	o2n:campaign/SKETCH/{SUBJECT}  a campaign's recipients, as a set has its members
//	o2n:names                 set of "limit/NAME" and "set/NAME": what Reset looks for
//	o2n:{docs}                hash of KIND/ID: "REVISION JSON"
//	o2n:{docs}/log            sorted set of KIND/ID, by the generation of the last change
//	o2n:{docs}/gone           sorted set of the deleted ones, likewise
//	o2n:{docs}/marks          sorted set of the marks of the last generations
//	o2n:{docs}/gen            "GENERATION MARK"
//	o2n:decision/ID           a decision: JSON
//	o2n:by/NAME               sorted set of the ids of a subject's decisions, of those to "rcpt:"
//	                          and a recipient, of those by "rule:" and a rule, by ms since 1970
//	o2n:decisions             sorted set of the ids of all decisions, likewise
//	o2n:meta/key              what members are hashed with, in hex
//	o2n:meta/format           the number of this layout
//
// A window is a hash because the server adds int64 there exactly, and a charge touches
// two fields however many slots there are. To read and write three costs the server
// 11 us of a message's 30; three packed strings, taken apart in Lua, cost 6 before that.
const (
	prefix       = "o2n:"
	namesKey     = prefix + "names"
	genKey       = prefix + "{docs}/gen"
	decisionsKey = prefix + "decisions"
	memberKey    = prefix + "meta/key"
	formatKey    = prefix + "meta/format"

	docsChannel = prefix + "docs" // Pub/Sub: the docs have changed
)

var docKeys = []string{prefix + "{docs}", prefix + "{docs}/log", prefix + "{docs}/gone", prefix + "{docs}/marks", genKey}

var braces = strings.NewReplacer("{", "%7B", "}", "%7D")

func escape(s string) string { return braces.Replace(text.Escape(s)) }

// What a name in o2n:names begins with.
const (
	limitName = "limit/"
	setName   = "set/"
)

// subjectKey is the key of a name (with its beginning, escaped) for a subject.
func subjectKey(name, subject string) string { return prefix + name + "/{" + escape(subject) + "}" }

func limitKey(limit, subject string) string { return subjectKey(limitName+escape(limit), subject) }

// campaignsKey is what the scripts make the keys of the campaigns from.
func campaignsKey(subject string) string { return prefix + "campaigns/{" + escape(subject) + "}" }

// sketchText is a sketch as the server has it.
func sketchText(s state.Sketch) string {
	return fmt.Sprintf("%016x%016x%016x%016x", s[0], s[1], s[2], s[3])
}

func parseSketch(text string) (s state.Sketch, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 8*len(s) {
		return s, fmt.Errorf("%.80q is no sketch", text)
	}
	for i := range s {
		s[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	return s, nil
}

// decisionKey is for an id that is escaped.
func decisionKey(id string) string { return prefix + "decision/" + id }

func byKey(name string) string { return prefix + "by/" + escape(name) }

// member is a hash as the sets hold it: ties in the score go by it.
func member(hash uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], hash)
	return string(b[:])
}

// slotCount is how many slots a Cluster parts the keys into.
const slotCount = 16384

// slotOf is the Cluster's slot for a subject, or for the docs: CRC16 (XMODEM) of
// what stands in braces, as the Cluster specification says.
func slotOf(tag string) int {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slotCount
}
