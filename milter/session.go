package milter

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"

	gomilter "github.com/emersion/go-milter"
)

// session collects the facts of one connection's messages and asks for the
// verdict at the end of each. There is one for each connection, from first to
// last byte: event sees every packet first, the library calls the rest.
type session struct {
	gomilter.NoOpMilter // Header, Headers, BodyChunk: event keeps their packets

	server *Server
	conn   *conn
	counts *counts // of the listener that it came through
	terms  terms
	macros macros
	client client
	arg    string // raw first argument of the MAIL or RCPT that the library is about to tell
	msg    *draft // nil between messages
	broken bool   // a panic outside of messages: none can be judged any more
}

// underWay says whether the MTA is waiting for a verdict, now or later.
func (s *session) underWay() bool { return s.msg != nil || s.macros.mail.fresh }

// settled says whether nothing that came is needed any more but what CONNECT said.
func (s *session) settled() bool {
	return s.conn.phase == phaseConnected && !s.underWay() && !s.broken && !s.macros.connect.fresh && !s.macros.rcpt.fresh
}

// event takes a packet and says whether the library is to see it too. An error
// ends the connection.
func (s *session) event(code byte, data []byte) (forward bool, err error) {
	command := gomilter.Code(code)
	if !s.terms.agreed && command != gomilter.CodeOptNeg && command != gomilter.CodeQuit {
		return false, fmt.Errorf("command %q before negotiation", code)
	}
	switch command {
	case gomilter.CodeOptNeg:
		s.conn.phase = phaseNegotiated
		return true, s.terms.offer(data)
	case gomilter.CodeConn:
		return true, s.connected(data)
	case gomilter.CodeMacro:
		return false, s.keepMacros(data)
	case gomilter.CodeMail:
		s.arg = cString(data)
		s.macros.mail.claim()
		return true, nil
	case gomilter.CodeRcpt:
		s.arg = cString(data)
		s.macros.rcpt.claim()
		return true, nil
	case gomilter.CodeHeader:
		s.guard("header", func() { s.draft().addField(data) })
		s.acknowledge(gomilter.OptNoHeaderReply)
		return false, nil
	case gomilter.CodeEOH:
		s.acknowledge(gomilter.OptNoEOHReply)
		return false, nil
	case gomilter.CodeBody:
		s.guard("body", func() { s.draft().addBody(data) })
		s.acknowledge(gomilter.OptNoBodyReply)
		return false, nil
	case gomilter.CodeEOB: // may bring the last of the body
		s.guard("body", func() { s.draft().addBody(data) })
		return true, nil
	case gomilter.CodeHelo, gomilter.CodeData, gomilter.CodeAbort, gomilter.CodeQuit:
		return true, nil
	case codeUnknown: // the library would hang up
		s.conn.sendCode(byte(gomilter.ActContinue))
		return false, nil
	case gomilter.CodeQuitNewConn: // another SMTP session follows, on the same terms
		s.conn.unkeep()
		s.msg, s.macros, s.client = nil, macros{}, client{}
		return false, nil
	}
	return false, fmt.Errorf("unknown command %q", code)
}

// outgoing is called for every packet the library sends.
func (s *session) outgoing(packet []byte) []byte {
	if len(packet) >= 5+12 && gomilter.Code(packet[4]) == gomilter.CodeOptNeg {
		return s.terms.answer(packet)
	}
	return packet
}

// acknowledge answers a command that the library does not see.
func (s *session) acknowledge(noReply gomilter.OptProtocol) {
	if !s.terms.silent(noReply) {
		s.conn.sendCode(byte(gomilter.ActContinue))
	}
}

// reply is the library's answer to a stage: an untyped nil sends nothing.
func (s *session) reply(noReply gomilter.OptProtocol) gomilter.Response {
	if s.terms.silent(noReply) {
		return nil
	}
	return gomilter.RespContinue
}

// connected takes CONNECT. A second one is a new SMTP session.
func (s *session) connected(data []byte) error {
	if s.client.known {
		s.conn.unkeep()
	}
	s.macros.connect.claim()
	s.msg = nil
	var err error
	if s.client, err = readClient(data, &s.macros.connect); err != nil {
		return err
	}
	s.conn.phase = phaseConnected
	s.server.sessions.connected(s.conn)
	s.counts.session(&s.terms)
	return nil
}

