package message

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// readMail reads a mail as text: header, empty line, body.
func readMail(t *testing.T, mail string) Body {
	t.Helper()
	fields, body, ended := splitHeader([]byte(mail))
	if !ended {
		t.Fatalf("no empty line in %q", mail)
	}
	return ReadBody(fields, body)
}

const (
	mixed       = "Content-Type: multipart/mixed; boundary=b\n\n"
	alternative = "Content-Type: multipart/alternative; boundary=b\n\n"
	asHTML      = "Content-Type: text/html\n\n"
)

// TestParts: mail whose structure can be followed.
func TestParts(t *testing.T) {
	for _, c := range []struct{ name, mail, want string }{
		{"no header", "\nHello  you\n\n \nsecond\r\nthird\n", "Hello you\nsecond\nthird"},
		{"unknown type", "Content-Type: nonsense\n\nseen", "seen"},
		{"unknown text", "Content-Type: text/x-diff\n\nseen", "seen"},
		{"one type said twice", "Content-Type: text/html\nContent-Type: text/html\n\n<p>seen<p hidden>not", "seen"},
		{"lines broken in words", "Content-Type: text/plain; Format=Flowed; DelSp=Yes\n\nse \nen  \ntoo\n> a \n> b\n-- \nend", "seen too\n> a\n> b\n--\nend"},
		{"lines broken at blanks", "Content-Type: text/plain; format=flowed\n\none \ntwo", "one\ntwo"},
		{"preamble and epilogue", mixed + "not\n--b\n\none\n--b\nContent-Transfer-Encoding: base64\n\ndHdv\n--b--\nnot", "one\ntwo"},
		{"CRLF", strings.ReplaceAll(mixed+"--b\n\none\n--b\n\ntwo\n--b--\n", "\n", "\r\n"), "one\ntwo"},
		{"blanks after the delimiter", mixed + "--b  \n\none\n--b-- \n", "one"},
		{"longer lines are none", mixed + "--b\n\none\n--bb\n--b--x\n--b--", "one\n--bb\n--b--x"},
		{"no last delimiter", mixed + "--b\n\none\n--b\n\ntwo", "one\ntwo"},
		{"quoted boundary", "Content-Type: multipart/mixed; boundary=\"a b\"\n\n--a b\n\none\n--a b--", "one"},
		{"boundary in pieces", "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\none\n--ab--", "one"},
		{"boundary like an encoded word", "Content-Type: multipart/mixed; boundary=\"=?utf-8?Q?b?=\"\n\n--=?utf-8?Q?b?=\n" + asHTML + "<p>one\n--=?utf-8?Q?b?=--", "one"},
		{"nested", mixed + "--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--", "one\ntwo"},
		{"folded field", mixed + "--b\nContent-Type:\n text/html;\n\tcharset=utf-8\n\n<p>one</p>\n--b--", "one"},

		{"alternative", alternative + "--b\n\nnot\n--b\n" + asHTML + "<p>seen\n--b--", "seen"},
		{"alternative in reverse", alternative + "--b\n" + asHTML + "<p>seen\n--b\n\nnot\n--b--", "seen"},
		{"two of a kind", alternative + "--b\n\nnot\n--b\n\nseen\n--b--", "seen"},
		{"HTML shows nothing", alternative + "--b\n\nseen\n--b\n" + asHTML + "<p hidden>not\n--b--", "seen"},
		{"HTML shows a picture", alternative + "--b\n\nnot\n--b\n" + asHTML + "<img src=a>\n--b--", ""},
		{"HTML with its pictures", alternative + "--b\n\nnot\n--b\nContent-Type: multipart/related; boundary=c\n\n--c\n" + asHTML + "seen\n--c\nContent-Type: image/png\n\nx\n--c--\n--b--", "seen"},
		{"after an alternative", "Content-Type: multipart/mixed; boundary=c\n\n--c\n" + alternative + "--b\n\nnot\n--b\n" + asHTML + "one\n--b--\n--c\n\ntwo\n--c--", "one\ntwo"},
		{"before an alternative", "Content-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--c\n" + alternative + "--b\n\ntwo\n--b\n" + asHTML + "\n--b--\n--c--", "one\ntwo"},
		{"related texts", "Content-Type: multipart/related; boundary=b\n\n--b\n" + asHTML + "seen\n--b\n\nnot\n--b--", "seen"},

		{"related, another one is the root", "Content-Type: multipart/related; start=\"<r@x>\"; boundary=b\n\n--b\n\nnot\n--b\nContent-ID: <r@x>\n\nseen\n--b--", "seen"},
		{"attached alternative", alternative + "--b\n\nnot\n--b\nContent-Disposition: attachment\n" + asHTML + "seen\n--b--", "seen"},
		{"attached message", mixed + "--b\n\nseen\n--b\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\nSubject: x\n\nnot\n--b--", "seen"},
		{"attached message alone", mixed + "--b\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\nSubject: x\n\nseen\n--b--", "seen"},

		{"attached text", mixed + "--b\n\nseen\n--b\nContent-Disposition: ATTACHMENT; filename=a.txt\n\nnot\n--b--", "seen"},
		{"attached text alone", mixed + "--b\nContent-Disposition: attachment; filename=a.txt\n\nseen\n--b--", "seen"},
		{"attached whole", "Content-Disposition: attachment\n\nseen", "seen"},
		{"message", mixed + "--b\n\none\n--b\nContent-Type: message/rfc822\n\nSubject: x\n" + asHTML + "<p>two\n--b--", "one\ntwo"},
		{"message in base64", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("Subject: x\n\nseen")), "seen"},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\none\n--b--", "one"},
		{"delivery status", mixed + "--b\nContent-Type: message/delivery-status\n\nStatus: 5.0.0\n--b--", "Status: 5.0.0"},

		{"base64 with junk", "Content-Transfer-Encoding: BASE64 (x)\n\n**c2V l!bg=\n\n=*IHll\ndA==\nIG5v", "seen yet no"},
		{"quoted-printable", "Content-Transfer-Encoding: Quoted-Printable\n\ns=65=65n=\n yet = =\t \r\n=XY =4", "seen yet = =XY =4"},
		{"uuencode", "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n)<V5E;B!A;&P`\n`\nend\n", "seen all"},
		{"long quoted-printable line", "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<p>" + strings.Repeat("=61", 5000), strings.Repeat("a", 5000)},
		{"iso-8859-15", "Content-Type: text/plain; charset=iso-8859-15\n\n\xa4 \xe9t\xe9", "€ été"},
		{"iso-8859-1 is windows-1252", "Content-Type: text/plain; charset=ISO-8859-1\n\nl\x92\xe9t\xe9", "l’été"},
		{"undeclared", "\nl\x92\xe9t\xe9", "l’été"},
		{"not what is declared", "Content-Type: text/plain; charset=utf-8\n\n\xe9t\xe9 été", "été été"},
		{"unknown charset", "Content-Type: text/plain; charset=x-nobody\n\n\xe9t\xe9", "été"},
		{"koi8-r", "Content-Type: text/plain; charset=koi8-r\n\n\xd0\xd2\xc9", "при"},
		{"utf-7", "Content-Type: text/plain; charset=utf-7\n\nSoci+AOk-t+AOk +- 1+", "Société + 1+"},
		{"utf-16", "Content-Type: text/plain; charset=utf-16le\n\ns\x00e\x00e\x00n\x00", "seen"},
		{"gbk", "Content-Type: text/plain; charset=gb2312\n\n\xb2\xe2", "测"},
		{"nul and controls", "\ns\x00e\x01en", "seen"},

		{"invitation", alternative + "--b\n\nnot\n--b\n" + asHTML + "seen\n--b\nContent-Type: text/calendar; method=REQUEST\n\nSUMMARY:not\n--b--", "seen"},
		{"invitation alone", "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\r\nSUMMARY;LANGUAGE=fr:Caf\r\n é\\, thé\r\nUID:not\r\n not\r\nDESCRIPTION:one\\ntwo\r\n", "Café, thé\none\ntwo"},
	} {
		if got := readMail(t, c.mail); got.Text != c.want || got.Raw != "" || got.Cut {
			t.Errorf("%s: got %q %s, want %q", c.name, got.Text, got.Raw, c.want)
		}
	}
}

