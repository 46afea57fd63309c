package milter

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/internal/chaos"
	"o2n-milter/rules"
)

// session collects the facts of one connection's messages and asks for the
// verdict at the end of each. There is one for each connection, from first to
// last byte: event sees every packet first and answers nearly all of them. The library
// negotiates, writes what is to be changed in a message, and ends the session.
type session struct {
	gomilter.NoOpMilter // for the library, which calls nothing of it but Body

	server  *Server
	conn    *conn
	counts  *counts // of the listener that it came through
	terms   terms
	macros  macros
	client  client
	msg     *draft        // nil between messages
	changes rules.Verdict // on msg, while the library writes what it changes
	broken  bool          // a panic outside of messages: none can be judged any more
	aside   *aside        // nil before the first end of a message
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
	chaos.Point("packet")
	if !s.terms.agreed && command != gomilter.CodeOptNeg && command != gomilter.CodeQuit {
		return false, fmt.Errorf("command %q before negotiation", code)
	}
	switch command {
	case gomilter.CodeOptNeg:
		s.conn.phase = phaseNegotiated
		s.server.sessions.negotiated(s.conn)
		return true, s.terms.offer(data)
	case gomilter.CodeConn:
		if err := s.connected(data); err != nil {
			return false, err
		}
		s.acknowledge(gomilter.OptNoConnReply)
	case gomilter.CodeHelo: // says nothing that is used; in mid-message Postfix sends ABORT after it
		s.acknowledge(gomilter.OptNoHeloReply)
	case gomilter.CodeMacro:
		return false, s.keepMacros(data)
	case gomilter.CodeMail:
		s.begin(data)
		s.acknowledge(gomilter.OptNoMailReply)
	case gomilter.CodeRcpt:
		s.conn.send(s.recipient(data))
	case gomilter.CodeHeader:
		s.guard("header", func() {
			chaos.Point("field")
			s.draft().addField(data)
		})
		s.acknowledge(gomilter.OptNoHeaderReply)
	case gomilter.CodeEOH:
		s.acknowledge(gomilter.OptNoEOHReply)
	case gomilter.CodeBody:
		s.guard("body", func() { s.addBody(data) })
		s.acknowledge(gomilter.OptNoBodyReply)
	case gomilter.CodeEOB: // may bring the last of the body
		s.guard("body", func() { s.addBody(data) })
		return s.end()
	case gomilter.CodeAbort:
		s.abort()
	case gomilter.CodeData, codeUnknown: // on codeUnknown the library would hang up
		s.conn.sendContinue()
	case gomilter.CodeQuit:
		return true, nil
	case gomilter.CodeQuitNewConn: // another SMTP session follows, on the same terms
		s.conn.unkeep()
		s.forget()
		s.macros, s.client = macros{}, client{}
	default:
		return false, fmt.Errorf("unknown command %q", code)
	}
	return false, nil
}

// outgoing is called for every packet the library sends.
func (s *session) outgoing(packet []byte) []byte {
	if len(packet) >= 5+12 && gomilter.Code(packet[4]) == gomilter.CodeOptNeg {
		return s.terms.answer(packet)
	}
	return packet
}

// acknowledge answers a command, if the MTA waits for that.
func (s *session) acknowledge(noReply gomilter.OptProtocol) {
	if !s.terms.silent(noReply) {
		s.conn.sendContinue()
	}
}

// connected takes CONNECT. A second one is a new SMTP session, which inherits no login.
func (s *session) connected(data []byte) error {
	if s.client.known {
		s.conn.unkeep()
	}
	s.macros.connect.claim()
	s.abort()
	var err error
	if s.client, err = readClient(data, &s.macros.connect); err != nil {
		return err
	}
	s.conn.phase = phaseConnected
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
	d := newDraft(&s.server.memory)
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
			s.conn.log().Error("milter: panic", "stage", stage, "panic", p, "stack", string(debug.Stack()))
			if s.msg != nil {
				s.msg.broken = true
			} else {
				s.broken = true
			}
		}
	}()
	f()
}

