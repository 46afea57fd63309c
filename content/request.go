package content

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"o2n-milter/message"
	"o2n-milter/rules"
)

// mostRcpts recipients are told: rspamd hangs up on more than some 100 KiB of header.
const mostRcpts = 100

// mostAddress bounds an address in octets: RFC 5321 4.5.3.1 has 64 for the local part
// and 255 for the domain.
const mostAddress = 320

// request is the question: rspamd's protocol, with what is known of the message as
// fields and the message as the body. There is no Helo: what a mail program calls
// itself says nothing of who has logged in.
func (c *Client) request(ctx context.Context, m *rules.Mail) (*http.Request, error) {
	head := header(m.Header)
	// The body is copied: it is used again as soon as there is a verdict, and who sends a
	// request may still read it when there is an answer.
	whole := io.MultiReader(strings.NewReader(head), bytes.NewReader(bytes.Clone(m.Body)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/checkv2", whole)
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(head) + len(m.Body))
	c.describe(req.Header, m)
	return req, nil
}

func (c *Client) describe(h http.Header, m *rules.Mail) {
	set := func(name, value string) {
		if value != "" {
			h.Set(name, plain(value, mostAddress))
		}
	}
	set("User-Agent", "o2n-milter")
	set("Password", c.opt.Password)
	set("Queue-Id", m.QueueID)
	set("User", m.Login)
	set("Hostname", m.ClientName)
	set("MTA-Name", m.Host)
	if m.Client.IsValid() {
		set("IP", m.Client.String())
	}
	if m.Sender == "" {
		h.Set("From", "<>")
	}
	set("From", envelope(m.Sender))
	for _, r := range m.Recipients[:min(len(m.Recipients), mostRcpts)] {
		if a := envelope(r.Address); a != "" {
			h.Add("Rcpt", a)
		}
	}
}

// envelope is an address as rspamd reads it; empty for one that it cannot read and
// would hold against the mail as a broken header: without a domain, with a blank, with
// a name that is not ASCII, or too long.
func envelope(s string) string {
	a := message.ParseAddress(s)
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>()[],;:\"@`, r) }
	if a.Fault != "" || len(s) > mostAddress || a.Domain == "" || a.Local == "" || strings.ContainsFunc(a.Local, odd) {
		return ""
	}
	return "<" + a.String() + ">"
}

var crlf = strings.NewReplacer("\r\n", "\r\n", "\n", "\r\n")

// header is the fields as they were on the way to the MTA, and the empty line. A
// milter is shown them with bare line feeds.
func header(fields []message.Field) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f.Name + ": ")
		crlf.WriteString(&b, f.Value)
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}
