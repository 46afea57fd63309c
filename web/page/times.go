package page

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var months = map[Lang][]string{
	English: {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
	French:  {"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."},
}

// Number writes n with its thousands apart.
func Number(l Lang, n int64) string {
	digits := strconv.FormatInt(n, 10)
	apart := ","
	if l == French {
		apart = "\u202f" // narrow no-break space
	}
	var out strings.Builder
	for i, d := range digits {
		if left := len(digits) - i; i > 0 && left%3 == 0 && digits[i-1] != '-' {
			out.WriteString(apart)
		}
		out.WriteRune(d)
	}
	return out.String()
}

// Span writes a length of time in its two largest units, rounded down: "2 hours
// 5 minutes".
func Span(l Lang, d time.Duration) string {
	units := []struct {
		key    string
		length time.Duration
	}{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}}
	for i, u := range units {
		if d < u.length && u.key != "seconds" {
			continue
		}
		text := own.Count(l, u.key, int64(d/u.length))
		if i+1 < len(units) {
			if rest := int64(d % u.length / units[i+1].length); rest > 0 {
				text += " " + own.Count(l, units[i+1].key, rest)
			}
		}
		return text
	}
	return ""
}

// shortDay is the date without the year.
func shortDay(l Lang, t time.Time) string {
	return fmt.Sprintf("%d %s", t.Day(), months[l][t.Month()-1])
}

func date(l Lang, t time.Time) string {
	return fmt.Sprintf("%s %d, %s", shortDay(l, t), t.Year(), t.Format("15:04 MST"))
}