// keepMacros files macros under the command they go with. The queue id is taken
// from any stage of a message: Postfix knows it from the second RCPT on.
func (s *session) keepMacros(data []byte) error {
	if len(data) == 0 {
		return errors.New("macros for no command")
	}
	switch command, raw := gomilter.Code(data[0]), data[1:]; command {
	case gomilter.CodeConn:
		s.macros.connect.set(raw)
	case gomilter.CodeHelo:
	case gomilter.CodeMail:
		s.macros.mail.set(raw)
	case gomilter.CodeRcpt:
		s.macros.rcpt.set(raw)
		fallthrough
	default:
		if s.msg != nil {
			s.msg.setQueueID(raw)
		}
	}
	return nil
}

// draft is the message under way; a command that comes before MAIL begins one
// that is at fault.
func (s *session) draft() *draft {
	if s.msg == nil {
		s.msg = s.newDraft()
		s.msg.fault("command before MAIL")
	}
	return s.msg
}

// newDraft begins a message with what is known of the connection.
func (s *session) newDraft() *draft {
	d := &draft{}
	d.mail.Client, d.mail.ClientName = s.client.addr, s.client.name
	d.mail.Local, d.mail.Host = s.client.local, s.client.host
	d.mail.CanHold = s.terms.may(gomilter.OptQuarantine)
	if !s.client.known {
		d.fault("command before CONNECT")
	}
	if s.client.faulty {
		d.fault("client address that cannot be read")
	}
	return d
}

// guard keeps a panic from ending the session; the message it hit is answered
// with internal.panic at its end.
func (s *session) guard(stage string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.conn.log.Error("milter: panic", "stage", stage, "panic", p, "stack", string(debug.Stack()))
			if s.msg != nil {
				s.msg.broken = true
			} else {
				s.broken = true
			}
		}
	}()
	f()
}

// Connect is answered by what event made of it.
func (s *session) Connect(string, string, uint16, net.IP, *gomilter.Modifier) (gomilter.Response, error) {
	return s.reply(gomilter.OptNoConnReply), nil
}

// Helo says nothing that is used. In mid-message Postfix sends ABORT after it.
func (s *session) Helo(string, *gomilter.Modifier) (gomilter.Response, error) {
	return s.reply(gomilter.OptNoHeloReply), nil
}

// MailFrom begins a message, also where the last one saw no end: Sendmail sends
// no ABORT after a message, nor after a MAIL it refused itself.
func (s *session) MailFrom(string, *gomilter.Modifier) (gomilter.Response, error) {
	stray := s.msg != nil && !s.msg.mailSeen
	s.msg = s.newDraft()
	s.guard("MAIL", func() { s.msg.begin(s.arg, &s.macros.mail, s.server.Judge) })
	if stray {
		s.msg.fault("command before MAIL")
	}
	return s.reply(gomilter.OptNoMailReply), nil
}

// RcptTo never refuses: it would block a whole local submission on Postfix, and
// the message is decided on as a whole.
func (s *session) RcptTo(string, *gomilter.Modifier) (gomilter.Response, error) {
	s.guard("RCPT", func() { s.draft().addRecipient(s.arg, &s.macros.rcpt) })
	return gomilter.RespContinue, nil
}

// Body is the end of the message.
func (s *session) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	d := s.draft()
	if s.conn.told() { // the verdict went out before the process ended
		s.msg = nil
		return gomilter.RespContinue, nil
	}
	if !d.mailSeen {
		d.fault("end of message without MAIL")
	}
	v, took := s.verdict(d)
	response := s.answer(m, d, &v)
	s.counts.message(&d.mail, &s.macros, &v)
	s.guard("record", func() { s.server.Recorder.Record(&d.mail, v, took) })
	s.msg = nil
	return response, nil
}

// Abort forgets the message. Postfix sends it after each message too, often
// twice, Sendmail only on RSET and EHLO.
func (s *session) Abort(*gomilter.Modifier) error {
	s.msg = nil
	s.macros.mail, s.macros.rcpt = macroList{}, macroList{}
	return nil
}
