package rules

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"o2n-milter/message"
)

// vocabulary has words as frequent as those of a language are: the nth is met for 1/n
// of the first. One in six has an accent, as in French.
var vocabulary = func() []string {
	words := strings.Fields("de la le vous et les nous à pour votre en the to you est un of and que une des your we dans du ce is que sur on avec for par plus " +
		"notre in this au pas ou that it vos are nos with qui be ne ou have as aux sont will your été from not if sera our may at être can please")
	onsets, ends := strings.Fields("b c d f g l m n p r s t v ch pr tr br cl"), strings.Fields("a e i o u é ai ou on er ent ion es et è")
	random := rand.New(rand.NewPCG(7, 7))
	for len(words) < 6000 {
		var b strings.Builder
		for range 2 + random.IntN(3) {
			b.WriteString(onsets[random.IntN(len(onsets))] + ends[random.IntN(len(ends))])
		}
		words = append(words, b.String())
	}
	return words
}()

// prose is a text of so many bytes in lines of mail, with numbers, commas and every
// kilobyte a URL or a mail address.
func prose(random *rand.Rand, size int, lineEnd string) string {
	zipf := rand.NewZipf(random, 1.1, 4, uint64(len(vocabulary)-1))
	var b strings.Builder
	line, sentence, link := 0, 0, 1<<10
	for b.Len() < size {
		word := vocabulary[zipf.Uint64()]
		switch {
		case b.Len() > link:
			link += 1 << 10
			word = fmt.Sprintf("https://ateliers.example/%d?ref=%d", random.IntN(10), random.IntN(1000))
		case sentence == 0 && word[0] < utf8.RuneSelf:
			word = strings.ToUpper(word[:1]) + word[1:]
		case random.IntN(40) == 0:
			word = fmt.Sprint(random.IntN(2000))
		}
		b.WriteString(word)
		line += len(word) + 1
		end := " "
		switch sentence++; {
		case sentence > 8 && random.IntN(8) == 0:
			end, sentence = ". ", 0
		case random.IntN(12) == 0:
			end = ", "
		}
		if line > 70 {
			end, line = strings.TrimRight(end, " ")+lineEnd, 0
			if random.IntN(8) == 0 {
				end += lineEnd
			}
		}
		b.WriteString(end)
	}
	return b.String()
}

// page is the same as a mailing program writes it.
func page(random *rand.Rand, size int) string {
	var b strings.Builder
	b.WriteString(`<html><head><style>.pre{display:none!important} a{color:#1155cc}</style></head><body bgcolor="#f4f4f4"><table width="600" align="center" bgcolor="#ffffff">`)
	for b.Len() < size {
		fmt.Fprintf(&b, `<tr><td class="c" style="padding:10px 20px;font-family:Arial,sans-serif;font-size:14px;color:#333333" align="left">`+
			`<a href="https://links.example/c/%d?u=42&amp;m=7" style="color:#1155cc;text-decoration:none"><img src="https://img.example/%d.png" width="560" height="200" alt="Atelier"></a><br>`+
			"%s<b>%s</b>&nbsp;: %s l&#8217;entr&eacute;e est libre.</td></tr>\r\n", random.IntN(1e6), random.IntN(1e6), prose(random, 80, "\n"), prose(random, 8, "\n"), prose(random, 40, "\n"))
	}
	b.WriteString("</table></body></html>")
	return b.String()
}

// BenchmarkLetter is all that the text of a mail costs: reading it, the sketch, what
// it lacks. Each letter is another one.
func BenchmarkLetter(b *testing.B) {
	for _, c := range []struct {
		name, kind string
		body       func(*rand.Rand) string
	}{
		{"plain 4k", "text/plain", func(r *rand.Rand) string { return prose(r, 4<<10, "\r\n") }},
		{"plain 64k", "text/plain", func(r *rand.Rand) string { return prose(r, 64<<10, "\r\n") }},
		{"html 64k", "text/html", func(r *rand.Rand) string { return page(r, 64<<10) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			mails := make([]*Mail, 64)
			for i := range mails {
				mails[i] = letterTo(i, c.body(random), "Content-Type: "+c.kind+"; charset=utf-8", "Content-Transfer-Encoding: 8bit")
			}
			words := factsOf(mails[0]).words
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begin := threadTime(b)
			for i := 0; b.Loop(); i++ {
				m := mails[i%len(mails)]
				r := ruling{facts: facts{mail: m, msg: message.Read(m.Header), words: words}}
				if len(r.sketches()) != 1 || lacksUnsubscribe(&r.facts) == "" || lacksReason(&r.facts) == "" {
					b.Fatal("not one sketch, or something found")
				}
				r.free()
			}
			b.ReportMetric(float64(threadTime(b)-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}
