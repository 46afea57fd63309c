// Package content asks a content engine, rspamd, what it makes of a message. It
// judges nothing: rules does, by the score.
//
// The engine is somebody else's program. Whatever it does, a question costs at most
// its timeout and a bounded answer, so many are asked at once and no more, and one
// that is away is left alone for a while. An answer that is not understood is an
// error, never a score of 0.
package content

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"o2n-milter/rules"
)

const (
	// atOnce bounds the questions under way: an engine works on a few at a time, and
	// each holds a message of up to 1.5 MiB. Others wait for their turn, within
	// their timeout.
	atOnce = 64
	// maxAnswer bounds an answer in octets. A real one has some 10 KiB; with the
	// texts of a hundred tests, 100.
	maxAnswer = 1 << 20
)

// Options are what a Client is made with.
type Options struct {
	URL      string        // "http://HOST:PORT", https, or "unix:/path"
	Password string        // of rspamd's controller; empty for none
	Timeout  time.Duration // of one question, all in all
	Log      *slog.Logger
	Now      func() time.Time
	// Observe is told of each question: how long it took, and why there is no score;
	// nil where there is one.
	Observe func(took time.Duration, fault *Fault)
}

// Client asks one engine. It is safe for concurrent use, and holds nothing that would
// have to be closed.
type Client struct {
	opt     Options
	url     string
	http    http.Client
	slots   chan struct{}
	mu      sync.Mutex
	breaker breaker
}

// New makes a Client; nothing is asked yet, so that an engine may start later.
func New(o Options) (*Client, error) {
	if plain(o.Password, len(o.Password)) != o.Password {
		return nil, errors.New("content: the password holds what is not printable ASCII")
	}
	c := &Client{opt: o, url: o.URL, slots: make(chan struct{}, atOnce)}
	dial := (&net.Dialer{}).DialContext
	switch path, isUnix := strings.CutPrefix(o.URL, "unix:"); {
	case isUnix:
		c.url = "http://localhost"
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	case !strings.HasPrefix(o.URL, "https:"):
		dial = (&net.Dialer{Control: onlyOwn}).DialContext
	}
	c.http = http.Client{
		// A redirect could lead anywhere, with somebody's mail.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // and no proxy
			DialContext:        dial,
			TLSClientConfig:    &tls.Config{MinVersion: tls.VersionTLS12},
			DisableCompression: true, // it would get round maxAnswer
			// rspamd hangs up after each answer; where a proxy would not, a question
			// could meet a connection that is being closed, and get no score.
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
	return c, nil
}

// onlyOwn is asked with the address that the engine's name led to: mail goes in the
// clear to this host and private networks only.
func onlyOwn(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr().Unmap(); !ip.IsLoopback() && !ip.IsPrivate() {
		return fmt.Errorf("plain http to %s; want https, or an address of this host or a private one", ip)
	}
	return nil
}

// Score asks the engine about a message. It comes back within the timeout; every
// error is a *Fault.
func (c *Client) Score(ctx context.Context, m *rules.Mail) (rules.Score, error) {
	start := c.opt.Now()
	if !c.mayAsk(start) {
		fault := &Fault{Resting, errors.New("not asked: the engine gave no score several times in a row")}
		c.opt.Observe(0, fault)
		return rules.Score{}, fault
	}
	limited, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	score, fault := c.ask(limited, m)
	end := c.opt.Now()
	if fault != nil && errors.Is(limited.Err(), context.DeadlineExceeded) && fault.Kind != Busy {
		fault.Kind = Timeout
	}
	c.opt.Observe(end.Sub(start), fault)
	switch {
	case fault == nil:
		c.answered()
		return score, nil
	case fault.engines() && ctx.Err() == nil: // else it was not given its time
		c.failed(end, fault)
	}
	return rules.Score{}, fault
}

// ask waits for its turn and puts the question.
func (c *Client) ask(ctx context.Context, m *rules.Mail) (rules.Score, *Fault) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return rules.Score{}, &Fault{Busy, fmt.Errorf("%d questions are under way: %w", atOnce, ctx.Err())}
	}
	req, err := c.request(ctx, m)
	if err != nil {
		return rules.Score{}, &Fault{Connection, err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return rules.Score{}, &Fault{Connection, withoutURL(err)}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return rules.Score{}, &Fault{Connection, fmt.Errorf("answer: %w", err)}
	}
	return read(resp.StatusCode, raw)
}

func (c *Client) mayAsk(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.breaker.allow(now)
}

func (c *Client) answered() {
	c.mu.Lock()
	was := c.breaker.answered()
	c.mu.Unlock()
	if was {
		c.opt.Log.Info("content: the engine answers again")
	}
}

func (c *Client) failed(now time.Time, why error) {
	c.mu.Lock()
	rests := c.breaker.failed(now)
	c.mu.Unlock()
	if rests {
		c.opt.Log.Error("content: the engine gives no scores and is left alone for a while", "rest", restTime, "error", why)
	}
}
