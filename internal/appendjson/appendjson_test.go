package appendjson

import (
	"encoding/json"
	"testing"
	"time"
)

type object struct {
	Text string    `json:"text"`
	List []string  `json:"list"`
	None []string  `json:"none"`
	N    int64     `json:"n"`
	At   time.Time `json:"at"`
}

// check holds what is written against encoding/json.
func check(t *testing.T, o object) {
	t.Helper()
	want, err := json.Marshal(o)
	if err != nil {
		return // a year of five digits
	}
	got := String(Key([]byte("{"), "text"), o.Text)
	got = Strings(Key(got, "list"), o.List)
	got = Strings(Key(got, "none"), o.None)
	got = Int(Key(got, "n"), o.N)
	got = append(Time(Key(got, "at"), o.At), '}')
	if string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

var texts = []string{
	"", "plain", `"quoted" \ back`, "\x00\x01\b\f\n\r\t\x1f\x7f", "<a href='x'>&", "h\u00e9t\u00e9 \u65e5\u672c \U0001f600", "\u2028\u2029", "\xff\xfe\xc3(", "\ufffd", "a\xed\xa0\x80b",
}

func TestAsEncodingJSON(t *testing.T) {
	for _, s := range texts {
		for _, at := range []time.Time{{}, time.Unix(0, 0).UTC(), time.Date(2026, 11, 23, 10, 0, 0, 120_000_000, time.FixedZone("", 3600))} {
			check(t, object{Text: s, List: append([]string{s}, texts...), N: -1 << 63, At: at})
		}
	}
	check(t, object{List: []string{}})
}

func FuzzString(f *testing.F) {
	for _, s := range texts {
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, s string, n int64) {
		check(t, object{Text: s, List: []string{s}, N: n, At: time.Unix(0, n).UTC()})
	})
}
