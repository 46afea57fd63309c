//go:build mta

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// peers come to the filter's own socket: they say nothing, or nonsense, or claim a
// login and vanish.
func (p *place) peers(rng *rand.Rand) {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range 1 + rng.IntN(20) {
		conn, err := net.Dial("unix", p.Milter)
		if err != nil {
			return
		}
		conns = append(conns, conn)
		conn.SetDeadline(time.Now().Add(sessionTime))
		switch rng.IntN(5) {
		case 0: // nothing
		case 1:
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		case 2:
			conn.Write([]byte{0, 0, 0, 0})
		case 3:
			conn.Write([]byte{0, 0, 1, 0, 'O', 0, 0})
		case 4:
			junk := make([]byte, 1+rng.IntN(2000))
			for i := range junk {
				junk[i] = byte(rng.Uint32())
			}
			conn.Write(junk)
		}
	}
	p.halfSession(rng)
	time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
}

// halfSession is an MTA that is gone before the end of its letter.
func (p *place) halfSession(rng *rand.Rand) {
	f, err := mta.DialFilter("unix", p.Milter)
	if err != nil {
		return
	}
	defer f.Close()
	if f.Connect("client.example", "203.0.113.9", 40001) != nil {
		return
	}
	if f.Macros('M', "{auth_authen}", alice, "{auth_type}", "PLAIN") != nil || f.Send('M', mta.CStrings("<"+alice+">")) != nil {
		return
	}
	for range rng.IntN(5) {
		if f.Send('R', mta.CStrings("<friend@remote.example>")) != nil {
			return
		}
	}
}

// visitors open pages, of customers and others, with good and bad links.
func (p *place) visitors(rng *rand.Rand) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	paths := []string{"/healthz", "/readyz", "/metrics", "/admin/", "/admin/blocks", "/c/nonsense", "/../etc/passwd", "/c/" + strings.Repeat("A", 3000)}
	login := []string{alice, mallory, claire}[rng.IntN(3)]
	if link, err := p.ask("link", login); err == nil {
		if u, err := url.Parse(strings.TrimSpace(link)); err == nil {
			paths = append(paths, u.Path, u.Path+"x")
		}
	}
	for range 4 {
		path := p.URL + paths[rng.IntN(len(paths))]
		resp, err := client.Get(path)
		if rng.IntN(4) == 0 {
			resp, err = client.PostForm(path, url.Values{"text": {"please"}, "token": {"forged"}})
		}
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	// A slow one.
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: 127.0")
	time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
}

// unwell is the end of a command that did not do what it was to do.
type unwell struct {
	args []string
	code int
	text string
}

func (u unwell) Error() string {
	return fmt.Sprintf("o2n-milter %q: exit code %d: %s", u.args, u.code, u.text)
}

// ask is an operator's command.
func (p *place) ask(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sessionTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, daemon.File(), append(args, "--config", filepath.Join(p.Daemon.Dir, "o2n-milter.toml"))...)
	out, err := cmd.Output()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		return "", unwell{args, exit.ExitCode(), string(exit.Stderr)}
	}
	return string(out), err
}

// must is ask for what has to work while the daemon is there. A daemon that is away and a
// check that says no are no faults.
func (p *place) must(args ...string) string {
	const no, away = 1, 69 // sysexits(3): EX_UNAVAILABLE
	out, err := p.ask(args...)
	if u, is := errors.AsType[unwell](err); is && (u.code == no || u.code == away) {
		return ""
	}
	if err != nil {
		p.book.fault(err.Error())
	}
	return out
}

// operators look around, block and lift, release what is held.
func (p *place) operators(rng *rand.Rand) {
	looks := [][]string{
		{"status"}, {"status", "--shadow"}, {"usage", "account:" + alice}, {"history", "--since", "1h", "--limit", "50"}, {"history", "account:" + mallory},
		{"block", "list", "--all"}, {"request", "list"}, {"held", "list"}, {"exempt", "list"}, {"configtest"},
		{"exempt", "add", "account:" + mallory, "--rule", "recipients.visible", "--for", "1h", "--reason", "a test"},
	}
	p.must(looks[rng.IntN(len(looks))]...)
	p.explainLast()
	subject := fmt.Sprintf("account:ghost%d@client-x.example", rng.IntN(50))
	if rng.IntN(2) == 0 {
		if _, err := p.ask("block", "add", subject, "--for", "3h", "--reason", "a test"); err == nil {
			p.book.blocked(subject, true)
		}
		return
	}
	p.book.blocked(subject, false) // whatever comes of it
	p.must("block", "lift", subject)
	if rng.IntN(4) == 0 {
		p.must("block", "lift", "account:"+mallory)
	}
}

// explainLast reads what was decided last.
func (p *place) explainLast() {
	var list struct{ Decisions []struct{ ID string } }
	out := p.must("history", "--since", "1h", "--limit", "1", "--json")
	if out == "" || json.Unmarshal([]byte(out), &list) != nil || len(list.Decisions) == 0 {
		return
	}
	p.must("explain", list.Decisions[0].ID)
}
