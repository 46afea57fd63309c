package dialogs

import (
	"encoding/binary"
	"fmt"
	"strings"

	"o2n-milter/rules"
)

// checkAnswers goes through what came back: one answer to whatever wants one, and of the
// kind that the verdict is.
func checkAnswers(m *model, got []byte, verdicts []rules.Action) string {
	var packets []string
	for len(got) >= 5 {
		n := int(binary.BigEndian.Uint32(got))
		if n == 0 || n > len(got)-4 {
			return fmt.Sprintf("answer in a broken frame: %q", got)
		}
		packets, got = append(packets, string(got[4:4+n])), got[4+n:]
	}
	for i, a := range m.answers {
		marks := 0
		if a.code == 'E' {
			action, l := verdicts[0], a.of
			verdicts = verdicts[1:]
			for _, f := range l.fields {
				if name, _, _ := strings.Cut(f, ":"); strings.EqualFold(strings.TrimRight(name, " \t"), "X-O2N-Milter") {
					marks++
				}
			}
			var wrong bool
			if packets, wrong = checkEnd(packets, action, marks, l, m.actions); !wrong {
				continue
			}
			return fmt.Sprintf("answer %d: %q to a message with verdict %v", i, packets[:min(4, len(packets))], action)
		}
		if len(packets) == 0 || !strings.HasPrefix(packets[0], map[byte]string{'c': "c", 'O': m.terms()}[a.code]) || a.code == 'c' && packets[0] != "c" {
			return fmt.Sprintf("answer %d: %q, want %c", i, packets[:min(2, len(packets))], a.code)
		}
		packets = packets[1:]
	}
	if len(packets)+len(got) > 0 {
		return fmt.Sprintf("answers that nobody waits for: %q %q", packets, got)
	}
	return ""
}

// terms is how the answer to the negotiation begins: one bit more than was offered, and the
// MTA defers all mail. The version is that of go-milter.
func (m *model) terms() string {
	b := binary.BigEndian.AppendUint32([]byte("O"), 2)
	return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, m.actions), m.protocol))
}

// checkEnd takes the answer to an end of message off the packets.
func checkEnd(packets []string, action rules.Action, marks int, l *letter, may uint32) (rest []string, wrong bool) {
	var want []string // how each packet begins
	if action < rules.Tempfail {
		for n := marks; n > 0 && !l.faulty && may&mayChange != 0; n-- {
			want = append(want, fmt.Sprintf("m\x00\x00\x00%cX-O2N-Milter\x00\x00", n))
		}
		switch {
		case action == rules.Tag && may&mayAdd != 0:
			want = append(want, "hX-O2N-Milter\x00identity.reply_to ")
		case action == rules.Quarantine:
			want = append(want, "q")
		}
		want = append(want, "c")
	} else {
		want = append(want, map[rules.Action]string{rules.Tempfail: "y451 4.", rules.Reject: "y550 5."}[action])
	}
	for i, begin := range want {
		if i >= len(packets) || !strings.HasPrefix(packets[i], begin) {
			return packets, true
		}
	}
	return packets[len(want):], false
}
