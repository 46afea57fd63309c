package replay

import (
	"net/mail"
	"slices"
	"strings"
	"time"

	"o2n-milter/message"
	"o2n-milter/state"
)

// mostDate bounds what of a field is read as a date, in octets.
const mostDate = 200

// sentAt is when a message was sent: its newest Received, which the server that took
// it wrote, else its Date. False when neither holds a time that can be counted with.
func sentAt(fields []message.Field) (time.Time, bool) {
	var newest, date time.Time
	for _, f := range fields {
		switch {
		case strings.EqualFold(f.Name, "Received"):
			// RFC 5321 4.4: the time stands behind the last semicolon.
			if t, ok := parseDate(f.Value[strings.LastIndexByte(f.Value, ';')+1:]); ok && t.After(newest) {
				newest = t
			}
		case date.IsZero() && strings.EqualFold(f.Name, "Date"):
			date, _ = parseDate(f.Value)
		}
	}
	if newest.IsZero() {
		newest = date
	}
	return newest, !newest.IsZero()
}

// zones are the names of RFC 5322 4.3; it has all others mean nothing.
var zones = map[string]string{
	"EST": "-0500", "EDT": "-0400", "CST": "-0600", "CDT": "-0500",
	"MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700",
}

// layouts are dates that net/mail refuses and mail programs write.
var layouts = []string{
	time.ANSIC + " -0700", "Mon Jan _2 15:04:05 -0700 2006", "Mon, _2 Jan 2006 15:04 -0700",
	"Mon, _2 Jan 2006 15:04:05 -07:00", "2006-01-02 15:04:05 -0700",
}

// parseDate reads a date as RFC 5322 has it and as it is met. The zero time comes
// with false.
func parseDate(s string) (time.Time, bool) {
	if len(s) > mostDate {
		s = s[:mostDate]
	}
	words := strings.Fields(withoutComments(s))
	if len(words) == 0 {
		return time.Time{}, false
	}
	if last := words[len(words)-1]; isName(last) {
		zone := zones[strings.ToUpper(last)]
		if zone == "" {
			zone = "+0000"
		}
		words[len(words)-1] = zone
	} else if !slices.ContainsFunc(words, isOffset) {
		words = append(words, "+0000")
	}
	text := strings.Join(words, " ")
	t, err := mail.ParseDate(text)
	for _, layout := range layouts {
		if err == nil {
			break
		}
		t, err = time.Parse(layout, text)
	}
	if err != nil || state.CheckTime(t) != nil {
		return time.Time{}, false
	}
	return t.UTC(), true
}

func isOffset(s string) bool { return s[0] == '+' || s[0] == '-' }

func isName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
}

// withoutComments drops what stands in parentheses.
func withoutComments(s string) string {
	var b strings.Builder
	depth := 0
	for _, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}
