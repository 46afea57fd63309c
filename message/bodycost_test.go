package message

import (
	"strings"
	"testing"
)

var frenchParagraph = "Bonjour Madame Durand,\r\n\r\nVous recevez ce message car vous êtes abonnée à notre lettre. Elle paraît chaque mois\r\n" +
	"et parle de nos ateliers : https://ateliers.example/mai?ref=42 ou par courriel à contact@ateliers.example.\r\n\r\n"

func plainMail(size int) []byte {
	return []byte(strings.Repeat(frenchParagraph, size/len(frenchParagraph)+1)[:size])
}

// newsletter is HTML as mailing programs make it: tables, styles on each cell.
func newsletter(size int) []byte {
	var b strings.Builder
	b.WriteString(`<html><head><title>x</title><style>.pre{display:none!important} @media (max-width:600px){.c{width:100%!important}} a{color:#1155cc}</style></head>` +
		`<body bgcolor="#f4f4f4"><div class="pre">preheader</div><table width="600" align="center" bgcolor="#ffffff">`)
	const row = `<tr><td class="c" style="padding:10px 20px;font-family:Arial,sans-serif;font-size:14px;line-height:20px;color:#333333" align="left">` +
		`<a href="https://links.example/c/1234567890abcdef?u=42&amp;m=7" style="color:#1155cc;text-decoration:none"><img src="https://img.example/a.png" width="560" height="200" alt="Atelier" border="0"></a><br>` +
		`Nos ateliers de <b>mai</b> commencent la semaine prochaine&nbsp;: venez nombreux, l&#8217;entr&eacute;e est libre.</td></tr>` + "\r\n"
	for b.Len() < size-200 {
		b.WriteString(row)
	}
	b.WriteString(`</table><p style="font-size:11px;color:#999">Pour ne plus recevoir nos messages, <a href="https://links.example/u/42">cliquez ici</a>.</p></body></html>`)
	return []byte(b.String())
}

func benchmarkBody(b *testing.B, kind string, body []byte) {
	fields := append([]Field{{"Content-Type", kind + "; charset=utf-8"}, {"Content-Transfer-Encoding", "8bit"}}, typical[:8]...)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if got := ReadBody(fields, body); got.Text == "" || got.Raw != "" {
			b.Fatal(got.Raw)
		}
	}
}

func BenchmarkBodyPlain4k(b *testing.B)   { benchmarkBody(b, "text/plain", plainMail(4<<10)) }
func BenchmarkBodyPlain512k(b *testing.B) { benchmarkBody(b, "text/plain", plainMail(512<<10)) }
func BenchmarkBodyHTML64k(b *testing.B)   { benchmarkBody(b, "text/html", newsletter(64<<10)) }
func BenchmarkBodyHTML512k(b *testing.B)  { benchmarkBody(b, "text/html", newsletter(512<<10)) }

func BenchmarkFold4k(b *testing.B) {
	text := string(plainMail(4 << 10))
	b.ReportAllocs()
	for b.Loop() {
		Fold(text)
	}
}