// TestBroken: where the structure cannot be followed, Raw says so and the raw text
// is there, beside what a lenient reader shows.
func TestBroken(t *testing.T) {
	const encoded = "--b\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\nPHA+c2Vlbg==\n--b--"
	for _, c := range []struct{ name, mail, raw, seen string }{
		{"no boundary", "Content-Type: multipart/mixed\n\n" + encoded, "multipart without a boundary", "seen"},
		{"other boundary", "Content-Type: multipart/mixed; boundary=c\n\n" + encoded, "boundary that never comes", "seen"},
		{"no delimiter at all", "Content-Type: multipart/mixed; boundary=c\n\n<p>seen</p>", "boundary that never comes", "seen"},
		{"two boundaries", "Content-Type: multipart/mixed; boundary=b; boundary=c\n\n" + encoded, "Content-Type that does not follow the grammar", "seen"},
		{"two types", "Content-Type: multipart/mixed; boundary=b\nContent-Type: text/plain\n\n" + encoded, "a field of MIME that is there twice", "seen"},
		{"two encodings", "Content-Transfer-Encoding: base64\ncontent-transfer-encoding: 7bit\n\nseen as it is", "a field of MIME that is there twice", "seen as it is"},
		{"unknown encoding", "Content-Transfer-Encoding: rot13\n\nseen", "unknown transfer encoding", "seen"},
		{"unknown encoding of a file", mixed + "--b\nContent-Type: image/png\nContent-Transfer-Encoding: rot13\n\nseen\n--b--", "unknown transfer encoding", "seen"},
		{"part after the last", mixed + "--b\n\none\n--b--\n--b\n\nseen\n--b--", "part after the last one", "seen"},
		{"no empty line", mixed + "--b\nseen\n--b--", "part without an empty line before its text", "seen"},
		{"junk in a header", mixed + "--b\nContent-Type: text/html\njunk\nContent-Transfer-Encoding: base64\n\nPHA+c2Vlbg==\n--b--", "line in a part's header that is no field", "seen"},
		{"HTML of many elements", asHTML + strings.Repeat("<div>", 600) + "seen", "HTML too intricate", "seen"},
		{"HTML of much formatting", asHTML + tags("<b id=%d style='color:#%06x'>", 60) + "seen", "HTML too intricate", "seen"},
		{"HTML of many rules", asHTML + "<style>" + strings.Repeat(".a{color:red}", 900) + "</style>" + strings.Repeat("<p class=a>", 600) + "seen", "HTML too intricate", "seen"},
	} {
		got := readMail(t, c.mail)
		if got.Raw != c.raw || !strings.Contains(got.Text, c.seen) {
			t.Errorf("%s: got %q %q, want %q and %q", c.name, got.Raw, got.Text, c.raw, c.seen)
		}
	}
}

