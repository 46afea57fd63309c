package hold

import (
	"bytes"
	"embed"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"text/template"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

//go:embed texts
var texts embed.FS

// languages are the reports' texts.
var languages = map[string]*template.Template{
	"en": template.Must(template.ParseFS(texts, "texts/en.txt")),
	"fr": template.Must(template.ParseFS(texts, "texts/fr.txt")),
}

// report tells the sender of held mail that it will not be sent (RFC 3464). Of his
// message it has the header as far as it is known, and nothing of its body.
type report struct {
	state.Held
	host     string
	language string
	now      time.Time
}

// mostNamed is how many recipients the text names; the other part has them all.
const mostNamed = 20

// compose writes the report; value marks it as ours.
func (r report) compose(value string) []byte {
	const boundary = "o2n-milter-report"
	var b bytes.Buffer
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	part := func(kind string) { b.WriteString("\r\n--" + boundary + "\r\nContent-Type: " + kind + "\r\n") }
	field("From", "Mail Delivery System <MAILER-DAEMON@"+r.domain()+">")
	field("To", "<"+address(r.Held.From)+">")
	field("Subject", encoded(r.text("subject")))
	field("Date", r.now.UTC().Format(time.RFC1123Z))
	// The same in every try.
	field("Message-ID", "<"+oneLine(r.ID, 40)+".report@"+r.domain()+">")
	field("Auto-Submitted", "auto-replied")
	field("X-O2N-Notice", value)
	field("MIME-Version", "1.0")
	field("Content-Type", `multipart/report; report-type=delivery-status; boundary="`+boundary+`"`)
	part("text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable")
	b.WriteString("\r\n" + quoted(r.text("body")))
	part("message/delivery-status")
	b.WriteString("\r\n" + r.status())
	part("text/rfc822-headers")
	b.WriteString("\r\n" + r.header())
	b.WriteString("\r\n--" + boundary + "--\r\n")
	return b.Bytes()
}

// status is the part for programs (RFC 3464 2).
func (r report) status() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Reporting-MTA: dns; %s\r\nArrival-Date: %s\r\n", r.domain(), r.Since.UTC().Format(time.RFC1123Z))
	for _, rcpt := range r.Recipients {
		fmt.Fprintf(&b, "\r\nFinal-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: 5.7.1\r\nDiagnostic-Code: smtp; 550 5.7.1 held too long [%s %s]\r\n",
			address(rcpt), oneLine(r.Rule, 100), oneLine(r.ID, 40))
	}
	return b.String()
}

// header is that of the message, as far as it is known (RFC 6522 4).
func (r report) header() string {
	to := make([]string, 0, mostNamed)
	for _, rcpt := range r.Recipients[:min(len(r.Recipients), mostNamed)] {
		to = append(to, "<"+address(rcpt)+">")
	}
	return "From: <" + address(r.Held.From) + ">\r\nTo: " + strings.Join(to, ",\r\n ") +
		"\r\nSubject: " + encoded(oneLine(r.About, 250)) + "\r\nDate: " + r.Since.UTC().Format(time.RFC1123Z) + "\r\n"
}

// text is a text in one language or more. The templates see nothing that could look
// like a line of ours.
func (r report) text(name string) string {
	data := map[string]any{
		"Rule": oneLine(r.Rule, 100), "ID": oneLine(r.ID, 40), "About": oneLine(r.About, 250), "Host": r.domain(),
		"Since": r.Since.UTC().Format("2006-01-02 15:04 UTC"), "For": rules.FormatDuration(r.now.Sub(r.Since).Truncate(time.Minute)),
		"By": r.WishBy != "", "Why": oneLine(r.Reason, 480), "To": r.named(), "More": max(0, len(r.Recipients)-mostNamed),
	}
	var all []string
	for lang := range strings.SplitSeq(r.language, "+") {
		var b strings.Builder
		if t := languages[lang]; t != nil && t.ExecuteTemplate(&b, name, data) == nil {
			all = append(all, strings.TrimSpace(b.String()))
		}
	}
	between := " / "
	if name == "body" {
		between = "\n\n" + strings.Repeat("-", 72) + "\n\n"
	}
	return strings.Join(all, between)
}

func (r report) named() []string {
	var list []string
	for _, rcpt := range r.Recipients[:min(len(r.Recipients), mostNamed)] {
		list = append(list, address(rcpt))
	}
	return list
}

// domain is the host's name as it may stand in an address.
func (r report) domain() string {
	odd := func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			return c
		}
		return '-'
	}
	if host := strings.Trim(strings.Map(odd, strings.ToLower(r.host)), "-."); host != "" {
		return host
	}
	return "localhost"
}

// address is one that somebody wrote, without what would end a field or a pair of
// angle brackets; 320 octets at most.
func address(s string) string {
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' || c == '<' || c == '>' {
			return '?'
		}
		return c
	}, s[:min(len(s), 320)])
}

// oneLine is a text that somebody wrote, on one line, of at most so many octets.
func oneLine(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0x2028 || c == 0x2029 {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// encoded is a clean line as RFC 2047 has it, each word on a line of its own. What
// looks like an encoded word in it would be decoded by readers.
func encoded(s string) string {
	s = strings.ReplaceAll(s, "=?", "= ?")
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}

func quoted(s string) string {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(s, "\n", "\r\n") + "\r\n")) // to memory
	_ = w.Close()
	return b.String()
}
