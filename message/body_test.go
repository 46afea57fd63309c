package message

import "testing"

func read(t *testing.T, mail string) Body {
	t.Helper()
	fields, body, _ := splitHeader([]byte(mail))
	return ReadBody(fields, body)
}

func TestReadBody(t *testing.T) {
	for _, c := range []struct{ name, mail, want string }{
		{"no type", "Subject: x\n\nHello  you\n\nsecond\r\nthird", "Hello you\nsecond\nthird"},
		{"multipart", "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n--b\nContent-Transfer-Encoding: base64\n\ndHdv\n--b--\nepilogue", "one\ntwo"},
		{"alternative", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/html\n\n<p>two</p>\n--b--\n", "two"},
		{"alternative empty", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/html\n\n<p> </p>\n--b--\n", "one"},
		{"latin", "Content-Type: text/plain; charset=iso-8859-15\nContent-Transfer-Encoding: quoted-printable\n\n=A4 =E9t=\n=E9", "€ été"},
	} {
		if got := read(t, c.mail); got.Text != c.want || got.Raw != "" {
			t.Errorf("%s: got %+v, want %q", c.name, got, c.want)
		}
	}
}
