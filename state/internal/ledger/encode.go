package ledger

import (
	"encoding/json"

	"o2n-milter/internal/appendjson"
	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

// appendDecision appends d as json.Marshal would, its texts escaped.
func appendDecision(b []byte, d state.Decision) ([]byte, error) {
	key := appendjson.Key
	b = appendText(key(append(b, '{'), "id"), d.ID)
	b = appendjson.Time(key(b, "at"), d.At.UTC())
	b = appendText(key(b, "action"), d.Action)
	b = appendText(key(b, "rule"), d.Rule)
	b = appendText(key(b, "account"), d.Account)
	b = appendText(key(b, "client"), d.Client)
	b = appendText(key(b, "from"), d.From)
	b = appendjson.Int(key(b, "rcpts"), d.Rcpts)
	b = appendTexts(key(b, "subjects"), d.Subjects)
	if len(d.To) > 0 {
		b = appendTexts(key(b, "to"), d.To)
	}
	if len(d.Detail) > 0 {
		var err error
		if b = key(b, "detail"); d.Plain {
			b = append(b, d.Detail...)
		} else if b, err = appendJSON(b, d.Detail); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendText appends a text that others may have chosen.
func appendText(b []byte, s string) []byte { return appendjson.String(b, text.EscapeBinary(s)) }

func appendTexts(b []byte, list []string) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for _, s := range list {
		b = appendText(appendjson.Next(b), s)
	}
	return append(b, ']')
}

// plainInJSON are the bytes that may stand in any string of JSON as they are: not those
// that encoding/json escapes, and not that with which U+2028 and U+2029 begin.
var plainInJSON = func() (plain [256]bool) {
	for c := ' '; c <= 0xff; c++ {
		plain[c] = c != 0xe2
	}
	for _, c := range `"\<>&` {
		plain[c] = false
	}
	return plain
}()

// appendJSON appends v as encoding/json would.
func appendJSON(b []byte, v json.RawMessage) ([]byte, error) {
	if plainJSON(v) {
		return append(b, v...), nil
	}
	compact, err := json.Marshal(v)
	return append(b, compact...), err
}

// plainJSON says that b is JSON that encoding/json would not change. False says
// nothing: encoding/json must look.
func plainJSON(b []byte) bool { return plainValue(b, 0, 0) == len(b) }

// plainDepth bounds how deep values may lie in each other.
const plainDepth = 64

// no is where a value ends that is not plain.
const no = -1

// plainValue says where the value that begins at i ends.
func plainValue(b []byte, i, depth int) (end int) {
	if i >= len(b) || depth > plainDepth {
		return no
	}
	switch b[i] {
	case '{':
		return plainList(b, i, depth, '}', true)
	case '[':
		return plainList(b, i, depth, ']', false)
	case '"':
		return plainString(b, i)
	case 't':
		return plainWord(b, i, "true")
	case 'f':
		return plainWord(b, i, "false")
	case 'n':
		return plainWord(b, i, "null")
	}
	return plainNumber(b, i)
}

// plainList is for objects, whose values have names, and arrays.
func plainList(b []byte, i, depth int, closing byte, named bool) (end int) {
	if i++; i < len(b) && b[i] == closing {
		return i + 1
	}
	for i < len(b) {
		if named {
			if i = plainString(b, i); i == no || i >= len(b) || b[i] != ':' {
				return no
			}
			i++
		}
		if i = plainValue(b, i, depth+1); i == no || i >= len(b) {
			return no
		}
		switch b[i] {
		case closing:
			return i + 1
		case ',':
			i++
		default:
			return no
		}
	}
	return no
}

func plainString(b []byte, i int) (end int) {
	if i >= len(b) || b[i] != '"' {
		return no
	}
	for i++; i < len(b); i++ {
		for i < len(b)-1 && plainInJSON[b[i]] {
			i++
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = plainEscape(b, i); i == no {
				return no
			}
		case !plainInJSON[c]:
			return no
		}
	}
	return no
}

// plainEscape says where the escape ends that begins at i: at its last byte.
func plainEscape(b []byte, i int) (last int) {
	if i++; i >= len(b) {
		return no
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i
	case 'u':
		if i+4 >= len(b) {
			return no
		}
		for _, c := range b[i+1 : i+5] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return no
			}
		}
		return i + 4
	}
	return no
}

func plainWord(b []byte, i int, word string) (end int) {
	if end = i + len(word); end > len(b) || string(b[i:end]) != word {
		return no
	}
	return end
}

// plainNumber knows whole numbers and decimals; others are rare.
func plainNumber(b []byte, i int) (end int) {
	if b[i] == '-' {
		i++
	}
	first := i
	if i = digits(b, i); i == first || b[first] == '0' && i > first+1 {
		return no
	}
	if i < len(b) && b[i] == '.' {
		fraction := i + 1
		if i = digits(b, fraction); i == fraction {
			return no
		}
	}
	return i
}

// digits says where they end.
func digits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}
