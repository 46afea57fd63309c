package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Notify is [notify].
type Notify struct {
	Operator       []string // addresses; empty: no mail to the operator
	Customer       bool
	From           string // empty: o2n-milter@ and the host's name
	SMTP           string // "HOST:PORT"
	Webhook        string // URL; empty: none
	WebhookKeyFile string
	WebhookPlain   bool
	Exec           map[string][]string // argv by event
	Digest         time.Duration
	Timeout        time.Duration
}

// noticeEvents are what people can be told of.
var noticeEvents = []string{"block", "lift", "request", "approve", "deny", "ceiling", "store"}

var notifyKeys = []Key{
	{Name: "notify.operator", Kind: "list of mail addresses", Default: "[]",
		check: list[string]("a list of mail addresses", plain("a mail address", address)),
		set:   into(func(c *Config) *[]string { return &c.Notify.Operator })},
	{Name: "notify.customer", Kind: "boolean", Default: "false", check: boolean,
		set: into(func(c *Config) *bool { return &c.Notify.Customer })},
	{Name: "notify.from", Kind: "mail address", Default: `""`, check: orEmpty(plain("a mail address", address)),
		set: into(func(c *Config) *string { return &c.Notify.From })},
	{Name: "notify.smtp", Kind: "address", Default: `"127.0.0.1:25"`, check: plain(wantHostPort, hostPort),
		set: into(func(c *Config) *string { return &c.Notify.SMTP })},
	{Name: "notify.webhook", Kind: "URL", Default: `""`, check: orEmpty(plain(wantURL, webURL)),
		set: into(func(c *Config) *string { return &c.Notify.Webhook })},
	{Name: "notify.webhook_key_file", Kind: "path", Default: `""`, check: orEmpty(text(wantLinkKey, linkKey)),
		set: into(func(c *Config) *string { return &c.Notify.WebhookKeyFile })},
	{Name: "notify.webhook_plain", Kind: "boolean", Default: "false", check: boolean,
		set: into(func(c *Config) *bool { return &c.Notify.WebhookPlain })},
	{Name: "notify.exec", Kind: "table of command lines by event", Default: "{}",
		check: table[[]string](`a table such as { block = ["/usr/local/sbin/disable-login"] }`, noticeEvent, commandLine),
		set:   into(func(c *Config) *map[string][]string { return &c.Notify.Exec })},
	{Name: "notify.digest", Kind: "duration", Default: `"24h"`, check: duration(time.Minute, 7*day),
		set: into(func(c *Config) *time.Duration { return &c.Notify.Digest })},
	{Name: "notify.timeout", Kind: "duration", Default: `"30s"`, check: duration(time.Second, 2*time.Minute),
		set: into(func(c *Config) *time.Duration { return &c.Notify.Timeout })},
}

func noticeEvent(name string) error {
	if !slices.Contains(noticeEvents, name) {
		return fmt.Errorf("is no event; there are %s", strings.Join(noticeEvents, ", "))
	}
	return nil
}

// commandLine is a program and its arguments; no shell reads it.
func commandLine(v any, dir string) (any, []flaw) {
	const want = "a list of strings: the absolute path of a program, and its arguments"
	argv, flaws := elements[string](want, plain("text", func(s string) (string, error) { return s, nil }), "",
		func([]string, string) error { return nil })(v, dir)
	if len(flaws) > 0 {
		return nil, flaws
	}
	list := argv.([]string)
	if len(list) == 0 || !filepath.IsAbs(list[0]) {
		return nil, flawed(want, "begins with no absolute path")
	}
	info, err := os.Stat(list[0])
	if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
		err = errors.New("is no program")
	}
	if err != nil {
		return nil, flawed(want, "%s: %v", show(list[0]), fileProblem(err))
	}
	return list, nil
}
