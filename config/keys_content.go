package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"o2n-milter/rules"
)

// Content is [content] without what Rules holds.
type Content struct {
	URL          string        // "http://HOST:PORT", https, or "unix:/path"; empty: no engine
	PasswordFile string        // empty for none
	Timeout      time.Duration // of one question, all in all
}

// maxScore bounds scores: an engine's are a few dozen, more is a slip of the finger.
const maxScore = 1000

// A decision has 8 s in all, which the store needs a part of.
const maxContentTimeout = 6 * time.Second

var contentKeys = []Key{
	act("content.score", "shadow"),
	{Name: "content.at", Kind: "number", Default: "15.0", check: score,
		set: into(func(c *Config) *float64 { return &c.Rules.Content.At })},
	{Name: "content.steps", Kind: "table of numbers by action", Default: "{}",
		check: table[float64]("a table such as { tag = 6.0, quarantine = 10.0 }", stepAction, score), set: contentSteps},
	act("content.unavailable", "shadow"),
	{Name: "content.url", Kind: "URL", Default: `""`, check: orEmpty(engineURL),
		set: into(func(c *Config) *string { return &c.Content.URL })},
	{Name: "content.password_file", Kind: "path", Default: `""`, check: orEmpty(text(wantPassword, passwordFile)),
		set: into(func(c *Config) *string { return &c.Content.PasswordFile })},
	{Name: "content.timeout", Kind: "duration", Default: `"2s"`, check: duration(time.Second, maxContentTimeout),
		set: into(func(c *Config) *time.Duration { return &c.Content.Timeout })},
}

// score reads a number, with or without a point.
func score(v any, _ string) (any, []flaw) {
	const want = "a number above 0, at most 1000"
	var f float64
	switch n := v.(type) {
	case int64:
		f = float64(n)
	case float64:
		f = n
	default:
		return nil, wrongType(v, want)
	}
	if !(f > 0 && f <= maxScore) { // so that it also refuses nan
		return nil, flawed(want, "%v is out of range", v)
	}
	return f, nil
}

func stepAction(name string) error {
	a, err := rules.ParseAction(name)
	if err != nil || a < rules.Tag {
		return errors.New("is no step; there are tag, quarantine, tempfail and reject")
	}
	return nil
}

func contentSteps(c *Config, _ []string, v any) {
	c.Rules.Content.Steps = map[rules.Action]float64{}
	for name, at := range v.(map[string]float64) {
		if a, err := rules.ParseAction(name); err == nil { // stepAction has looked
			c.Rules.Content.Steps[a] = at
		}
	}
}

// contentSteps: a stronger action needs a higher score, else the weaker one is
// never taken.
func (r *reader) contentSteps() {
	c, rule := r.cfg.Rules.Content, r.cfg.Rules.Actions["content.score"]
	fault := func(want, format string, args ...any) {
		r.faultAt(r.at("content", "steps"), "content.steps", fmt.Sprintf(format, args...), want)
	}
	above, name := c.At, "content.at"
	for a := rules.Reject; a >= rules.Tag; a-- {
		at, has := c.Steps[a]
		switch {
		case !has:
			continue
		case rule >= rules.Tag && a >= rule:
			fault("weaker actions", "%s is not weaker than content.score = %q", a, rule)
		case at >= above:
			fault("lower scores for weaker actions", "%s = %v is not below %s = %v", a, at, name, above)
		}
		above, name = at, a.String()
	}
}

const wantEngine = `"http://HOST:PORT" of this host or a private network, "https://HOST:PORT" or "unix:/path"`

// engineURL reads where a content engine listens; its faults show no password.
func engineURL(v any, dir string) (any, []flaw) {
	s, ok := v.(string)
	if !ok {
		return nil, wrongType(v, wantEngine)
	}
	at, err := engineAt(s, dir)
	if err != nil {
		return nil, flawed(wantEngine, "%s %v", show(withoutUser(s)), err)
	}
	return at, nil
}

// engineAt is the URL in its plain form. The engine is sent all mail: plain http goes
// no further than the operator's own network; a name is looked up when it is asked.
func engineAt(s, dir string) (string, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		path, err := socketPath(path, dir)
		return "unix:" + path, err
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return "", errors.New("is no http, https or unix URL")
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("holds more than host and port")
	}
	if p := u.Port(); p != "" {
		if _, err := strconv.ParseUint(p, 10, 16); err != nil {
			return "", errors.New("has no port from 0 to 65535")
		}
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && err == nil && !ip.Unmap().IsLoopback() && !ip.Unmap().IsPrivate() {
		return "", errors.New("sends all mail in the clear to another network")
	}
	return u.Scheme + "://" + u.Host, nil
}
