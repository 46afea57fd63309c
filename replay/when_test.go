package replay

import (
	"testing"
	"time"

	"o2n-milter/message"
)

func TestParseDate(t *testing.T) {
	for text, want := range map[string]string{
		"Sat, 1 Nov 2025 10:00:00 +0000":        "2025-11-01T10:00:00Z",
		"Sat, 01 Nov 2025 10:00:00 +0100 (CET)": "2025-11-01T09:00:00Z",
		"1 Nov 2025 10:00 -0500":                "2025-11-01T15:00:00Z",
		"Sat, 1 Nov 2025\n\t10:00:00 GMT":       "2025-11-01T10:00:00Z",
		"Sat, 1 Nov 2025 10:00:00 EST":          "2025-11-01T15:00:00Z",
		"Sat, 1 Nov 2025 10:00:00 pdt":          "2025-11-01T17:00:00Z",
		"Sat, 1 Nov 2025 10:00:00 CEST":         "2025-11-01T10:00:00Z",
		"Sat, 1 Nov 2025 10:00:00":              "2025-11-01T10:00:00Z",
		"Sat Nov  1 10:00:00 2025":              "2025-11-01T10:00:00Z",
		"Sat Nov  1 10:00:00 +0200 2025":        "2025-11-01T08:00:00Z",
		"Sat, 1 Nov 25 10:00:00 +0000":          "2025-11-01T10:00:00Z",
		"":                                      "",
		"()":                                    "",
		"yesterday":                             "",
		"Thu, 1 Jan 1970 00:00:00 +0000":        "", // the store counts from the second after
		"Wed, 1 Jan 2200 00:00:01 +0000":        "",
	} {
		got := ""
		if at, ok := parseDate(text); ok {
			got = at.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestSentAt(t *testing.T) {
	field := func(name, value string) message.Field { return message.Field{Name: name, Value: value} }
	date := field("Date", "Sat, 1 Nov 2025 10:00:00 +0000")
	newest := field("Received", "from a; b by c; Sat, 1 Nov 2025 12:00:00 +0000")
	older := field("received", "from a by b;\n\tSat, 1 Nov 2025 11:00:00 +0000")
	broken := field("Received", "from a by b")
	for name, c := range map[string]struct {
		fields []message.Field
		want   int // hour; 0: none
	}{
		"newest Received": {[]message.Field{date, newest, older}, 12},
		"in any order":    {[]message.Field{older, newest}, 12},
		"a broken one":    {[]message.Field{broken, older, date}, 11},
		"Date":            {[]message.Field{broken, date}, 10},
		"first Date":      {[]message.Field{date, field("Date", "Sat, 1 Nov 2025 20:00:00 +0000")}, 10},
		"none":            {[]message.Field{broken, field("Date", "?")}, 0},
	} {
		got, ok := sentAt(c.fields)
		if ok != (c.want > 0) || got.Hour() != c.want {
			t.Errorf("%s: got %v %v, want hour %d", name, got, ok, c.want)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	f.Add("Sat, 1 Nov 2025 10:00:00 +0000 (UTC)")
	f.Fuzz(func(t *testing.T, s string) {
		if at, ok := parseDate(s); ok == at.IsZero() {
			t.Errorf("%q: %v %v", s, at, ok)
		}
	})
}