// TestDoubtfulLinks: a link that may be hidden does not count.
func TestDoubtfulLinks(t *testing.T) {
	for _, mail := range []string{
		asHTML + strings.Repeat("<div>", 600) + "<a href=https://x.fr>x</a> https://y.fr/ a@y.fr",
		asHTML + "<a><span hidden><h1>https://x.fr/</a>y",
		"Content-Type: multipart/mixed\n\n<p hidden>https://x.fr/</p>",
	} {
		if got := readMail(t, mail); len(got.Links) > 0 || got.Raw == "" || got.Text == "" {
			t.Errorf("%.100q: %+v", mail, got)
		}
	}
}

func tags(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i, i)
	}
	return b.String()
}

// nested is a mail of n multiparts in each other.
func nested(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d.\n\n--b%d.\n", i, i)
	}
	return b.String() + "\nseen"
}

// An accent that makes its letter longer finds no room at the end.
func TestAccentAtTheEnd(t *testing.T) {
	for n, end := range map[int]string{MaxText - 2: "eéx", MaxText - 1: "eeé", MaxText: "eee"} {
		got := readMail(t, "Content-Type: text/plain; charset=utf-8\n\n"+strings.Repeat("e", n)+"\u0301x")
		if checkBody(t, got); got.Cut != (n > MaxText-2) || !strings.HasSuffix(got.Text, end) {
			t.Errorf("behind %d letters: %d bytes, cut %v, ending in %q", n, len(got.Text), got.Cut, got.Text[MaxText-8:])
		}
	}
}

