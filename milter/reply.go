package milter

import (
	"fmt"
	"regexp"
	"strings"

	"o2n-milter/rules"
)

const (
	maxReply = 480 // bytes of a reply as the client sees it
	// maxWire is an SMTP reply line without its CRLF (RFC 5321 4.5.3.1.5). Percent
	// signs are doubled on the way to the MTA, which halves them again.
	maxWire = 510
	// maxTail is how long a "[rule id]" at the end may be to be kept whole.
	maxTail = 120
)

var enhancedCode = regexp.MustCompile(`^[45]\.\d{1,3}\.\d{1,3}$`)

// replyLine is the one place where a reply gets its form for the wire: one line of
// printable ASCII, code and enhanced code of one class, every % doubled (a single
// one is eaten by Postfix, and Sendmail drops the whole text and turns 450 into
// 550). A code that an MTA would choke on is replaced by 451 4.3.0; 421 and 521
// would close the client's session.
func replyLine(v *rules.Verdict) string {
	code, enhanced := fmt.Sprint(v.Code), v.Enhanced
	if v.Code < 400 || v.Code > 599 || v.Code%100 == 21 ||
		!enhancedCode.MatchString(enhanced) || enhanced[0] != code[0] {
		code, enhanced = "451", "4.3.0"
	}
	prefix := code + " " + enhanced + " "
	text := v.Text
	if strings.TrimSpace(text) == "" {
		text = "not accepted"
	}
	text = printable(text, maxReply-len(prefix))
	for over := 1; over > 0; {
		over = len(prefix) + len(text) + strings.Count(text, "%") - maxWire
		if over > 0 {
			text = shorten(text, len(text)-(over+1)/2)
		}
	}
	return prefix + strings.ReplaceAll(text, "%", "%%")
}

// printable is s as at most max characters of printable ASCII.
func printable(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == '\n' || r == 0 || r == '\t':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
	return shorten(s, max)
}

// shorten cuts from the middle, so that the "[rule id]" at the end stays.
func shorten(s string, max int) string {
	if len(s) <= max {
		return s
	}
	tail := ""
	if i := strings.LastIndex(s, " ["); i >= 0 && len(s)-i <= min(maxTail, max) {
		tail = s[i:]
	}
	return s[:max-len(tail)] + tail
}
