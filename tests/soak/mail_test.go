//go:build mta

package soak

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"o2n-milter/tests/mta"
)

// Who sends.
const (
	alice   = "alice@client-a.example"   // as people write
	info    = "info@client-a.example"    // more than the limit of the plan
	bob     = "bob@client-b.example"     // more than the limit, which holds it
	claire  = "alice@client.fr"          // one letter to all
	mallory = "mallory@unlisted.example" // in other people's names
	site    = "www-data@" + mta.Host     // a program of the host
)

// sessionTime is the most that one SMTP session may take: Postfix waits for a filter
// for half a minute.
const sessionTime = 40 * time.Second

// dial logs in.
func (p *place) dial(login string) (*smtp.Client, net.Conn, error) {
	conn, err := net.DialTimeout("tcp", p.Submission(), sessionTime)
	if err != nil {
		return nil, nil, err
	}
	conn.SetDeadline(time.Now().Add(sessionTime))
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err == nil {
		err = c.Hello("client.example")
	}
	if err == nil {
		err = c.Auth(smtp.PlainAuth("", login, mta.Password, "127.0.0.1"))
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return c, conn, nil
}

// decision is how each refusal of the filter's ends.
var decision = regexp.MustCompile(`\[\S+ [0-9A-Z]{8}\]$`)

// late is in the filter's answer when there was no time: it says so after eight seconds, and
// the charge may still come.
const late = "[internal.panic "

// send gives one letter and notes the answer. An error ends the session.
func (p *place) send(c *smtp.Client, l *letter, sender string, text []byte) (reply string, err error) {
	begun := time.Now()
	a := dropped
	defer func() { p.book.answered(l, a, time.Since(begun)) }()
	err = c.Mail(sender)
	for _, to := range l.rcpts {
		if err == nil {
			err = c.Rcpt(to)
		}
	}
	if err == nil {
		a, err = data(c, text)
	}
	var said *textproto.Error
	if !errors.As(err, &said) {
		return "", err
	}
	reply = said.Error()
	if a = deferred; decision.MatchString(said.Msg) && !strings.Contains(said.Msg, late) {
		a = refused
	}
	return reply, c.Reset()
}

// data is DATA and the answer to its end.
func data(c *smtp.Client, text []byte) (answer, error) {
	w, err := c.Data()
	if err != nil {
		return dropped, err
	}
	if _, err := w.Write(text); err != nil {
		return dropped, err
	}
	if err := w.Close(); err != nil {
		return unsaid, err
	}
	return taken, nil
}

// session sends n letters of a login; write makes each of them.
func (p *place) session(login string, n int, write func(i int) (l *letter, text []byte)) {
	c, conn, err := p.dial(login)
	if err != nil {
		return // Postfix is away
	}
	defer conn.Close()
	for i := range n {
		l, text := write(i)
		if _, err := p.send(c, l, login, text); err != nil {
			return
		}
	}
	_ = c.Quit()
}

// words are a text that no other is like.
func words(rng *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%x %x %x %x\r\n", rng.Uint32(), rng.Uint32(), rng.Uint64(), rng.Uint32())
	}
	return b.String()
}

// friends are recipients that people write to again and again.
func friends(rng *rand.Rand, n int) []string {
	first := rng.IntN(200)
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("friend%d@remote%d.example", first+i, (first+i)%20))
	}
	return list
}

// people write honest letters, some of them long. None is ever refused.
func (p *place) people(rng *rand.Rand) {
	c, conn, err := p.dial(alice)
	if err != nil {
		return
	}
	defer conn.Close()
	for range 1 + rng.IntN(4) {
		l := p.book.add(alice, friends(rng, 1+rng.IntN(4))...)
		size := 500 + rng.IntN(3000)
		if rng.IntN(20) == 0 {
			size = 300 << 10
		}
		reply, err := p.send(c, l, alice, l.text("Alice <"+alice+">", "letter", words(rng, size)))
		if l.answer == refused {
			p.book.fault("honest letter " + l.id + ": " + reply)
		}
		if err != nil {
			return
		}
	}
	_ = c.Quit()
}

