package demo

import (
	"net/netip"
	"strings"
	"time"

	"github.com/emersion/go-milter"

	"o2n-milter/message"
)

// Client is who is at the other end of an SMTP session.
type Client struct {
	// Addr has port 0 for what a program gives to sendmail(1), as Postfix tells it.
	Addr netip.AddrPort
	Helo string
	// Server is the address at our end; the zero Addr when there is none.
	Server netip.Addr
}

// Answer is what the filter wants done.
type Answer struct {
	// Code is that of the SMTP reply: 250 for what is taken.
	Code int
	// Text is the reply behind its code, enhanced code included, lines parted by \n.
	// Empty for what is taken.
	Text string
	// Held is why a message that is taken goes on hold; empty: it does not.
	Held string
}

// Filter is one session with the filter, for one SMTP session: it tells what Postfix
// would, with its macros. After an error it is of no use but to be closed.
type Filter struct {
	session *milter.ClientSession
}

// How long the filter may take for an answer (it says "wait" every 5 seconds while it
// judges), and to read what it is told.
const (
	answerTime = 30 * time.Second
	tellTime   = 10 * time.Second
)

// Dial connects to the filter and tells it of the client. host is the MTA's own name.
//
// No protocol bits are offered, so the filter answers every command: the library
// answers the filter's version 2 with an error if it gets bits of version 6, which the
// no-reply bits are. For the same reason it cannot offer to be asked for macros
// (OptSetSymList), so all that Postfix has are sent.
func Dial(filter, host string, c Client) (*Filter, error) {
	client := milter.NewClientWithOptions("tcp", filter, milter.ClientOptions{
		ActionMask:   milter.OptAddHeader | milter.OptChangeHeader | milter.OptQuarantine,
		ReadTimeout:  answerTime,
		WriteTimeout: tellTime,
	})
	session, err := client.Session()
	if err != nil {
		return nil, err
	}
	f := &Filter{session}
	if err := f.connect(host, c); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Filter) connect(host string, c Client) error {
	// Postfix writes an address without a name so.
	name, shown := "unknown", "["+c.Addr.Addr().String()+"]"
	if c.Addr.Addr().IsLoopback() {
		name, shown = "localhost", "localhost"
	}
	macros := []string{"j", host, "{daemon_name}", host, "{client_addr}", c.Addr.Addr().String(), "{client_name}", name, "v", "o2n-milter demo"}
	if c.Server.IsValid() {
		macros = append(macros, "{daemon_addr}", c.Server.String())
	}
	if err := f.session.Macros(milter.CodeConn, macros...); err != nil {
		return err
	}
	family := milter.FamilyInet
	if c.Addr.Addr().Is6() {
		family = milter.FamilyInet6
	}
	if _, err := f.session.Conn(shown, family, c.Addr.Port(), c.Addr.Addr().String()); err != nil {
		return err
	}
	_, err := f.session.Helo(c.Helo)
	return err
}

// Mail begins a message. login is empty without one.
func (f *Filter) Mail(sender, login string) (Answer, error) {
	macros := []string{"{mail_addr}", sender, "{mail_host}", domainOf(sender), "{mail_mailer}", "smtp"}
	if login != "" {
		macros = append(macros, "{auth_type}", "PLAIN", "{auth_authen}", login)
	}
	if err := f.session.Macros(milter.CodeMail, macros...); err != nil {
		return Answer{}, err
	}
	return answerOf(f.session.Mail(sender, nil))
}

// Rcpt tells a recipient, and the queue id, as both MTAs do by then.
func (f *Filter) Rcpt(recipient, queueID string) (Answer, error) {
	err := f.session.Macros(milter.CodeRcpt, "i", queueID,
		"{rcpt_addr}", recipient, "{rcpt_host}", domainOf(recipient), "{rcpt_mailer}", "smtp")
	if err != nil {
		return Answer{}, err
	}
	return answerOf(f.session.Rcpt(recipient, nil))
}

// End tells header and body, and gives the filter's verdict.
func (f *Filter) End(fields []message.Field, body []byte, queueID string) (Answer, error) {
	for _, field := range fields {
		if a, err := answerOf(f.session.HeaderField(field.Name, field.Value)); err != nil || a.Code != taken {
			return a, err
		}
	}
	if a, err := answerOf(f.session.HeaderEnd()); err != nil || a.Code != taken {
		return a, err
	}
	for len(body) > 0 {
		n := min(len(body), milter.MaxBodyChunk)
		if a, err := answerOf(f.session.BodyChunk(body[:n])); err != nil || a.Code != taken {
			return a, err
		}
		body = body[n:]
	}
	if err := f.session.Macros(milter.CodeEOB, "i", queueID); err != nil {
		return Answer{}, err
	}
	changes, action, err := f.session.End()
	a, err := answerOf(action, err)
	for _, c := range changes {
		if err == nil && a.Code == taken && c.Code == milter.ActQuarantine {
			a.Held = c.Reason
		}
	}
	return a, err
}

// Abort ends a message, also one that was answered: Postfix does so after each.
func (f *Filter) Abort() error { return f.session.Abort() }

// Close ends the session.
func (f *Filter) Close() {
	_ = f.session.Close() // the filter may be gone, and nothing hangs on it
}

// taken is the code of what the filter lets through.
const taken = 250

// What Postfix answers for a filter that gives no words of its own.
const (
	refusedText  = "5.7.1 Command rejected"
	deferredCode = 451
	deferredText = "4.7.1 Service unavailable - try again later"
)

// answerOf reads an action. Its reply may have several lines, each but the first with
// the code before it, and every % is doubled (libmilter, smfi_setreply and
// smfi_setmlreply).
func answerOf(action *milter.Action, err error) (Answer, error) {
	if err != nil {
		return Answer{}, err
	}
	switch action.Code {
	case milter.ActReplyCode:
		lines := strings.Split(strings.ReplaceAll(action.SMTPText, "%%", "%"), "\r\n")
		for i := 1; i < len(lines); i++ {
			lines[i] = lines[i][min(len("550 "), len(lines[i])):]
		}
		return Answer{Code: action.SMTPCode, Text: strings.Join(lines, "\n")}, nil
	case milter.ActReject:
		return Answer{Code: 550, Text: refusedText}, nil
	case milter.ActTempFail:
		return Answer{Code: deferredCode, Text: deferredText}, nil
	}
	return Answer{Code: taken}, nil
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
