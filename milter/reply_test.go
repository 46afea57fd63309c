package milter

import (
	"regexp"
	"strings"
	"testing"

	"o2n-milter/rules"
)

func TestReplyLine(t *testing.T) {
	x := strings.Repeat("x", 500)
	const end = " [identity.header_from 7K3QF2M9]"
	for _, tt := range []struct {
		name           string
		code           int
		enhanced, text string
		want           string
	}{
		{"as it is", 550, "5.7.1", "no" + end, "550 5.7.1 no" + end},
		{"percent", 451, "4.7.1", "100%s" + end, "451 4.7.1 100%%s" + end},
		{"classes differ", 550, "4.7.1", "no", "451 4.3.0 no"},
		{"no class of refusals", 250, "2.0.0", "no", "451 4.3.0 no"},
		{"lowest", 400, "4.0.0", "no", "400 4.0.0 no"},
		{"below", 399, "4.0.0", "no", "451 4.3.0 no"},
		{"highest", 599, "5.999.999", "no", "599 5.999.999 no"},
		{"above", 600, "5.0.0", "no", "451 4.3.0 no"},
		{"421 would hang up", 421, "4.7.0", "no", "451 4.3.0 no"},
		{"521 would hang up", 521, "5.7.0", "no", "451 4.3.0 no"},
		{"no enhanced code", 550, "", "no", "451 4.3.0 no"},
		{"enhanced code of four", 550, "5.7.1.1", "no", "451 4.3.0 no"},
		{"no text", 550, "5.7.1", " ", "550 5.7.1 not accepted"},
		{"lines", 550, "5.7.1", "a\r\n250 b\x00c", "550 5.7.1 a  250 b c"},
		{"accents", 550, "5.7.1", "refusé\x7f\xff", "550 5.7.1 refus???"},
		{"470 of text", 550, "5.7.1", x[:470], "550 5.7.1 " + x[:470]},
		{"471 of text", 550, "5.7.1", x[:471], "550 5.7.1 " + x[:470]},
		{"end is kept", 550, "5.7.1", x + end, "550 5.7.1 " + x[:470-len(end)] + end},
		{"250 percents", 550, "5.7.1", strings.Repeat("%", 250), "550 5.7.1 " + strings.Repeat("%", 500)},
		{"251 percents", 550, "5.7.1", strings.Repeat("%", 251), "550 5.7.1 " + strings.Repeat("%", 500)},
	} {
		v := rules.Verdict{Code: tt.code, Enhanced: tt.enhanced, Text: tt.text}
		if got := replyLine(&v); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

var wireReply = regexp.MustCompile(`^[45]\d\d [45]\.\d{1,3}\.\d{1,3} [ -~]{1,500}$`)

func FuzzReplyLine(f *testing.F) {
	f.Add(550, "5.7.1", "refused [identity.header_from 7K3QF2M9]")
	f.Add(421, "4.7.1", "100% caf\xc3\xa9\r\n250 ok")
	f.Add(-450, "4.7.1\r\n", strings.Repeat("%", 600)+" [a b]")
	f.Add(450, "4.777.111", strings.Repeat(" [", 300))
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		got := replyLine(&rules.Verdict{Code: code, Enhanced: enhanced, Text: text})
		single := strings.ReplaceAll(got, "%%", "")
		if !wireReply.MatchString(got) || strings.Contains(single, "%") || got[0] != got[4] || len(got) > maxWire {
			t.Errorf("%q", got)
		}
		if strings.HasPrefix(got, "421") || strings.HasPrefix(got, "521") {
			t.Errorf("%q closes the client's session", got)
		}
		if len(strings.ReplaceAll(got, "%%", "%")) > maxReply {
			t.Errorf("%d bytes at the client", len(got))
		}
	})
}
