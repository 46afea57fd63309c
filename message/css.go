package message

import (
	"bytes"
	"strconv"
	"strings"
)

// parseStyle reads the declarations of a style attribute or rule; important has
// those that are marked so.
func parseStyle(css []byte) (both bothStyles) {
	text := string(bytes.ToLower(tidyCSS(css)))
	for text != "" {
		var one string
		one, text = cutOutside(text, ';')
		name, value, ok := strings.Cut(one, ":")
		if !ok {
			continue
		}
		name = strings.Trim(name, " \t\r\n")
		value, marked := strings.CutSuffix(strings.Trim(value, " \t\r\n"), "important")
		if value = strings.TrimRight(value, " \t\r\n"); marked && strings.HasSuffix(value, "!") {
			both.important.declare(name, strings.TrimRight(value[:len(value)-1], " \t\r\n"))
		} else if !marked {
			both.normal.declare(name, value)
		}
	}
	return both
}

// cutOutside cuts s around the first sep that is in neither brackets nor quotes.
func cutOutside(s string, sep byte) (before, after string) {
	var quote byte
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == sep && depth == 0:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// px is a CSS length in px; relative ones as if of 16 px, and percentages of 1,600.
func px(value string) (n float64, unit string, ok bool) {
	end := numberEnd(value)
	n, err := strconv.ParseFloat(value[:end], 64)
	if err != nil {
		return 0, "", false
	}
	unit = value[end:]
	factor, ok := units[unit]
	return n * factor, unit, ok
}

// numberEnd is where the number that begins a text ends (CSS Syntax 3, 4.3.12).
func numberEnd(s string) int {
	i := 0
	for i < len(s) && strings.IndexByte("+-.0123456789", s[i]) >= 0 {
		i++
	}
	if i == 0 || i+1 >= len(s) || s[i] != 'e' {
		return i
	}
	k := i + 1
	if s[k] == '+' || s[k] == '-' {
		k++
	}
	if k == len(s) || s[k] < '0' || s[k] > '9' {
		return i
	}
	for k < len(s) && '0' <= s[k] && s[k] <= '9' {
		k++
	}
	return k
}

// units are those of CSS Values 4 in px: absolute ones by the least of them, the rest
// as if of 16 px.
var units = func() map[string]float64 {
	table := map[string]float64{"": 1, "px": 1, "pt": 4.0 / 3, "q": 0.94, "in": 4, "cm": 4, "pc": 4, "mm": 4}
	const relative = "em rem ex rex cap rcap ch rch ic ric lh rlh % vw svw lvw dvw vh svh lvh dvh vi vb vmin vmax svmin svmax dvmin dvmax lvmin lvmax " +
		"cqw cqh cqi cqb cqmin cqmax"
	for unit := range strings.FieldsSeq(relative) {
		table[unit] = 16
	}
	return table
}()

// tidyCSS drops comments and undoes escapes (CSS Syntax 3, 4.3.7).
func tidyCSS(css []byte) []byte {
	if bytes.IndexByte(css, '\\') < 0 && !bytes.Contains(css, []byte("/*")) {
		return css
	}
	out := make([]byte, 0, len(css))
	for i := 0; i < len(css); i++ {
		switch {
		case bytes.HasPrefix(css[i:], []byte("/*")):
			end := bytes.Index(css[i+2:], []byte("*/"))
			if end < 0 {
				return out
			}
			i += end + 3
		case css[i] == '\\' && i+1 < len(css):
			n := i + 1
			code := 0
			for n < len(css) && n < i+7 && unhex(css[n]) < 16 {
				code = code<<4 | int(unhex(css[n]))
				n++
			}
			if n == i+1 { // any other character stands for itself
				continue
			}
			out = append(out, string(rune(code))...)
			if n < len(css) && css[n] == ' ' {
				n++
			}
			i = n - 1
		default:
			out = append(out, css[i])
		}
	}
	return out
}
