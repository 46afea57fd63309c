package demo

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"o2n-milter/hold/wire"
	"o2n-milter/message"
)

const (
	// mostMail is the largest message the door takes, as Postfix by default
	// (message_size_limit).
	mostMail = 10_240_000
	// mostRecipients of one message, as Postfix by default (smtpd_recipient_limit).
	mostRecipients = 1000
	// longestLine is more than RFC 5321 4.5.3.1.6 has: HTML comes in one line, and
	// Postfix takes and folds it.
	longestLine = 1 << 20
	// idleTime ends a session whose client says nothing (RFC 5321 4.5.3.2.7).
	idleTime = 5 * time.Minute
)

// Mail is a message that the door has answered.
type Mail struct {
	From          net.Addr // the client
	QueueID       string
	Login, Sender string // Login is empty without one
	Recipients    int
	Answer        Answer
}

// Door is a small SMTP server that asks the filter about each message. What the
// filter lets through is thrown away, what it holds goes to the queue.
type Door struct {
	filter   string // the filter's host:port
	host     string // the MTA's own name
	queue    *Queue
	answered func(Mail) // told of each message before its client is
	server   *smtp.Server
	mails    atomic.Uint32
}

func newDoor(filter string, queue *Queue, errorLog io.Writer, answered func(Mail)) *Door {
	d := &Door{filter: filter, host: queue.host, queue: queue, answered: answered}
	d.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{door: d, conn: c}, nil
	}))
	d.server.Domain = d.host
	d.server.AllowInsecureAuth = true // it is loopback, and no password is looked at
	d.server.EnableSMTPUTF8 = true
	d.server.MaxMessageBytes, d.server.MaxRecipients = mostMail, mostRecipients
	d.server.MaxLineLength = longestLine
	d.server.ReadTimeout, d.server.WriteTimeout = idleTime, idleTime
	d.server.ErrorLog = log.New(errorLog, "door: ", log.LstdFlags)
	return d
}

// Serve takes mail until Close.
func (d *Door) Serve(ln net.Listener) error { return d.server.Serve(ln) }

// Close ends all sessions.
func (d *Door) Close() error { return d.server.Close() }

// session is an SMTP session. There is one with the filter behind it from the first
// MAIL on, as long as the filter answers.
type session struct {
	door   *Door
	conn   *smtp.Conn
	login  string
	filter *Filter // nil: not connected, or it has gone

	sender     string
	recipients []string
	queueID    string
}

var _ smtp.AuthSession = (*session)(nil)

// AuthMechanisms are those by which a client may log in.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth takes any password, and any login: whose it is, is for the filter to judge.
func (s *session) Auth(mech string) (sasl.Server, error) {
	if mech != sasl.Plain {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(func(identity, username, _ string) error {
		if username == "" || identity != "" && identity != username {
			return smtp.ErrAuthFailed
		}
		s.login = username
		return nil
	}), nil
}

// Mail begins a message.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.filter == nil {
		var err error
		if s.filter, err = Dial(s.door.filter, s.door.host, clientOf(s.conn)); err != nil {
			return s.gone(err)
		}
	}
	s.sender, s.recipients = from, nil
	s.queueID = queueID(s.door.mails.Add(1))
	return s.reply(s.filter.Mail(from, s.login))
}

// Rcpt takes a recipient.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.filter == nil {
		return s.gone(errNoFilter)
	}
	if err := s.reply(s.filter.Rcpt(to, s.queueID)); err != nil {
		return err
	}
	s.recipients = append(s.recipients, to)
	return nil
}

// Data takes the message and does with it as the filter says.
func (s *session) Data(r io.Reader) error {
	raw, err := message.Split(r, mostMail)
	if tooLarge := (*smtp.SMTPError)(nil); errors.As(err, &tooLarge) {
		return tooLarge
	}
	if err != nil {
		return err
	}
	if s.filter == nil {
		return s.gone(errNoFilter)
	}
	answer, err := s.filter.End(raw.Fields, raw.Body, s.queueID)
	if err != nil {
		answer = Answer{Code: deferredCode, Text: deferredText}
	}
	if answer.Held != "" {
		s.door.queue.put(wire.Queued{
			ID: s.queueID, Arrived: time.Now().Truncate(time.Second), From: s.sender, Reason: answer.Held,
			Recipients: s.recipients[:min(len(s.recipients), wire.MaxRecipients)], Count: len(s.recipients), Size: raw.Size,
		})
	}
	s.door.answered(Mail{
		From: s.conn.Conn().RemoteAddr(), QueueID: s.queueID, Login: s.login, Sender: s.sender,
		Recipients: len(s.recipients), Answer: answer,
	})
	if err := s.reply(answer, err); err != nil {
		return err
	}
	// The library has no other way to say more than "OK: queued". Postfix says the
	// same of mail on hold.
	return &smtp.SMTPError{Code: taken, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok: queued as " + s.queueID}
}

// Reset ends a message. The library calls it after each.
func (s *session) Reset() {
	if s.filter != nil && s.filter.Abort() != nil {
		s.drop()
	}
}

// Logout ends the session.
func (s *session) Logout() error {
	if s.filter != nil {
		s.drop()
	}
	return nil
}

func (s *session) drop() {
	s.filter.Close()
	s.filter = nil
}

var errNoFilter = errors.New("the filter has gone in mid-message")

// reply is the filter's answer in SMTP; nil for what is taken.
func (s *session) reply(a Answer, err error) error {
	if err != nil {
		s.drop()
		return s.gone(err)
	}
	if a.Code == taken {
		return nil
	}
	// Each line has its own enhanced code already.
	return &smtp.SMTPError{Code: a.Code, EnhancedCode: smtp.NoEnhancedCode, Message: a.Text}
}

// gone is the answer while there is no filter, that of Postfix with
// milter_default_action = tempfail.
func (s *session) gone(err error) error {
	s.door.server.ErrorLog.Printf("filter at %s: %v", s.door.filter, err)
	return &smtp.SMTPError{Code: deferredCode, EnhancedCode: smtp.NoEnhancedCode, Message: deferredText}
}

// clientOf is the client of a connection.
func clientOf(c *smtp.Conn) Client {
	// What is no address, none of our listeners have.
	from, _ := netip.ParseAddrPort(c.Conn().RemoteAddr().String())
	to, _ := netip.ParseAddrPort(c.Conn().LocalAddr().String()) // a pipe has none
	return Client{Addr: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), Helo: c.Hostname(), Server: to.Addr().Unmap()}
}

// queueID has the form of Postfix' short ids.
func queueID(n uint32) string { return fmt.Sprintf("D0%08X", n) }
