package rules

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

var errDuration = errors.New("is no duration")

// ParseDuration reads a Go duration of whole seconds that may begin with days:
// "90s", "1h30m", "7d", "1d12h". Its errors complete a sentence that begins
// with the text.
func ParseDuration(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "", s
	}
	var d time.Duration
	if found {
		// 1<<16 days are 179 years and far from overflow.
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errDuration
		}
		d = time.Duration(n) * day
	}
	if rest != "" || !found {
		clock, err := time.ParseDuration(rest)
		if err != nil || strings.ContainsAny(rest, "+-") {
			return 0, errDuration
		}
		// 106,751 days are all that 64 bits hold; keep the sum below.
		if clock > 1<<15*day {
			return 0, errDuration
		}
		d += clock
	}
	if d%time.Second != 0 {
		return 0, errors.New("is not in whole seconds")
	}
	return d, nil
}

// FormatDuration writes d as TOML has it: "1m30s", "24h", and in days from a week
// up: "30d". What is below a second is dropped.
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	part := func(length time.Duration, name string) {
		if n := d / length; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + name)
			d %= length
		}
	}
	if d >= 7*day {
		part(day, "d")
	}
	part(time.Hour, "h")
	part(time.Minute, "m")
	part(time.Second, "s")
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}
