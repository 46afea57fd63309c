package rules

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"1s", time.Second, true}, {"90s", 90 * time.Second, true}, {"1h30m", 90 * time.Minute, true},
		{"7d", 7 * day, true}, {"1d12h", 36 * time.Hour, true}, {"0s", 0, true}, {"65535d", 65535 * day, true},
		{"65536d", 0, false}, {"65535d9223372036s", 0, false}, {"d", 0, false}, {"", 0, false}, {"1.5d", 0, false}, {"-1h", 0, false},
		{"-1d", 0, false}, {"1d-1h", 0, false}, {"12h1d", 0, false}, {"1dd", 0, false}, {"1", 0, false}, {"1w", 0, false},
		{"1500ms", 0, false}, {"2000ms", 2 * time.Second, true}, {"1 h", 0, false},
	} {
		got, err := ParseDuration(c.text)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%q gives %v, %v", c.text, got, err)
		}
	}
	// Days and hours that each fit do not overflow together.
	if _, err := ParseDuration("65535d1000000h"); err != errDuration {
		t.Errorf("too long gives %v", err)
	}
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 90 * time.Second: "1m30s", 24 * time.Hour: "24h", 72 * time.Hour: "72h",
		7*day - time.Second: "167h59m59s", 7 * day: "7d", 30*day + time.Hour: "30d1h",
	} {
		got := FormatDuration(d)
		back, err := ParseDuration(got)
		if got != want || back != d || err != nil {
			t.Errorf("%v is written %q and read %v, %v", d, got, back, err)
		}
	}
}
