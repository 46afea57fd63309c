package replay

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// messagesOf are a mailbox's messages as they were before they were put there.
func messagesOf(t *testing.T, box string) []string {
	t.Helper()
	got := []string{}
	err := scanMbox(strings.NewReader(box), func(s span) error {
		body, err := io.ReadAll(newUnquoted(strings.NewReader(box[s.offset : s.offset+s.length])))
		got = append(got, string(body))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

const sep = "From alice@client-a.example Sat Nov  1 10:00:00 2025\n"

func TestMbox(t *testing.T) {
	for name, c := range map[string]struct {
		box  string
		want []string
	}{
		"two":                {sep + "A: 1\n\nx\n\n" + sep + "B: 2\n\ny\n\n", []string{"A: 1\n\nx\n", "B: 2\n\ny\n"}},
		"no empty line":      {sep + "A: 1\n\nx\n" + sep + "B: 2\n\ny", []string{"A: 1\n\nx\n", "B: 2\n\ny"}},
		"own empty lines":    {sep + "A: 1\n\nx\n\n\n" + sep + "B: 2\n", []string{"A: 1\n\nx\n\n", "B: 2\n"}},
		"CRLF":               {"From a Sat Nov  1 10:00:00 2025\r\nA: 1\r\n\r\nx\r\n\r\nFrom b Sat Nov  1 10:00:00 2025\r\nB: 2\r\n", []string{"A: 1\r\n\r\nx\r\n", "B: 2\r\n"}},
		"mboxrd quotes":      {sep + "A: 1\n\n>From x\n>>From y\n> From z\n>Fromage\n", []string{"A: 1\n\nFrom x\n>From y\n> From z\n>Fromage\n"}},
		"unquoted From":      {sep + "A: 1\n\nx\n\nFrom now on\nwe meet at: 10\n", []string{"A: 1\n\nx\n\nFrom now on\nwe meet at: 10\n"}},
		"From in mid text":   {sep + "A: 1\n\nx\nFrom you\nto: me\n", []string{"A: 1\n\nx\nFrom you\nto: me\n"}},
		"separator undated":  {"From a\nA: 1\n\nx\n\nFrom b\nB: 2\n", []string{"A: 1\n\nx\n", "B: 2\n"}},
		"zone and no sender": {sep + "A: 1\n\nx\nFrom - Sat Nov 01 10:00 +0100 2025\nB: 2\n", []string{"A: 1\n\nx\n", "B: 2\n"}},
		"empty message":      {sep + sep + "B: 2\n", []string{"", "B: 2\n"}},
		"separator is last":  {sep + "A: 1\n\nx\n\n" + strings.TrimSuffix(sep, "\n"), []string{"A: 1\n\nx\n", ""}},
		"nothing":            {"", []string{}},
		"long line":          {sep + "A: 1\n\n" + strings.Repeat("x", 200_000) + "From \n\n" + sep + "B: 2\n", []string{"A: 1\n\n" + strings.Repeat("x", 200_000) + "From \n", "B: 2\n"}},
		// The text goes on where the buffer ends: that is no beginning of a line.
		"From behind the buffer": {sep + "A: 1\n\n" + strings.Repeat("x", 64<<10) + sep + "B: 2\n", []string{"A: 1\n\n" + strings.Repeat("x", 64<<10) + sep + "B: 2\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, messagesOf(t, c.box)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMboxHeader: only up to the first empty line, and not more than is looked at.
func TestMboxHeader(t *testing.T) {
	long := "X: " + strings.Repeat("y", mostHeader) + "\n"
	var got []string
	err := scanMbox(strings.NewReader(sep+"A: 1\nB: 2\n\nC: 3\n"+sep+"A: 1\n"+long+"B: 2\n"), func(s span) error {
		got = append(got, string(s.header))
		return nil
	})
	if err != nil || len(got) != 2 || got[0] != "A: 1\nB: 2\n" || len(got[1]) > mostHeader {
		t.Errorf("got %d headers, %.100q, %v", len(got), got, err)
	}
}

// FuzzMbox: whatever it is, messages lie within the file, one after the other, and
// what was put in quoted comes out as it was.
func FuzzMbox(f *testing.F) {
	f.Add(sep+"A: 1\n\nx\n\n"+sep+"B: 2\n", "hello\nFrom me\n>From you\n")
	f.Add("From \n\n\nFrom \n:\n", "")
	f.Fuzz(func(t *testing.T, box, text string) {
		last := int64(0)
		err := scanMbox(strings.NewReader(box), func(s span) error {
			if s.offset < last || s.length < 0 || s.offset+s.length > int64(len(box)) {
				t.Fatalf("%q: message at %d of %d octets after %d", box, s.offset, s.length, last)
			}
			last = s.offset + s.length
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsRune(text, '\r') {
			return
		}
		whole := "A: 1\n\n" + strings.TrimSuffix(text, "\n") + "\n"
		got := messagesOf(t, sep+quote(whole)+"\n"+sep+"B: 2\n")
		if len(got) != 2 || got[0] != whole {
			t.Errorf("%q came out as %q", whole, got)
		}
	})
}

// quote is what mboxrd does to a message.
func quote(s string) string {
	lines := strings.SplitAfter(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(strings.TrimLeft(l, ">"), "From ") {
			lines[i] = ">" + l
		}
	}
	return strings.Join(lines, "")
}
