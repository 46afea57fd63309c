package hold

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

func aReport(language string) report {
	return report{
		Held: state.Held{
			ID: "7K3QF2M9", Rule: "limit.minute", Reason: "Too many messages: 10 in 1m are allowed. [limit.minute 7K3QF2M9]",
			From: "cron@web1.example", Recipients: []string{"a@x.example", "b@y.example"}, About: "Ordre n° 7", Since: start,
		},
		host: thisHost, language: language, now: start.Add(72 * time.Hour),
	}
}

// parts reads a report as a mail program would.
func parts(t *testing.T, raw []byte) (mail.Header, map[string]string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%s, %v, %v", kind, params, err)
	}
	found := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart() // decodes quoted-printable
		if err == io.EOF {
			return m.Header, found
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		found[kind] = string(text)
	}
}

func TestReport(t *testing.T) {
	header, p := parts(t, aReport("en").compose("NONCE"))
	for name, want := range map[string]string{
		"To": "<cron@web1.example>", "From": "Mail Delivery System <MAILER-DAEMON@web1.example>", "X-O2N-Notice": "NONCE",
		"Auto-Submitted": "auto-replied", "Message-Id": "<7K3QF2M9.report@web1.example>",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	if err != nil || subject != "Not sent: Ordre n° 7" {
		t.Errorf("%q, %v", subject, err)
	}
	for _, want := range []string{"of 2026-11-23 10:00 UTC was not sent", "held for 72h", "limit.minute", "7K3QF2M9", "To: a@x.example", "Subject: Ordre n° 7"} {
		if !strings.Contains(p["text/plain"], want) {
			t.Errorf("no %q in %s", want, p["text/plain"])
		}
	}
	status := strings.ReplaceAll(p["message/delivery-status"], "\r\n", "\n")
	want := "Reporting-MTA: dns; web1.example\nArrival-Date: Mon, 23 Nov 2026 10:00:00 +0000\n\n" +
		"Final-Recipient: rfc822; a@x.example\nAction: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 5.7.1 held too long [limit.minute 7K3QF2M9]\n\n" +
		"Final-Recipient: rfc822; b@y.example\nAction: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 5.7.1 held too long [limit.minute 7K3QF2M9]\n"
	if strings.TrimSpace(status) != strings.TrimSpace(want) {
		t.Errorf("status:\n%s", status)
	}
	theirs, err := textproto.NewReader(bufio.NewReader(strings.NewReader(p["text/rfc822-headers"] + "\r\n"))).ReadMIMEHeader()
	if err != nil || theirs.Get("To") != "<a@x.example>, <b@y.example>" || len(theirs) != 4 {
		t.Errorf("%v, %v", theirs, err)
	}
}

func TestReportLanguages(t *testing.T) {
	for language, want := range map[string][]string{
		"fr":    {"n'a pas été envoyé", "la durée la plus longue"},
		"en+fr": {"was not sent", "n'a pas été envoyé"},
	} {
		_, p := parts(t, aReport(language).compose("N"))
		for _, w := range want {
			if !strings.Contains(p["text/plain"], w) {
				t.Errorf("%s: no %q in %s", language, w, p["text/plain"])
			}
		}
	}
	by := aReport("en")
	by.WishBy = "root"
	if _, p := parts(t, by.compose("N")); !strings.Contains(p["text/plain"], "sent back to you by an operator") {
		t.Error(p["text/plain"])
	}
}

// Nothing that the sender wrote becomes a line of the report.
func TestReportHostile(t *testing.T) {
	const evil = "x\r\nBcc: victim@x.example\r\n\r\n--o2n-milter-report\r\nX: \x00\u2028<y>=?utf-8?q?=0d=0a?="
	r := aReport("en+fr")
	r.From, r.About, r.Rule, r.Reason, r.ID, r.host = evil+"@web1.example", evil, evil, evil, evil, evil
	r.Recipients = []string{evil, "", strings.Repeat("é", 1000)}
	for i := range 300 {
		r.Recipients = append(r.Recipients, fmt.Sprintf("a%d@x.example", i))
	}
	raw := r.compose("N")
	header, p := parts(t, raw)
	if len(p) != 3 || len(header) != 9 || header.Get("Bcc") != "" {
		t.Errorf("%d parts, header %v", len(p), header)
	}
	_, about, _ := strings.Cut(p["text/rfc822-headers"], "\r\nSubject: ")
	for _, shown := range []string{header.Get("Subject"), about} {
		if strings.Contains(shown, "=?utf-8?q?=0d") { // readers would decode it
			t.Errorf("an encoded word of the sender's: %q", shown)
		}
	}
	if i := strings.IndexFunc(string(raw), func(c rune) bool { return c > '~' }); i >= 0 {
		t.Errorf("not ASCII at %d", i)
	}
	for line := range strings.SplitSeq(string(raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("a line of %d: %.100q", len(line), line)
		}
		if strings.HasPrefix(line, "Bcc") || strings.HasPrefix(line, "X:") {
			t.Errorf("a line %q", line)
		}
	}
	if _, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(p["text/plain"]))); err != nil {
		t.Error(err)
	}
}
