package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSplit(t *testing.T) {
	tests := []struct {
		name, in string
		fields   []Field
		body     string
	}{
		{"plain", "A: 1\r\nB: 2\r\n\r\nbody\r\n", []Field{{"A", "1"}, {"B", "2"}}, "body\r\n"},
		{"bare LF", "A: 1\nB: 2\n\nbody\n", []Field{{"A", "1"}, {"B", "2"}}, "body\n"},
		{"no body", "A: 1\r\n", []Field{{"A", "1"}}, ""},
		{"no line end", "A: 1", []Field{{"A", "1"}}, ""},
		{"empty", "", nil, ""},
		{"empty header", "\r\nbody", nil, "body"},
		{"one space eaten, tab kept", "A:  1\nB:\t2\nC:3\nD:\nE: \n", []Field{{"A", " 1"}, {"B", "\t2"}, {"C", "3"}, {"D", ""}, {"E", ""}}, ""},
		{"folds", "A: 1\r\n 2\r\n\t3\r\nB: 4\r\n", []Field{{"A", "1\n 2\n\t3"}, {"B", "4"}}, ""},
		{"fold of blanks", "A: 1\r\n \r\nB: 2\r\n\r\n", []Field{{"A", "1\n "}, {"B", "2"}}, ""},
		{"blanks before the colon", "A \t : 1\n", []Field{{"A", "1"}}, ""},
		{"mailbox line", "From a@b Sun Nov 22\nA: 1\n", []Field{{"Mailbox-Line", "From a@b Sun Nov 22"}, {"A", "1"}}, ""},
		{"mailbox line with colon", "From : a@b\nFrom: c@d\n", []Field{{"Mailbox-Line", "From : a@b"}, {"From", "c@d"}}, ""},
		{"several mailbox lines", ">From a\n>>From b\nA: 1\n", []Field{{"Mailbox-Line", ">From a"}, {"Mailbox-Line", ">>From b"}, {"A", "1"}}, ""},
		{"mailbox line later is no header", "A: 1\nFrom a\nB: 2\n", []Field{{"A", "1"}}, "From a\nB: 2\n"},
		{"mailbox line, then a fold", "From a\n b\nA: 1\n", []Field{{"Mailbox-Line", "From a"}}, " b\nA: 1\n"},
		{"From with blanks is one", "A: 1\nFrom  \t : a@b\n", []Field{{"A", "1"}, {"From", "a@b"}}, ""},
		{"NUL cuts its line", "A: 1\x002\n 3\nB: 4\n", []Field{{"A", "1\n 3"}, {"B", "4"}}, ""},
		{"bare CR", "A: 1\rB: 2\n", []Field{{"A", "1 B: 2"}}, ""},
		{"CR CR LF", "A: 1\r\r\nB: 2\r\r\n\r\r\nbody", []Field{{"A", "1"}, {"B", "2"}}, "body"},
		{"leading blank", " A: 1\nB: 2\n", nil, " A: 1\nB: 2\n"},
		{"no colon", "A: 1\nbad line\nB: 2\n", []Field{{"A", "1"}}, "bad line\nB: 2\n"},
		{"blank within the name", "A: 1\nB C: 2\n", []Field{{"A", "1"}}, "B C: 2\n"},
		{"empty name", "A: 1\n: 2\n", []Field{{"A", "1"}}, ": 2\n"},
		{"NUL in the name", "A: 1\nB\x00: 2\n", []Field{{"A", "1"}}, "B\x00: 2\n"},
		{"control in the name", "A: 1\nB\v: 2\n", []Field{{"A", "1"}}, "B\v: 2\n"},
		{"DEL in the name", "A: 1\nB\x7f: 2\n", []Field{{"A", "1"}}, "B\x7f: 2\n"},
		{"8-bit in the name", "A: 1\nB\xe9: 2\n", []Field{{"A", "1"}}, "B\xe9: 2\n"},
	}
	for _, tt := range tests {
		raw, err := Split(iotest.OneByteReader(strings.NewReader(tt.in)), 1000)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.fields, raw.Fields, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s, -want +got:\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.body, string(raw.Body)); diff != "" {
			t.Errorf("%s: body, -want +got:\n%s", tt.name, diff)
		}
		if raw.Size != int64(len(tt.in)) {
			t.Errorf("%s: size %d, want %d", tt.name, raw.Size, len(tt.in))
		}
	}
}

func TestSplitCutsValues(t *testing.T) {
	for _, n := range []int{maxValue - 1, maxValue, maxValue + 1} {
		long := strings.Repeat("v", n)
		folded := strings.Repeat("w", n-2) + "\n z"
		raw, err := Split(strings.NewReader("A: "+long+"\nB: "+folded+"\n\n"), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		want := min(n, maxValue)
		if got := raw.Fields[0].Value; got != long[:want] {
			t.Errorf("%d octets: kept %d", n, len(got))
		}
		if got, want := raw.Fields[1].Value, folded[:min(n+1, maxValue)]; got != want {
			t.Errorf("%d octets folded: kept %d, want %d", n, len(got), len(want))
		}
	}
}

func TestSplitLimit(t *testing.T) {
	const header, body = "A: 1\r\n\r\n", "0123456789"
	const size = int64(len(header + body))
	for _, limit := range []int64{size - 1, size, size + 1} {
		raw, err := Split(strings.NewReader(header+body), limit)
		if err != nil {
			t.Fatal(err)
		}
		if want := body[:min(limit, size)-int64(len(header))]; string(raw.Body) != want || raw.Size != size {
			t.Errorf("limit %d: body %q of %q, size %d", limit, raw.Body, want, raw.Size)
		}
	}
	for limit, wantErr := range map[int64]bool{int64(len(header)) - 1: true, int64(len(header)): false, int64(len(header)) + 1: false} {
		if _, err := Split(strings.NewReader(header+body), limit); (err != nil) != wantErr {
			t.Errorf("header of %d octets, limit %d: %v", len(header), limit, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Split(iotest.ErrReader(broken), 10); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"A: 1\r\n 2\r\n\r\nbody", "From : x\nFrom: y\n", " A: 1\n", "A\x00: 1\n", "A: 1\r\r\n\r\n", ">From x\n:", "A: \x00\r\n\t\x00", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		raw, err := Split(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if raw.Size != int64(len(data)) || !bytes.HasSuffix(data, raw.Body) {
			t.Errorf("size %d of %d, body %q", raw.Size, len(data), raw.Body)
		}
		if facts := Read(raw.Fields); len(facts.Faults) > 0 {
			t.Errorf("%q has faults %q", data, facts.Faults)
		}
		var again bytes.Buffer
		for _, field := range raw.Fields {
			if strings.ContainsAny(field.Value, "\r\x00") || len(field.Value) > maxValue {
				t.Errorf("value %q", field.Value)
			}
			if field.Name == "Mailbox-Line" {
				again.WriteString("Mailbox-Line: " + field.Value + "\n")
				continue
			}
			again.WriteString(field.Name + ": " + field.Value + "\n")
		}
		// What was split reads the same when it is put together again.
		back, err := Split(&again, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(raw.Fields, back.Fields, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-first +again:\n%s", diff)
		}
	})
}