// burst is more than a limit lets through at once: what is over is told to come later,
// or held.
func (p *place) burst(login string) func(*rand.Rand) {
	return func(rng *rand.Rand) {
		p.session(login, 7, func(int) (*letter, []byte) {
			l := p.book.add(login, friends(rng, 1)...)
			return l, l.text(login, "one of many", words(rng, 500))
		})
	}
}

const newsletter = `Dear friends,

spring has come to our garden centre, and with it four hundred kinds of roses, all of them
grown in our own fields without peat. Until the end of the month every second rose bush costs
half its price, and whoever buys five gets the delivery for nothing. Our gardeners show on
Saturday how to prune, water and feed them, with cake and cider for everybody who comes.
`

// bulk is one letter to all, without a way out: a campaign, soon, and then a block.
func (p *place) bulk(rng *rand.Rand) {
	p.session(claire, 10, func(int) (*letter, []byte) {
		l := p.book.add(claire, friends(rng, 1)...)
		return l, l.text(claire, "Roses", strings.ReplaceAll(newsletter, "\n", "\r\n"))
	})
}

// forge writes in a bank's name, hidden in one way or another; now and then he writes in
// his own.
func (p *place) forge(rng *rand.Rand) {
	froms := []string{"service@bank.example", `"service@bank.example" <x@bank.example>`, "a@b.example, " + mallory, "=?utf-8?q?service=40bank=2Eexample?= <service@bank.example>", mallory}
	p.session(mallory, 3, func(int) (*letter, []byte) {
		l := p.book.add(mallory, friends(rng, 1)...)
		return l, l.text(froms[rng.IntN(len(froms))], "Urgent", words(rng, 300))
	})
}

// crowd has more recipients than there may be.
func (p *place) crowd(rng *rand.Rand) {
	p.session(mallory, 1, func(int) (*letter, []byte) {
		l := p.book.add(mallory, friends(rng, 12)...)
		return l, l.text(mallory, "to all", words(rng, 300))
	})
}

// program is a site's script: some mail of its own, a burst now and then, which is
// held and let go, and somebody else's name.
func (p *place) program(rng *rand.Rand) {
	n, from := 1+rng.IntN(3), site
	switch rng.IntN(6) {
	case 0:
		n = 15
	case 1:
		from = "service@bank.example"
	}
	for range n {
		l := p.book.add("", friends(rng, 1)...)
		cmd := exec.Command("/usr/sbin/sendmail", append([]string{"-C", filepath.Join(p.Postfix.Dir, "etc"), "-i", "-f", site, "--"}, l.rcpts...)...)
		cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(l.text(from, "from a program", words(rng, 300)), []byte("\r\n"), []byte("\n")))
		begun := time.Now()
		a := handed
		if cmd.Run() != nil {
			a = unsaid
		}
		p.book.answered(l, a, time.Since(begun))
	}
}

// vanish goes away in the middle of a letter, or is very slow with it.
func (p *place) vanish(rng *rand.Rand) {
	c, conn, err := p.dial(alice)
	if err != nil {
		return
	}
	defer conn.Close()
	l := p.book.add(alice, friends(rng, 1)...)
	defer p.book.answered(l, dropped, 0)
	if c.Mail(alice) != nil || c.Rcpt(l.rcpts[0]) != nil {
		return
	}
	w, err := c.Data()
	if err != nil {
		return
	}
	text := l.text(alice, "unfinished", words(rng, 2000))
	for i := range rng.IntN(20) {
		// Past the buffer of the client, so that it goes out.
		if _, err := w.Write(text[i*100 : i*100+100]); err != nil || c.Text.W.Flush() != nil {
			return
		}
		time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
	}
}
