package rules

import (
	"strconv"
	"strings"
	"time"
)

// FormatDuration writes d as TOML has it: "1m30s", "24h", and in days from a week
// up: "30d". What is below a second is dropped.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
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