// begin begins a message, also where the last one saw no end: Sendmail sends
// no ABORT after a message, nor after a MAIL it refused itself.
func (s *session) begin(data []byte) {
	s.macros.mail.claim()
	s.macros.rcpt.drop() // of a recipient that the message before did not get
	stray := s.msg != nil && !s.msg.mailSeen
	s.forget()
	s.msg = s.newDraft()
	s.guard("MAIL", func() { s.msg.begin(cString(data), &s.macros.mail, s.server.Judge) })
	if stray {
		s.msg.fault("command before MAIL")
	}
}

// recipient takes RCPT and gives the answer. One by itself is never refused, for the message
// is decided on as a whole: either all of them are, when there is no time for it, or none.
func (s *session) recipient(data []byte) (answer []byte) {
	s.macros.rcpt.claim()
	answer = continueAnswer
	s.guard("RCPT", func() {
		d := s.draft()
		s.turnAway(d)
		if d.refused != nil {
			answer = d.refused
			return
		}
		d.addRecipient(cString(data), &s.macros.rcpt)
	})
	return answer
}

// turnAway asks, at the first recipient, whether there is time for a message. What the MTA
// was told by the process before is not known: it was taken, or is not heard of again.
func (s *session) turnAway(d *draft) {
	if d.refused != nil || d.judge == nil || len(d.mail.Recipients) > 0 || s.conn.told() {
		return
	}
	begun := time.Now()
	if v, away := d.judge.TurnsAway(&d.mail, s.server.DecideTimeout); away {
		d.refused = replyPacket(replyLine(&v))
		s.server.Recorder.Record(&d.mail, v, time.Since(begun))
		s.server.slow()
	}
}

// addBody takes a packet of the body, which becomes the body itself where it is large and
// the first.
func (s *session) addBody(chunk []byte) {
	d := s.draft()
	if len(d.mail.Body) == 0 && d.wantsBody() && len(chunk) <= rules.MaxBody {
		if packet := s.conn.giveAway(); packet != nil {
			d.takeBody(chunk, packet)
			return
		}
	}
	d.addBody(chunk)
}

// end is the end of the message. It says whether the library is to see it, to write what
// is to be changed.
func (s *session) end() (changes bool, err error) {
	d := s.draft()
	if s.conn.told() { // the verdict went out before the process ended
		s.forget()
		s.conn.sendContinue()
		return false, nil
	}
	if d.refused != nil {
		s.conn.send(d.refused)
		s.forget()
		return false, nil
	}
	if !d.mailSeen {
		d.fault("end of message without MAIL")
	}
	start := time.Now()
	v, err := s.verdict(d, start)
	if err != nil {
		d.memory.giveBack()
		s.server.late.Add(-1)
		return false, err
	}
	return s.answer(d, v, start), nil
}

// answer answers a message and says whether the library has something to change in it.
func (s *session) answer(d *draft, v rules.Verdict, start time.Time) (changes bool) {
	took := time.Since(start)
	s.counts.message(&d.mail, &s.macros, &v)
	s.guard("record", func() { s.server.Recorder.Record(&d.mail, v, took) })
	switch {
	case v.Action == rules.Tempfail || v.Action == rules.Reject:
		s.forget()
		s.conn.send(replyPacket(replyLine(&v)))
	case v.Action == rules.Accept && d.marks == 0:
		s.forget()
		s.conn.sendContinue()
	default:
		s.changes = v
		return true
	}
	return false
}

// Body is the library's call for what is to be changed in a message.
func (s *session) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	s.change(m, s.msg, &s.changes)
	s.changes = rules.Verdict{}
	s.forget()
	return gomilter.RespContinue, nil
}

// abort forgets the message. Postfix sends it after each message too, often
// twice, Sendmail only on RSET and EHLO.
func (s *session) abort() {
	s.forget()
	s.macros.mail.drop()
	s.macros.rcpt.drop()
}

// forget ends the message under way.
func (s *session) forget() {
	if s.msg != nil {
		s.msg.recycle()
		s.msg = nil
	}
}
