package ledger

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

// marshalled is the value by encoding/json alone.
func marshalled(d state.Decision) ([]byte, error) {
	d.At, d.Subjects, d.To = d.At.UTC(), slices.Clone(d.Subjects), slices.Clone(d.To)
	text.EscapeAll(decisionTexts(&d))
	return json.Marshal(d)
}

// sameJSON wants d to be encoded as encoding/json does, or refused by both.
func sameJSON(t *testing.T, d state.Decision) {
	t.Helper()
	want, fault := marshalled(d)
	got, err := appendDecision(nil, d)
	if (err == nil) != (fault == nil) || !bytes.Equal(got, want) {
		t.Errorf("%+v:\n got %s, %v\nwant %s, %v", d, got, err, want, fault)
	}
}

func TestEncodedAsJSON(t *testing.T) {
	odd := []string{"", "a", "%", "%41", `"\/`, "<&>", "\x00\x1f\x7f", "é\u2028\u2029", "\xff\xe9%", "~ ", "\ufffd"}
	for _, s := range odd {
		sameJSON(t, state.Decision{
			ID: s, At: start, Action: s, Rule: s, Account: s, Client: s, From: s, Rcpts: -3, Subjects: odd, To: []string{s},
		})
	}
	for _, at := range []time.Time{start, start.Add(1), start.Add(time.Millisecond), start.In(time.FixedZone("", 3600)), time.Unix(0, 0)} {
		sameJSON(t, state.Decision{ID: "D", At: at, Subjects: []string{}, To: []string{}})
	}
	for _, detail := range details {
		sameJSON(t, state.Decision{ID: "D", At: start, Detail: json.RawMessage(detail)})
	}
}

// details are JSON, and what nearly is.
var details = []string{
	`null`, `true`, `false`, `nul`, `truex`, `0`, `-0`, `-`, `01`, `1.5`, `1.`, `-1.25e+3`, `1e5`, `.5`, `12345678901234567890`,
	`""`, `"a`, `"\u00e9\n\/\"\\"`, `"\u00g0"`, `"\u00`, `"\x"`, `"\`, `"<a&b>"`, "\"\u2028\"", "\"“é€\"", "\"\xff\"", "\"\x01\"", "\"\x7f%\"",
	`[]`, `{}`, `[1,2]`, `[1,]`, `[,1]`, `[1`, `{"a":1}`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":{"b":[{"c":null}]}}`, `{"a":1]`,
	` 1`, `1 `, `[1, 2]`, "{\n}", `1 2`, `[][]`, ``, strings.Repeat("[", 70) + strings.Repeat("]", 70), strings.Repeat("[", 10) + strings.Repeat("]", 9),
}

// What is taken for plain is JSON, and encoding/json writes it so.
func FuzzPlainJSON(f *testing.F) {
	for _, detail := range details {
		f.Add([]byte(detail))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !plainJSON(b) {
			return
		}
		if got, err := json.Marshal(json.RawMessage(b)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q: %q, %v", b, got, err)
		}
	})
}

// What rules write is plain, at all depths that they use.
func TestPlainJSON(t *testing.T) {
	for s, want := range map[string]bool{
		`{"queue_id":"4Z","rcpts":[],"score":1.5,"windows":[{"used":1,"full":true,"free":null}],"id":"\u003ca@b\u003e"}`: true,
		strings.Repeat("[", plainDepth) + strings.Repeat("]", plainDepth):                                                true,
		strings.Repeat("[", plainDepth+2) + strings.Repeat("]", plainDepth+2):                                            false,
		"\"é%\"": true, `"<"`: false, `[1 ]`: false,
	} {
		if got := plainJSON([]byte(s)); got != want {
			t.Errorf("%.100s: plain %v; want %v", s, got, want)
		}
	}
}

// A detail that is said to be plain is taken as it is.
func TestPlainDetail(t *testing.T) {
	d := state.Decision{ID: "D", At: start, Detail: []byte(`{"reply":"\u003c","windows":[1]}`)}
	looked, err := EncodeDecision(d)
	if err != nil {
		t.Fatal(err)
	}
	d.Plain = true
	if got, err := EncodeDecision(d); err != nil || !bytes.Equal(got, looked) {
		t.Errorf("%s, %v; want %s", got, err, looked)
	}
	d.Detail = []byte(`{"no":"JSON`)
	if got, err := EncodeDecision(d); err != nil || !bytes.Contains(got, d.Detail) {
		t.Errorf("%s, %v: somebody has looked", got, err)
	}
	d.Detail = nil
	if got, err := EncodeDecision(d); err != nil || bytes.Contains(got, []byte("detail")) {
		t.Errorf("%s, %v", got, err)
	}
}

func BenchmarkEncodeDecision(b *testing.B) {
	d := state.Decision{
		ID: "JXNFDE4M", At: start, Action: "accept", Rule: "none", Account: "user885@d85.customer.example", Client: "10.1.0.139",
		From: "user885@d85.customer.example", Rcpts: 1, To: []string{"rcpt566976@r63.example.org"},
		Subjects: []string{"account:user885@d85.customer.example", "ip:10.1.0.139", "domain:r63.example.org"},
		Detail: []byte(`{"evidence":null,"charges":[` +
			strings.Repeat(`{"limit":"minute","subject":"account:user885@d85.customer.example","unit":"messages","used":1,"max":1000000},`, 15) + `{}]}`),
	}
	plain := func(d state.Decision) ([]byte, error) {
		d.Plain = true
		return EncodeDecision(d)
	}
	for name, encode := range map[string]func(state.Decision) ([]byte, error){"json": marshalled, "append": EncodeDecision, "plain": plain} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encode(d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Each value has the signs of what asks for it, whatever is in its texts.
func FuzzSigns(f *testing.F) {
	f.Add("D1", "account:a", "r@x.example", "limit.day", "reject")
	f.Add("<%\xff\"", "\u2028", "%", `\`, "&")
	f.Fuzz(func(t *testing.T, id, subject, to, rule, action string) {
		d := state.Decision{ID: id, At: start, Action: action, Rule: rule, Subjects: []string{"x", subject}, To: []string{to, "y"}}
		value, err := EncodeDecision(d)
		if err != nil {
			return
		}
		for _, sign := range Signs(state.Query{Subject: subject, Recipient: to, Rule: rule, Action: action}) {
			if !bytes.Contains(value, sign) {
				t.Errorf("%s: no %s", value, sign)
			}
		}
		if !bytes.HasPrefix(value, SignOf(id)) {
			t.Errorf("%s does not begin with %s", value, SignOf(id))
		}
	})
}
