package message

import (
	"bytes"
	"strings"
)

// Of which screens a media query holds.
const (
	noScreen = iota
	someScreens
	allScreens
)

// screensOf reads a list of media queries, of which one that holds is enough.
func screensOf(queries string) int {
	most := noScreen
	for one := range strings.SplitSeq(queries, ",") {
		most = max(most, screensOfOne(strings.Fields(strings.ReplaceAll(one, "(", " ("))))
	}
	return most
}

// Lengths, in px, that every screen has and that none has.
const (
	leastScreen = 300
	mostScreen  = 8000
)

// screensOfOne reads one media query: "only screen and (min-width: 1px)".
func screensOfOne(words []string) int {
	not, holds := false, allScreens
	for i := 0; i < len(words); i++ {
		switch word := words[i]; {
		case word == "not":
			not = true
		case word == "print" || word == "speech" || word == "tty" || word == "tv" || word == "projection" || word == "handheld":
			holds = noScreen
		case word == "all" || word == "screen" || word == "only" || word == "and":
		case word == "or":
			holds = min(holds, someScreens)
		default:
			for !strings.HasSuffix(words[i], ")") && i+1 < len(words) {
				i++
				word += words[i]
			}
			holds = min(holds, screensWith(strings.Trim(word, "()")))
		}
	}
	if not {
		return allScreens - holds
	}
	return holds
}

// screensWith is which screens have a feature.
func screensWith(feature string) int {
	name, value, _ := strings.Cut(feature, ":")
	n, _, ok := px(computed(value))
	switch {
	case name == "color" || name == "min-color" || name == "width" && value == "" || name == "height" && value == "":
		return allScreens
	case ok && (strings.HasPrefix(name, "min-") && n <= leastScreen || strings.HasPrefix(name, "max-") && n >= mostScreen):
		return allScreens
	}
	return someScreens
}

// styleReader is who knows first what the style element says whose tag m is at, if anybody
// does; reader knows it if it is for all screens.
func styleReader(m *markup, reader int) (first int, ok bool) {
	media, kind := []byte(nil), []byte(nil)
	for _, a := range m.attrs {
		switch key := string(m.key(a)); {
		case key == "media" && media == nil:
			media = m.value(a)
		case key == "type" && kind == nil:
			kind = m.value(a)
		}
	}
	if len(kind) > 0 && !bytes.EqualFold(kind, []byte("text/css")) { // HTML 4.2.6; not all look
		reader = max(reader, full)
	}
	switch screensOf(string(bytes.ToLower(media))) {
	case noScreen:
		return 0, false
	case someScreens:
		return wide, true
	}
	return reader, true
}