func TestBodyBounds(t *testing.T) {
	for _, n := range []int{maxDepth - 1, maxDepth, maxDepth + 1} {
		got := readMail(t, nested(n))
		if fits := n <= maxDepth; (got.Raw == "") != fits || !strings.Contains(got.Text, "seen") {
			t.Errorf("%d deep: %q %q", n, got.Raw, got.Text)
		}
	}
	for _, n := range []int{maxParts - 2, maxParts - 1, maxParts} { // and the whole
		got := readMail(t, mixed+strings.Repeat("--b\n\nx\n", n)+"--b--")
		if fits := n < maxParts; (got.Raw == "") != fits || got.Cut == fits || strings.Count(got.Text, "x") < n {
			t.Errorf("%d parts: %q, cut %v, %d texts", n, got.Raw, got.Cut, strings.Count(got.Text, "x"))
		}
	}
	for _, n := range []int{MaxText - 1, MaxText, MaxText + 1} {
		got := readMail(t, "\n"+strings.Repeat("x", n))
		if len(got.Text) != min(n, MaxText) || got.Cut != (n > MaxText) {
			t.Errorf("%d bytes: %d kept, cut %v", n, len(got.Text), got.Cut)
		}
	}
	for _, n := range []int{MaxLinks - 1, MaxLinks, MaxLinks + 1} {
		for _, mail := range []string{"\n" + strings.Repeat("https://x.fr/ ", n), asHTML + strings.Repeat("<a href=https://x.fr>x</a> ", n)} {
			got := readMail(t, mail)
			if len(got.Links) != min(n, MaxLinks) || got.Cut != (n > MaxLinks) {
				t.Errorf("%d links: %d kept, cut %v", n, len(got.Links), got.Cut)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	const png = "Content-Type: image/png\n"
	files := func(body string) []uint64 { return readMail(t, mixed+"--b\n\ntext\n"+body+"--b--").Files }
	plain := files("--b\n" + png + "\npicture\n")
	coded := files("--b\n" + png + "Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=x\n\ncGlj\ndHVyZQ==\n")
	if diff := cmp.Diff([]uint64{0x2cea274d0bedc39e}, plain); diff != "" {
		t.Errorf("a digest is the same everywhere and always: %s", diff)
	}
	if diff := cmp.Diff(plain, coded); diff != "" {
		t.Errorf("encoded otherwise: %s", diff)
	}
	if got := files("--b\n" + png + "\npictures\n"); got[0] == plain[0] {
		t.Error("another picture has the same digest")
	}
	long := strings.Repeat("x", fileBlock+100)
	cutOff := func(body string) uint64 {
		return readMail(t, mixed+"--b\n\ntext\n--b\n"+png+"\n"+body).Files[0]
	}
	if cutOff(long) != cutOff(long[:fileBlock+50]) || cutOff(long) == cutOff(long[:fileBlock-1]) {
		t.Error("a file that is cut off does not count in whole blocks")
	}
	if files("--b\n" + png + "\n" + long + "\n")[0] == cutOff(long) {
		t.Error("a whole file counts as one that is cut off")
	}
	if got := files("--b\nContent-Disposition: attachment\n\npicture\n"); len(got) != 1 || got[0] != plain[0] {
		t.Errorf("an attached text: %x", got)
	}
}

// What belongs to a text as its picture is told apart from what is sent with it.
func TestPictures(t *testing.T) {
	const png, pdf = "--b\nContent-Type: image/png\n\npicture\n", "--b\nContent-Type: application/pdf\n\npaper\n"
	related := "Content-Type: multipart/related; boundary=b\n\n--b\n" + asHTML + "text\n"
	for _, tt := range []struct {
		name, mail      string
		files, pictures int
	}{
		{"both belong to the text", related + png + pdf + "--b--", 1, 1},
		{"both are sent with it", mixed + "--b\n\ntext\n" + png + pdf + "--b--", 2, 0},
		{"the mail program's own", mixed + "--b\n\ntext\n" + pdf + "--b\nContent-Type: application/pgp-signature\n\nx\n--b\nContent-Type: application/pgp-keys\n\nx\n" +
			"--b\nContent-Type: text/vcard\nContent-Disposition: attachment\n\nx\n--b--", 1, 0},
		{"the picture is the text", "Content-Type: multipart/related; boundary=b\n\n" + png + pdf + "--b--", 2, 0},
	} {
		if b := readMail(t, tt.mail); len(b.Files) != tt.files || len(b.Pictures) != tt.pictures {
			t.Errorf("%s: %d files, %d pictures", tt.name, len(b.Files), len(b.Pictures))
		}
	}
}

func TestReportAndCalendar(t *testing.T) {
	for _, c := range []struct{ mail, report, calendar string }{
		{"Content-Type: multipart/report; report-type=Delivery-Status; boundary=b\n\n--b\n\nx\n--b--", "delivery-status", ""},
		{"Content-Type: multipart/mixed; report-type=delivery-status; boundary=b\n\n--b\n\nx\n--b--", "", ""},
		{mixed + "--b\nContent-Type: multipart/report; report-type=delivery-status; boundary=c\n\n--c\n\nx\n--c--\n--b--", "", ""},
		{mixed + "--b\nContent-Type: text/calendar; method=\"REPLY\"\n\nx\n--b--", "", "reply"},
		{"Content-Type: text/calendar\n\nMETHOD:PUBLISH\r\n", "", "publish"},
		{"Content-Type: text/calendar\n\nSUMMARY:x\r\n", "", ""},
	} {
		if got := readMail(t, c.mail); got.Report != c.report || got.Calendar != c.calendar {
			t.Errorf("%q: report %q, calendar %q", c.mail, got.Report, got.Calendar)
		}
	}
}

// As much of a long block is told of a link as there is room for, of one with many links too.
func TestAroundPlainLinks(t *testing.T) {
	for shift := range 8 {
		long := strings.Repeat("x", shift) + strings.Repeat("a\u00e9\u20ac ", 100)
		for _, link := range []string{"https://a.example/", "https://a.example/ " + long + "https://b.example/"} {
			body := ReadBody(nil, []byte(long+link+" "+long))
			if len(body.Links) == 0 {
				t.Fatal("no link")
			}
			for _, l := range body.Links {
				if n := len(l.Around); n > aroundLink || n < aroundLink-2*utf8.UTFMax || !utf8.ValidString(l.Around) || !strings.Contains(body.Text, l.Around) {
					t.Errorf("shift %d: %d bytes around %s: %q", shift, n, l.URL, l.Around)
				}
			}
		}
	}
}

func TestPlainLinks(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"see https://x.fr/a(b)c, (http://y.fr/) or <HTTPS://z.fr/?a=b&c=d>.", []string{"https://x.fr/a(b)c", "http://y.fr/", "HTTPS://z.fr/?a=b&c=d"}},
		{"ftp://x.fr/ x://y https:// www. @ a@ @b.fr a@b", nil},
		{"a.b+c@x-y.fr, <d@x.fr>; WWW.x.fr! mailto:e@x.fr?subject=off", []string{"mailto:a.b+c@x-y.fr", "mailto:d@x.fr", "http://WWW.x.fr", "mailto:e@x.fr"}},
		{"https://u@x.fr/ notwww.x.fr", []string{"https://u@x.fr/"}},
		{"désabo@société.fr", []string{"mailto:désabo@société.fr"}},
		{"a@x.fr.\nb@x.fr-", []string{"mailto:a@x.fr", "mailto:b@x.fr"}},
	} {
		var got []string
		for _, l := range readMail(t, "\n"+c.text).Links {
			got = append(got, l.URL)
			if l.Text != "" {
				t.Errorf("%q: text %q", c.text, l.Text)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q -want +got:\n%s", c.text, diff)
		}
	}
	links := readMail(t, "\nother\n\nto leave:\nhttps://x.fr/\nbye\n\nother").Links
	if want := (Link{"https://x.fr/", "", "to leave:\nhttps://x.fr/\nbye"}); len(links) != 1 || links[0] != want {
		t.Errorf("got %q, want %q", links, want)
	}
}

func checkBody(t *testing.T, b Body) {
	t.Helper()
	if len(b.Text) > MaxText || len(b.Links) > MaxLinks || !utf8.ValidString(b.Text) || strings.Contains(b.Text, "\n\n") {
		t.Errorf("%d bytes, %d links, valid %v: %.200q", len(b.Text), len(b.Links), utf8.ValidString(b.Text), b.Text)
	}
	for _, l := range b.Links {
		if len(l.Around) > aroundLink || len(l.Text) > aroundLink || l.URL == "" || !utf8.ValidString(l.Around+l.Text) {
			t.Errorf("link %+v", l)
		}
	}
}
