package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// valueText is the value of a key, set or by default, as TOML has it; empty for one
// that has none. Keys of accounts have none here.
func (r *reader) valueText(key string) string {
	if v, set := r.values[strings.ToLower(key)]; set {
		return tomlText(v)
	}
	if k := r.keys[schemaName(strings.Split(key, "."))]; k != nil {
		return k.Default
	}
	return ""
}

// tomlText writes a decoded value on one line.
func tomlText(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.QuoteToGraphic(v)
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = tomlText(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		if len(v) == 0 {
			return "{}"
		}
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, keyString([]string{name})+" = "+tomlText(v[name]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return fmt.Sprint(v)
}
