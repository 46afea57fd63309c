package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"
)

// Result is what became of one transaction.
type Result struct {
	// ID stands in the message's X-Load field.
	ID string
	// Code of the reply that ended the transaction; 0 when the connection broke.
	Code int
	// Text of the reply, or what broke.
	Text string
	// Took is the transaction from its MAIL, or from the connection that was made for
	// it, to its last reply.
	Took time.Duration

	last bool
}

// patience is what a client waits for one reply: RFC 5321 4.5.3.2.6 says ten minutes
// after the final dot, mail programs rather less.
const patience = 2 * time.Minute

// think is what a client pauses between its commands, so that there is a message
// under way at most times.
const think = 10 * time.Millisecond

// client sends messages as one login.
type client struct {
	server, login, password string
	first                   time.Time
	every                   time.Duration // from one message to the next
	perConnection           int

	conn net.Conn
	smtp *smtp.Client // nil when there is no connection
	left int          // messages until QUIT
}

// send sends a message at every tick until ctx ends. Ticks that passed while it waited
// for a reply are made up for.
func (c *client) send(ctx context.Context, results chan<- Result) {
	defer c.quit()
	for n := 1; ; n++ {
		tick := time.NewTimer(time.Until(c.first.Add(time.Duration(n) * c.every)))
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		results <- c.message(fmt.Sprintf("%s/%d", c.login, n), n)
	}
}

// message is one transaction with its result.
func (c *client) message(id string, n int) Result {
	from := time.Now()
	err := c.transaction(id, n)
	r := Result{ID: id, Code: 250, Took: time.Since(from)}
	if err != nil {
		r.Code, r.Text = 0, err.Error()
		if reply := (*textproto.Error)(nil); errors.As(err, &reply) {
			r.Code, r.Text = reply.Code, reply.Msg
		}
		c.drop()
		return r
	}
	if c.left--; c.left == 0 {
		c.quit()
	}
	return r
}

func (c *client) transaction(id string, n int) error {
	if c.smtp == nil {
		if err := c.connect(); err != nil {
			return err
		}
	}
	c.conn.SetDeadline(time.Now().Add(patience))
	if err := c.smtp.Mail(c.login); err != nil {
		return err
	}
	time.Sleep(think)
	if err := c.smtp.Rcpt("reader@remote.example"); err != nil {
		return err
	}
	time.Sleep(think)
	w, err := c.smtp.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(letter(c.login, id, n)); err != nil {
		return err
	}
	return w.Close()
}

func (c *client) connect() error {
	conn, err := net.DialTimeout("tcp", c.server, patience)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(patience))
	c.conn = conn
	// Plain passwords are for this name only, as the connection is not encrypted.
	if c.smtp, err = smtp.NewClient(conn, "127.0.0.1"); err != nil {
		conn.Close()
		c.smtp = nil
		return err
	}
	c.left = c.perConnection
	return c.smtp.Auth(smtp.PlainAuth("", c.login, c.password, "127.0.0.1"))
}

func (c *client) quit() {
	if c.smtp != nil {
		c.smtp.Quit()
		c.drop()
	}
}

// drop hangs up: what the server thinks of the rest of the session is not asked.
func (c *client) drop() {
	if c.smtp != nil {
		c.smtp.Close()
		c.smtp = nil
	}
}

// letter is a message of its own words: 1 KB, every tenth one 64 KB.
func letter(login, id string, n int) []byte {
	size := 1 << 10
	if n%10 == 0 {
		size = 64 << 10
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <reader@remote.example>\r\nSubject: letter %d\r\nMessage-ID: <%d.%s>\r\n%s: %s\r\n\r\n", login, n, n, login, idField, id)
	for b.Len() < size {
		fmt.Fprintf(&b, "%x %x %x %x\r\n", rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64())
	}
	return []byte(b.String())
}
