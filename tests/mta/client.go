package mta

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replyTimeout bounds the wait for one SMTP reply, unless a test has more Patience; a
// milter may take 30 s.
const replyTimeout = 40 * time.Second

// Reply is one SMTP reply. Text is the last line without code and enhanced code.
type Reply struct {
	Code     int
	Enhanced string // empty when there is none
	Text     string
}

func (r Reply) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, strings.TrimSpace(r.Enhanced+" "+r.Text)))
}

// ParseReply reads one reply line.
func ParseReply(line string) (Reply, error) {
	line = strings.TrimRight(line, "\r\n")
	if len(line) < 3 {
		return Reply{}, fmt.Errorf("reply %q: too short", line)
	}
	code, err := strconv.Atoi(line[:3])
	if err != nil {
		return Reply{}, fmt.Errorf("reply %q: no code", line)
	}
	r := Reply{Code: code, Text: strings.TrimLeft(line[3:], " -")}
	first, rest, _ := strings.Cut(r.Text, " ")
	if isEnhanced(first, line[0]) {
		r.Enhanced, r.Text = first, rest
	}
	return r, nil
}

// isEnhanced checks for class.subject.detail (RFC 3463) of the reply code's own class.
func isEnhanced(s string, class byte) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != string(class) {
		return false
	}
	for _, p := range parts[1:] {
		if n, err := strconv.Atoi(p); err != nil || n < 0 {
			return false
		}
	}
	return true
}

// Client is an SMTP client that sends exactly the bytes it is given.
type Client struct {
	// Patience bounds the wait for a reply.
	Patience time.Duration

	t    testing.TB
	tcp  *net.TCPConn
	conn net.Conn // tcp, or TLS over it
	in   *bufio.Reader
}

// Dial connects and reads the greeting.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	return DialFrom(t, "", addr)
}

// DialFrom is Dial from an address of this machine's, any one if it is empty.
func DialFrom(t testing.TB, from, addr string) *Client {
	t.Helper()
	d := net.Dialer{Timeout: startTimeout}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{Patience: replyTimeout, t: t, tcp: conn.(*net.TCPConn), conn: conn, in: bufio.NewReader(conn)}
	t.Cleanup(func() { conn.Close() })
	if r := c.Read(); r.Code != 220 {
		t.Fatalf("greeting of %s: %v", addr, r)
	}
	return c
}

// Login dials, says EHLO and authenticates.
func Login(t testing.TB, addr, login string) *Client {
	t.Helper()
	c := Dial(t, addr)
	c.Must(250, "EHLO client.example")
	c.Must(235, plainAuth(login))
	return c
}

// plainAuth is the AUTH command of RFC 4616 with an initial response.
func plainAuth(login string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+Password))
}

// Read reads one reply, all its lines.
func (c *Client) Read() Reply {
	c.t.Helper()
	r, err := c.Next()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// Next is Read for a server that may have hung up.
func (c *Client) Next() (Reply, error) {
	c.conn.SetReadDeadline(time.Now().Add(c.Patience))
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return Reply{}, fmt.Errorf("SMTP reply: %w (after %q)", err, line)
		}
		r, err := ParseReply(line)
		if err != nil || len(line) < 4 || line[3] != '-' {
			return r, err
		}
	}
}

// Cmd sends one command and reads its reply.
func (c *Client) Cmd(line string) Reply {
	c.t.Helper()
	c.Send([]byte(line + "\r\n"))
	return c.Read()
}

// Must is Cmd for commands whose reply is no question.
func (c *Client) Must(code int, line string) {
	c.t.Helper()
	if r := c.Cmd(line); r.Code != code {
		c.t.Fatalf("%s: got %v, want %d", strings.Fields(line)[0], r, code)
	}
}

// Send writes bytes as they are, in one segment where they fit.
func (c *Client) Send(b []byte) {
	c.t.Helper()
	if err := c.Say(b); err != nil {
		c.t.Fatal(err)
	}
}

// Say is Send to a server that may have hung up.
func (c *Client) Say(b []byte) error {
	c.conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	if _, err := c.conn.Write(b); err != nil {
		return fmt.Errorf("SMTP write: %w", err)
	}
	return nil
}

// Cut ends what the client says, wherever it is; the server may still answer.
func (c *Client) Cut() { c.tcp.CloseWrite() }

// Close hangs up.
func (c *Client) Close() { c.tcp.Close() }

// Data sends a message after a 354 and reads the verdict.
func (c *Client) Data(msg []byte) Reply {
	c.t.Helper()
	c.Send(DotStuff(msg))
	return c.Read()
}

// Quit says QUIT and hangs up.
func (c *Client) Quit() {
	c.t.Helper()
	c.Cmd("QUIT")
	c.Close()
}

// Closed says whether the server has hung up; it waits for either.
func (c *Client) Closed() bool {
	c.conn.SetReadDeadline(time.Now().Add(replyTimeout))
	_, err := c.in.ReadByte()
	return err == io.EOF
}

// DotStuff makes message bytes fit for DATA (RFC 5321 4.5.2): a dot more before each line that begins with one,
// and the end. Only LF ends a line here, so bare CR, NUL and 8-bit bytes stay as they are.
func DotStuff(msg []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(msg) {
		if line[0] == '.' {
			out.WriteByte('.')
		}
		out.Write(line)
	}
	if !bytes.HasSuffix(msg, []byte("\r\n")) {
		out.WriteString("\r\n")
	}
	out.WriteString(".\r\n")
	return out.Bytes()
}
