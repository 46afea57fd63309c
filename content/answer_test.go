package content

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
)

func TestRead(t *testing.T) {
	var many strings.Builder
	for n := range 30 {
		fmt.Fprintf(&many, `"S%02d":{"score":%d},`, n, n-20)
	}
	for name, tt := range map[string]struct {
		answer string
		want   rules.Score
	}{
		// As rspamd 3.4 answers.
		"GTUBE": {`{"is_skipped":true,"score":15.0,"required_score":15.0,"action":"reject","symbols":{"GTUBE":{"name":"GTUBE",` +
			`"score":0.0,"metric_score":0.0}},"messages":{"smtp_message":"Gtube pattern"},"message-id":"1@x","time_real":0.000371}`,
			rules.Score{Score: 15, Required: 15, Action: "reject", Symbols: []string{"GTUBE"}}},
		"negative": {`{"score":-3.25,"required_score":15,"action":"no action","symbols":{}}`,
			rules.Score{Score: -3.25, Required: 15, Action: "no action"}},
		"no more than the score": {`{"score":0}`, rules.Score{}},
		"heaviest first": {`{"score":1,"symbols":{"B":{"score":1},"A":{"score":1},"HAM":{"score":-7},"C":{}}}`,
			rules.Score{Score: 1, Symbols: []string{"HAM", "A", "B", "C"}}},
		"ten of many": {`{"score":1,"symbols":{` + strings.TrimSuffix(many.String(), ",") + `}}`,
			rules.Score{Score: 1, Symbols: []string{"S00", "S01", "S02", "S03", "S04", "S05", "S06", "S07", "S08", "S09"}}},
		"foreign text": {`{"score":1,"action":"r\u0000\r\n\u00e9` + strings.Repeat("x", 40) + `","symbols":{"A\nB ` + strings.Repeat("x", 80) + `":{"score":1}}}`,
			rules.Score{Score: 1, Action: "r????" + strings.Repeat("x", 40)[:26], Symbols: []string{"A?B " + strings.Repeat("x", 60)}}},
	} {
		got, fault := read(http.StatusOK, []byte(tt.answer))
		if fault != nil {
			t.Errorf("%s: %v", name, fault)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What an engine says of its own fault is in the log, on one line and cut.
func TestFaultText(t *testing.T) {
	_, fault := read(500, []byte(`{"error":"no\nmemory `+strings.Repeat("x", 500)+`"}`))
	if want := "status: status 500 no?memory " + strings.Repeat("x", 110) + "; want 200"; fault.Error() != want {
		t.Errorf("%s", fault)
	}
}

// FuzzRead: whatever an engine says, it is a bounded, printable score or a fault.
func FuzzRead(f *testing.F) {
	f.Add(200, []byte(good))
	f.Add(200, []byte(`{"score":1e308,"symbols":{"\u001b":{"score":-0}}}`))
	f.Add(403, []byte(`{"error":"Unauthorized"}`))
	f.Fuzz(func(t *testing.T, status int, raw []byte) {
		s, fault := read(status, raw)
		if fault != nil {
			if fault.Kind != Status && fault.Kind != Answer || len(fault.Error()) > 400 {
				t.Errorf("%v", fault)
			}
			return
		}
		if status != http.StatusOK || !(math.Abs(s.Score) <= maxScore) || !(math.Abs(s.Required) <= maxScore) || len(s.Symbols) > mostSymbols {
			t.Errorf("%d: %+v", status, s)
		}
		for _, text := range append(s.Symbols, s.Action) {
			if len(text) > mostSymbol || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q", text)
			}
		}
	})
}

// FuzzRequest: no message makes a question that cannot be asked, or one field more.
func FuzzRequest(f *testing.F) {
	f.Add("alice@client-a.example", "bob@remote.example", "pc.example", []byte("Subject: x\r\n\r\ny"))
	f.Add("a\r\nPassword: x@y.example", "<>", "\xff", []byte{0})
	c, err := New(Options{URL: "http://127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sender, rcpt, name string, body []byte) {
		m := mail()
		m.Sender, m.Login, m.ClientName, m.QueueID, m.Body = sender, sender, name, name, body
		m.Recipients = []rules.Recipient{{Address: rcpt}}
		req, err := c.request(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		for field, values := range req.Header {
			for _, v := range values {
				if len(v) > 700 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("%s: %q", field, v)
				}
			}
		}
	})
}
