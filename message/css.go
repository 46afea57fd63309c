package message

import (
	"bytes"
	"strconv"
	"strings"
)

// parseStyle reads the declarations of a style attribute or rule; important has
// those that are marked so.
func parseStyle(css []byte) (normal, important style) {
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
			important.declare(name, strings.TrimRight(value[:len(value)-1], " \t\r\n"))
		} else if !marked {
			normal.declare(name, value)
		}
	}
	return normal, important
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
	i := 0
	for i < len(value) && strings.IndexByte("+-.0123456789", value[i]) >= 0 {
		i++
	}
	n, err := strconv.ParseFloat(value[:i], 64)
	if err != nil {
		return 0, "", false
	}
	unit = value[i:]
	switch unit {
	case "", "px":
	case "pt":
		n *= 4.0 / 3
	case "em", "rem", "ex", "ch", "%", "vw", "vh":
		n *= 16
	case "in", "cm", "pc", "mm":
		n *= 4 // the least of them
	default:
		return 0, "", false
	}
	return n, unit, true
}

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
