package config

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
