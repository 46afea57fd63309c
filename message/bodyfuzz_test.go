package message

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzHTML(f *testing.F) {
	for _, s := range []string{
		"<p>a<p>b", "<table><b><tr><td>x<td>y</table>z", "<a href=https://x.fr/>a<div>b</a>c</div>", "<style>.a{display:none}</style><p class=a>x",
		"<p style='color:#fff;font:0/0 a;background:url(x)'>", "<form action=//x><button>y<input type=submit value=z>", "e\u0301\u0336", "<base href=http://x.fr><a href=b>c",
		"<li><div><li><dd><dt><option><h1><h2></h3>", "<template><td></template><noscript><p></noscript>", "a@b.fr www.x.fr https://x.fr))",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { checkBody(t, readHTML(text)) })
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{
		mixed + "--b\n\none\n--b\nContent-Transfer-Encoding: base64\n\ndHdv\n--b--\n", alternative + "--b\n\na\n--b\n" + asHTML + "<p>b\n--b--",
		"Content-Type: multipart/related; boundary*0=b\n\n--b\n\n\n--b", "Content-Type: text/calendar; method=x\n\nSUMMARY:a\n b", nested(3),
		"Content-Type: text/plain; charset=utf-7\n\n+AOk", "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\nA: b=0A=\n=0Ac",
		"Content-Type: multipart/mixed\n\n--x\nContent-Type: text/html\n\n<p>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, mail string) {
		fields, body, _ := splitHeader([]byte(mail))
		whole := ReadBody(fields, body)
		checkBody(t, whole)
		var folded Folded
		other := FoldBody(&folded, fields, body)
		if want := Fold(whole.Text); string(folded.Text()) != want || other.Octets != len(whole.Text) {
			t.Errorf("%q folded: got %q, want %q", mail, folded.Text(), want)
		}
		whole.Text = ""
		if diff := cmp.Diff(whole, other); diff != "" {
			t.Errorf("%q folded, -want +got:\n%s", mail, diff)
		}
	})
}
