package doctor

import (
	"fmt"
	"strings"
)

// What is the same for both MTAs.
const (
	whyUnjudged = "mail that comes in there passes without being judged, counted or stopped"
	whyOpen     = "while the filter is away, all mail passes unjudged"
	whyTwice    = "each message is judged and charged twice"
	whyLater    = "the filter is not told what a milter after it refuses: that mail has been charged already, and is charged again when it is sent again"
	whyShort    = "an answer that waits for a slow disk or store comes too late: the mail is deferred, and has been charged"
)

// ourPlace looks at where the filter stands among an MTA's milters: names are all of
// them in order, ours the places that are the filter's.
//
// The filter should be last. What a later milter refuses has been charged. A signer
// after it is no harm: it refuses next to nothing, and need not sign what is refused.
// A signer before it is none either: the one field that the filter adds is no part of
// what is signed.
func (r *report) ourPlace(where string, names []string, ours []int, do string) {
	if len(ours) > 1 {
		r.add(Fault, fmt.Sprintf("%s names the filter %d times", where, len(ours)), whyTwice, do)
		return
	}
	after := names[ours[0]+1:]
	var refusing, signing []string
	for _, name := range after {
		if isSigner(name) {
			signing = append(signing, name)
		} else {
			refusing = append(refusing, name)
		}
	}
	if len(refusing) > 0 {
		r.add(Warning, fmt.Sprintf("%s: after the filter comes %s", where, strings.Join(refusing, ", ")), whyLater, do)
	}
	if len(signing) > 0 {
		r.add(Note, fmt.Sprintf("%s: after the filter comes %s, by its name a signer", where, strings.Join(signing, ", ")),
			"what it refuses has been charged; a signer refuses next to nothing, so this may stay", "")
	}
	if len(after) == 0 {
		r.ok("%s: the filter is the last milter", where)
	}
}

// isSigner goes by the name, or the socket, that a milter is known by.
func isSigner(name string) bool { return strings.Contains(strings.ToLower(name), "dkim") }
