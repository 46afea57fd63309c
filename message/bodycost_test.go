package message

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestBodyLinear: four times the body costs about four times the time, whatever
// it is made of.
func TestBodyLinear(t *testing.T) {
	html, plain := "text/html", "text/plain"
	for _, c := range []struct{ name, kind, before, pattern string }{
		{"plain", plain, "", "word "},
		{"lines", plain, "", "\n"},
		{"short lines", plain, "", "a\n"},
		{"at signs", plain, "", "@"},
		{"addresses", plain, "", "a@b.fr "},
		{"local parts", plain, "", "a.b"},
		{"urls", plain, "", "http://"},
		{"brackets in a URL", plain, "http://x.fr/", ")"},
		{"www", plain, "", "www.a"},
		{"marks", plain, "a", "\u0336"},
		{"latin-1", plain, "", "\xe9"},
		{"quoted", plain + "\nContent-Transfer-Encoding: quoted-printable", "", "=4"},
		{"soft breaks", plain + "\nContent-Transfer-Encoding: quoted-printable", "", "= \t"},
		{"base64", plain + "\nContent-Transfer-Encoding: base64", "", "Y="},
		{"utf-7", plain + "; charset=utf-7", "", "+A-"},
		{"delimiters", "multipart/mixed; boundary=b", "", "--b\n"},
		{"half delimiters", "multipart/mixed; boundary=b", "--b\n\n", "--bb"},
		{"dashes", "multipart/mixed; boundary=-", "", "-"},
		{"no delimiter", "multipart/mixed; boundary=b", "", "--c\nContent-"},
		{"header lines", "multipart/mixed; boundary=b", "--b\n", "A: b\n"},
		{"folds", "multipart/mixed; boundary=b", "--b\nContent-Type: a/b", "\n a"},
		{"multiparts", "multipart/mixed; boundary=b", "", "--b\nContent-Type: multipart/alternative; boundary=b\n\n"},
		{"messages", "message/rfc822", "", "Content-Type: message/rfc822\n\n"},
		{"calendar", "text/calendar", "SUMMARY:a", "\n a"},
		{"left angles", html, "", "<"},
		{"divs", html, "", "<div>"},
		{"closed divs", html, "", "<div>a</div>"},
		{"deep and stray ends", html, strings.Repeat("<i><div>", 200), "</p>"},
		{"deep and unknown ends", html, strings.Repeat("<span>", 500), "</x>"},
		{"formatting", html, "", "<b><p>"},
		{"different formatting", html, tags("<b style='font-size:%dpx;opacity:.%d'>", 48), "<p></div>"},
		{"formatting ends", html, tags("<b style='font-size:%dpx;opacity:.%d'>", 48), "<p></b><b>"},
		{"adoption", html, strings.Repeat("<div>", 400), "<b><div></b>"},
		{"anchors", html, "", "<a href=http://x.fr>a"},
		{"tables", html, "", "<table><b>"},
		{"cells", html, "<table>", "<td><b>a<tr>"},
		{"parked", html, "", "<table><b><i><tr></table>"},
		{"items", html, strings.Repeat("<div>", 400), "<li><div>"},
		{"styles", html, "", "<p style='a:b;color:#12345%d'>"},
		{"escapes", html, "<p style='", "\\"},
		{"comments in styles", html, "<p style='", "/*"},
		{"open comments in styles", html, "<p style='", "/**/"},
		{"rules", html, "<style>", ".a,"},
		{"rule blocks", html, "<style>", ".a{color:red}"},
		{"media", html, "<style>", "@media{"},
		{"imports", html, "<style>", "@a;"},
		{"open blocks", html, "<style>", "a{"},
		{"style elements", html, "", "<style>a{}</style>"},
		{"classes", html, "<style>" + strings.Repeat(".a{color:red}", 900) + "</style><p class='", "a "},
		{"class users", html, "<style>" + strings.Repeat(".a{color:red}", 900) + "</style>", "<p class=a>"},
		{"entities", html, "", "&a"},
		{"attributes", html, "<p ", "a=b "},
		{"pre", html, "<pre>", "a\n"},
		{"bases", html, "<base href=http://x.fr/" + strings.Repeat("a/", 2000) + ">", "<a href=a>b</a>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			small, large := bodyTime(t, c.kind, c.before+repeat(c.pattern, 10_000)), bodyTime(t, c.kind, c.before+repeat(c.pattern, 40_000))
			t.Logf("10 kB %v, 40 kB %v", small, large)
			if large > 12*small+10*time.Millisecond {
				t.Errorf("10 kB took %v, four times that %v", small, large)
			}
		})
	}
}

// bodyTime is the shortest of some runs in processor time.
func bodyTime(t *testing.T, kind, body string) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fields, _, _ := splitHeader([]byte("Content-Type: " + kind + "\n\n"))
	shortest := time.Hour
	for range 2 {
		begin := processorTime(t)
		ReadBody(fields, []byte(body))
		shortest = min(shortest, processorTime(t)-begin)
	}
	return shortest
}

// plainMail is a letter with an address and a link in each thousand octets.
func plainMail(size int) []byte {
	const prose = "Nous avons bien reçu votre demande de rendez-vous et vous proposons mardi prochain à dix heures. Merci\r\n" +
		"de nous dire si cette date vous convient, ou d'en proposer une autre à votre meilleure convenance.\r\n\r\n"
	page := "Bonjour Madame Durand,\r\n\r\n" + strings.Repeat(prose, 4) + "https://ateliers.example/mai?ref=42 ou contact@ateliers.example\r\n"
	return []byte(strings.ToValidUTF8(strings.Repeat(page, size/len(page)+1)[:size], ""))
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
	processorTimed(b, func() {
		if got := ReadBody(fields, body); got.Text == "" || got.Raw != "" {
			b.Fatal(got.Raw)
		}
	})
}

func BenchmarkBodyPlain4k(b *testing.B)   { benchmarkBody(b, "text/plain", plainMail(4<<10)) }
func BenchmarkBodyPlain512k(b *testing.B) { benchmarkBody(b, "text/plain", plainMail(512<<10)) }
func BenchmarkBodyHTML64k(b *testing.B)   { benchmarkBody(b, "text/html", newsletter(64<<10)) }
func BenchmarkBodyHTML512k(b *testing.B)  { benchmarkBody(b, "text/html", newsletter(512<<10)) }

func BenchmarkFold4k(b *testing.B) {
	text := string(plainMail(4 << 10))
	b.ReportAllocs()
	processorTimed(b, func() { Fold(text) })
}
