package notify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
)

// mostAnswers bounds what a server may say in one session; an honest one says some
// hundred octets.
const mostAnswers = 64 << 10

// mta is a conversation with the local MTA (RFC 5321). It trusts the MTA with the
// mail and with nothing else: no login, no TLS.
type mta struct {
	conn net.Conn
	r    *textproto.Reader
	w    *textproto.Writer
}

// dialMTA opens the conversation, which ends with ctx.
func dialMTA(ctx context.Context, address, host string) (*mta, func(), error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	// Closing it is what ends a read or write of a server that has fallen silent.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	m := &mta{
		conn: conn,
		r:    textproto.NewReader(bufio.NewReader(io.LimitReader(conn, mostAnswers))),
		w:    textproto.NewWriter(bufio.NewWriter(conn)),
	}
	end := func() {
		stop()
		conn.Close()
	}
	if err := m.greet(host); err != nil {
		end()
		return nil, nil, err
	}
	return m, end, nil
}

// greet: a server that refuses us at the door may be one that is starting up, so
// no answer of it is for ever.
func (m *mta) greet(host string) error {
	if _, _, err := m.r.ReadResponse(220); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	err := m.ask(250, "EHLO %s", host)
	if isAnswer(err) {
		err = m.ask(250, "HELO %s", host)
	}
	return err
}

// ask sends a command and wants this code.
func (m *mta) ask(code int, format string, args ...any) error {
	verb, _, _ := strings.Cut(format, " ")
	if err := m.w.PrintfLine(format, args...); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if _, _, err := m.r.ReadResponse(code); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// begin names sender and recipients and says which of them the server takes. It is
// an error when there is none; the others' answers are in refused.
func (m *mta) begin(from string, to []string) (taken []string, refused, err error) {
	if err := m.ask(250, "MAIL FROM:<%s>", from); err != nil {
		return nil, nil, lasting(err)
	}
	var last error
	for _, rcpt := range to {
		err := m.ask(25, "RCPT TO:<%s>", rcpt) // 250 or 251
		if err == nil {
			taken = append(taken, rcpt)
			continue
		}
		err = fmt.Errorf("%s: %w", rcpt, err)
		if !isAnswer(err) {
			return nil, nil, err
		}
		// One that may be taken later is a reason to try again when nobody is taken now.
		if last == nil || !isLasting(err) {
			last = err
		}
		refused = errors.Join(refused, err)
	}
	if len(taken) == 0 {
		return nil, nil, lasting(last)
	}
	return taken, refused, nil
}

// data sends the message, whose lines end in CRLF.
func (m *mta) data(text []byte) error {
	if err := m.ask(354, "DATA"); err != nil {
		return lasting(err)
	}
	w := m.w.DotWriter()
	_, err := w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if _, _, err := m.r.ReadResponse(250); err != nil {
		return lasting(fmt.Errorf("message: %w", err))
	}
	// It is taken: what becomes of the goodbye changes nothing.
	_ = m.w.PrintfLine("QUIT")
	return nil
}

// isAnswer says that the server has refused, as against one that went away.
func isAnswer(err error) bool {
	var answer *textproto.Error
	return errors.As(err, &answer)
}

func isLasting(err error) bool {
	var answer *textproto.Error
	return errors.As(err, &answer) && answer.Code/100 == 5
}

// lasting marks what RFC 5321 4.2.1 says not to repeat.
func lasting(err error) error {
	if isLasting(err) {
		return permanent{err}
	}
	return err
}
