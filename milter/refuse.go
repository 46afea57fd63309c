package milter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/rules"
)

// refusals are the connections over the caps. They are taken in to be told so, since an
// MTA that finds its milter closed answers as it is configured to, and perhaps not at all:
// as many as there may be sessions, and they are neither kept on the shelf nor waited for.
type refusals struct {
	max, perClient int

	mu      sync.Mutex
	open    map[net.Conn]netip.Addr
	clients map[netip.Addr]int
	over    bool
}

func (r *refusals) init(max, perClient int) {
	r.max, r.perClient = max, perClient
	r.open, r.clients = map[net.Conn]netip.Addr{}, map[netip.Addr]int{}
}

// add lets a connection in to be refused, unless there are too many of these, too.
func (r *refusals) add(nc net.Conn, client netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.max > 0 && len(r.open) >= r.max || r.perClient > 0 && r.clients[client] >= r.perClient {
		return false
	}
	r.open[nc] = client
	if client.IsValid() {
		r.clients[client]++
	}
	return true
}

func (r *refusals) remove(nc net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	client := r.open[nc]
	delete(r.open, nc)
	if r.clients[client]--; r.clients[client] <= 0 {
		delete(r.clients, client)
	}
}

// close ends them all: none has a message.
func (r *refusals) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for nc := range r.open {
		nc.Close()
	}
}

// refuse answers a connection over a cap; why says over which.
func (s *Server) refuse(c *conn, why error) {
	readers.Put(c.in)
	if !s.refusals.add(c.Conn, c.client) {
		c.warn("milter: connection refused", "reason", why)
		c.Conn.Close()
		return
	}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		r := refusal{server: s, nc: c.Conn, in: bufio.NewReaderSize(c.Conn, refusalSize), why: why}
		defer func() {
			if p := recover(); p != nil {
				c.log().Error("milter: panic", "stage", "refusal", "panic", p, "stack", string(debug.Stack()))
			}
			s.refusals.remove(c.Conn)
			c.Conn.Close()
		}()
		if err := r.serve(); err != nil {
			c.warn("milter: connection closed", "err", err)
		}
	}()
}

// refusalPause is how long who is refused for want of time waits to be told so: who sends
// again at once, as programs do, would take the time that others' mail is judged in.
const refusalPause = time.Second

// slow waits for the pause, not beyond the server's end.
func (s *Server) slow() {
	select {
	case <-time.After(refusalPause):
	case <-s.stopping:
	}
}

// refusalSize is what is looked at of a packet: macros and addresses of usual length.
const refusalSize = 1 << 10

// refusal is a session over a cap: all that it gets is a refusal of each message, at MAIL.
// At CONNECT both MTAs would carry it to AUTH as well, where clients take it for a wrong
// password, and Sendmail would put a text of its own in its place. It stays open for as
// long as the others do: when it is closed, the MTA does what it is told to do without
// its milter.
type refusal struct {
	server  *Server
	nc      net.Conn
	in      *bufio.Reader
	why     error
	terms   terms
	macros  macros // of CONNECT and MAIL
	mail    rules.Mail
	refused []byte // the answer to the last message
}

// serve comes back when the MTA has gone; with an error when what it says is not of the
// protocol.
func (r *refusal) serve() error {
	patience := firstPacketTime
	for {
		r.nc.SetDeadline(time.Now().Add(patience))
		head, err := r.in.Peek(5)
		if err != nil {
			return nil
		}
		length := int(binary.BigEndian.Uint32(head))
		if length == 0 || length > maxPacket {
			return fmt.Errorf("packet of %d bytes; want 1 to %d", length, maxPacket)
		}
		command, size := gomilter.Code(head[4]), 4+length
		packet, err := r.in.Peek(min(size, refusalSize))
		if err != nil || command == gomilter.CodeQuit {
			return nil
		}
		answer, err := r.take(command, packet[5:])
		if err != nil {
			return err
		}
		if command == gomilter.CodeMail {
			r.server.slow()
		}
		if _, err := r.in.Discard(size); err != nil {
			return nil
		}
		if len(answer) > 0 {
			if _, err := r.nc.Write(answer); err != nil {
				return nil
			}
		}
		patience = idleTime
	}
}

// take gives the answer to a command; empty when there is none.
func (r *refusal) take(command gomilter.Code, data []byte) (answer []byte, err error) {
	if !r.terms.agreed && command != gomilter.CodeOptNeg {
		return nil, fmt.Errorf("command %q before negotiation", command)
	}
	switch command {
	case gomilter.CodeOptNeg:
		return r.negotiate(data)
	case gomilter.CodeMacro:
		r.keepMacros(data)
		return nil, nil
	case gomilter.CodeConn:
		r.connected(data)
		return r.unless(gomilter.OptNoConnReply), nil
	case gomilter.CodeHelo:
		return r.unless(gomilter.OptNoHeloReply), nil
	case gomilter.CodeAbort, gomilter.CodeQuitNewConn:
		return nil, nil
	}
	if command == gomilter.CodeMail || r.refused == nil {
		r.refuse(data)
	}
	return r.refused, nil
}

// negotiate asks for nothing but silence where nothing is refused.
func (r *refusal) negotiate(data []byte) (answer []byte, err error) {
	if err := r.terms.offer(data); err != nil {
		return nil, err
	}
	r.terms.actions, r.terms.protocol = 0, r.terms.protocol&(gomilter.OptNoConnReply|gomilter.OptNoHeloReply)
	answer = []byte{0, 0, 0, 13, byte(gomilter.CodeOptNeg), 0, 0, 0, 2, 0, 0, 0, 0} // version 2, no actions
	return binary.BigEndian.AppendUint32(answer, uint32(r.terms.protocol)), nil
}

func (r *refusal) unless(noReply gomilter.OptProtocol) []byte {
	if r.terms.silent(noReply) {
		return nil
	}
	return continueAnswer
}

func (r *refusal) keepMacros(data []byte) {
	if len(data) == 0 {
		return
	}
	switch gomilter.Code(data[0]) {
	case gomilter.CodeConn:
		r.macros.connect.set(data[1:])
	case gomilter.CodeMail:
		r.macros.mail.set(data[1:])
	}
}

// connected notes who is there, for the log; what cannot be read is left out.
func (r *refusal) connected(data []byte) {
	if c, err := readClient(data, &r.macros.connect); err == nil {
		r.mail = rules.Mail{Client: c.addr, ClientName: c.name, Local: c.local, Host: c.host}
	}
}

// refuse makes a verdict on the message that begins.
func (r *refusal) refuse(data []byte) {
	begun := time.Now()
	r.macros.mail.claim()
	m := r.mail
	m.Login, _ = r.macros.mail.get(authAuthen)
	m.QueueID, _ = r.macros.mail.get(queueID)
	m.Sender = string(envelopeAddress(cString(data), &r.macros.mail, mailAddr))
	v := rules.Overloaded(&m, begun, r.why)
	r.refused = replyPacket(replyLine(&v))
	r.server.Recorder.Record(&m, v, time.Since(begun))
}
