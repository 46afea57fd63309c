package desk

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"o2n-milter/rules"
)

const (
	// mostText bounds what people write, in bytes.
	mostText = 4000
	// mostName bounds a name, in bytes: an address has 320 at most (RFC 5321 4.5.3.1).
	mostName = 400
	// mostFor bounds how long something may be set for: ten years. What shall last
	// longer is for until it is lifted.
	mostFor = 3650 * 24 * time.Hour
)

// text tidies what somebody wrote into the field of this name, on several lines or
// one. Forms send CR LF; other control characters are refused: they would garble
// a terminal or a log.
func text(field, s string) (string, error) {
	s = strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\t", " ").Replace(s))
	switch {
	case len(s) > mostText:
		return "", bad("%s: %d bytes; want at most %d", field, len(s), mostText)
	case !utf8.ValidString(s):
		return "", bad("%s: want UTF-8", field)
	case strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }):
		return "", bad("%s: control character; want plain text", field)
	}
	return s, nil
}

// needText is text that must say something.
func needText(field, s string) (string, error) {
	s, err := text(field, s)
	if err == nil && s == "" {
		err = bad("%s is empty; want a few words", field)
	}
	return s, err
}

// name is a text of one line.
func name(field, s string) (string, error) {
	s, err := text(field, s)
	switch {
	case err != nil:
		return "", err
	case len(s) > mostName:
		return "", bad("%s: %d bytes; want at most %d", field, len(s), mostName)
	case strings.Contains(s, "\n"):
		return "", bad("%s: want one line", field)
	}
	return s, nil
}

func parseSubject(s string) (string, error) {
	subject, err := rules.ParseSubject(s)
	if err != nil {
		return "", bad("%v", err)
	}
	return subject, nil
}

// mailSubject is parseSubject for what finds or blocks messages.
func mailSubject(s string) (string, error) {
	subject, err := parseSubject(s)
	if err == nil && rules.IsPair(subject) {
		err = bad("subject %q: has windows only; want its account: or its domain:", s)
	}
	return subject, err
}

// endOf reads how long something is to last from now on; the zero time for
// "manual", where that is allowed.
func endOf(now time.Time, length string, manual bool) (time.Time, error) {
	want := "want 30m, 4h or 7d"
	if manual {
		want = "want 30m, 4h, 7d or manual"
		if length == "manual" {
			return time.Time{}, nil
		}
	}
	d, err := rules.ParseDuration(length)
	switch {
	case err != nil || d < time.Second:
		return time.Time{}, bad("for %q: no duration; %s", length, want)
	case d > mostFor:
		return time.Time{}, bad("for %q: too long; want at most %s", length, rules.FormatDuration(mostFor))
	}
	return now.Add(d), nil
}

// by is an actor's name as records keep it: the store has room for so much beside
// the note of a lift.
func (a Actor) by() string {
	const most = 90
	return strings.ToValidUTF8(a.Name[:min(len(a.Name), most)], "")
}
