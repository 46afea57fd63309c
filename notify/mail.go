package notify

import (
	"bytes"
	"context"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// NoticeField is the header field with the nonce that Ours wants.
const NoticeField = "X-O2N-Notice"

func (n *Notifier) mailOperator(ctx context.Context, now time.Time, j job) error {
	set := n.set.Load()
	if len(set.Operator) == 0 {
		return errGone
	}
	text, err := render(set.Language, "operator", n.view(j.Event))
	if err != nil {
		return permanent{err}
	}
	return n.mail(ctx, now, set, j.notice, set.Operator, text)
}

func (n *Notifier) mailDigest(ctx context.Context, now time.Time, j job) error {
	set := n.set.Load()
	if len(set.Operator) == 0 {
		return errGone
	}
	missed := n.missed.Load()
	text, err := render(set.Language, "digest", n.digest(j, missed))
	if err != nil {
		return permanent{err}
	}
	err = n.mail(ctx, now, set, j.notice, set.Operator, text)
	if err == nil {
		n.missed.Add(-missed)
	}
	return err
}

func (n *Notifier) mailCustomer(ctx context.Context, now time.Time, j job) error {
	set := n.set.Load()
	to := n.customer(j.Event)
	if !set.Customer || to == "" {
		return errGone
	}
	text, err := render(set.Language, "customer", n.view(j.Event))
	if err != nil {
		return permanent{err}
	}
	return n.mail(ctx, now, set, j.notice, []string{to}, text)
}

// mail gives one mail to the MTA. The operator is told when one of his addresses
// is taken; the log names the others.
func (n *Notifier) mail(ctx context.Context, now time.Time, set *Settings, v notice, to []string, text letter) error {
	m, end, err := dialMTA(ctx, set.SMTP, n.opts.Host)
	if err != nil {
		return err
	}
	defer end()
	taken, refused, err := m.begin(set.From, to)
	if err != nil {
		return err
	}
	if refused != nil {
		n.opts.Log.Warn("notice goes to some of its recipients only", "id", v.id, "error", clean(refused.Error(), mostWhy))
	}
	nonce := n.nonces.make(now, taken)
	return m.data(compose(now, v.id, nonce, set.From, to, text))
}

// compose writes the message: RFC 5322, MIME, RFC 3834 for Auto-Submitted. Its
// Message-ID is the same in every try.
func compose(now time.Time, id, nonce, from string, to []string, text letter) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(from, "@")
	for _, field := range [][2]string{
		{"From", "o2n-milter <" + from + ">"},
		{"To", strings.Join(to, ",\r\n ")},
		{"Subject", encodedHeader(text.title)},
		{"Date", now.UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + id + ".o2n-milter@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"},
		{NoticeField, nonce},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(field[0] + ": " + field[1] + "\r\n")
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(text.body, "\n", "\r\n"))) // to memory
	_ = w.Close()
	return b.Bytes()
}

// encodedHeader is s, which is clean, as RFC 2047 has it, each word on a line of its
// own. What looks like an encoded word in s would be decoded by readers.
func encodedHeader(s string) string {
	s = strings.ReplaceAll(s, "=?", "= ?")
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}
