package message

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// target is where a link leads; empty for none that a reader can follow from a
// mail: neither "#" nor scripts, data or what is relative to nothing.
func (r *htmlReader) target(href []byte) string {
	// WHATWG URL 4.4: line ends and tabs within are left out, blanks around too.
	text := string(href)
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == utf8.RuneError }) {
		text = strings.Map(func(c rune) rune {
			if c == '\t' || c == '\n' || c == '\r' {
				return -1
			}
			return c
		}, strings.TrimFunc(text, func(c rune) bool { return c <= ' ' }))
	}
	scheme, rest, ok := strings.Cut(text, ":")
	switch {
	case ok && strings.EqualFold(scheme, "mailto"):
		if address, _, _ := strings.Cut(rest, "?"); address == "" {
			return ""
		}
		return text
	case ok && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")):
		if strings.Trim(rest, `/\?#`) == "" {
			return ""
		}
		return text
	case ok && isScheme(scheme) || r.base == nil || text == "" || text[0] == '#':
		return ""
	}
	u, err := r.base.Parse(text)
	if err != nil {
		return ""
	}
	return u.String()
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isWord(c) && c != '+' && c != '-' && c != '.' || c >= 0x80 {
			return false
		}
	}
	return s != ""
}

// formTarget is where a form's button leads.
func (r *htmlReader) formTarget(attr *attributes) string {
	if len(attr.formAction) > 0 {
		return r.target(attr.formAction)
	}
	return r.form
}

// setBase takes the first <base>, if it is a place.
func (r *htmlReader) setBase(attr *attributes) {
	if r.base != nil {
		return
	}
	u, err := url.Parse(strings.TrimSpace(string(attr.href)))
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		r.base = u
	}
}

// shortText is a short text as a page shows it.
func shortText(text []byte) string {
	var p page
	p.write(text)
	return cut(string(p.text), aroundLink)
}
