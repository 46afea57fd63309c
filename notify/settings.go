package notify

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Settings say who is told, and how. The zero value tells nobody.
type Settings struct {
	Operator []string // mail addresses; empty: no mail to the operator
	Customer bool     // mail to the account: one for a block, one for an answer

	From     string // of our mail; empty: o2n-milter@ and the host's name
	SMTP     string // "HOST:PORT" of the local MTA; empty: 127.0.0.1:25
	Language string // en | fr | en+fr; empty: en

	Webhook    string // URL; empty: none
	WebhookKey []byte // signs; at least 16 bytes
	// WebhookPlain allows http to any address, not only to this host and private ones.
	WebhookPlain bool

	// Exec is the program to run, with its arguments, by Event.What.
	Exec map[string][]string

	Digest  time.Duration // of one incident, from its first mail on, what follows is collected; 0: 24h
	Timeout time.Duration // of one try, in any channel; 0: 30s
}

// Bounds of the durations.
const (
	minDigest, maxDigest   = time.Minute, 7 * 24 * time.Hour
	minTimeout, maxTimeout = time.Second, 2 * time.Minute
)

// complete fills in defaults and names every fault.
func (s Settings) complete(host string) (*Settings, error) {
	s.From = orElse(s.From, "o2n-milter@"+host)
	s.SMTP = orElse(s.SMTP, "127.0.0.1:25")
	s.Language = orElse(s.Language, "en")
	s.Digest = orElse(s.Digest, 24*time.Hour)
	s.Timeout = orElse(s.Timeout, 30*time.Second)

	var faults []error
	fault := func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf("notify."+key+": "+format, args...))
	}
	var err error
	s.Operator = slices.Clone(s.Operator)
	for i, a := range s.Operator {
		if s.Operator[i], err = mailbox(a); err != nil {
			fault("operator", "%w", err)
		}
	}
	if s.From, err = mailbox(s.From); err != nil {
		fault("from", "%w", err)
	}
	if _, _, err := net.SplitHostPort(s.SMTP); err != nil {
		fault("smtp", "%q; want HOST:PORT", s.SMTP)
	}
	if !slices.Contains([]string{"en", "fr", "en+fr"}, s.Language) {
		fault("language", "%q; want en, fr or en+fr", s.Language)
	}
	if s.Digest < minDigest || s.Digest > maxDigest {
		fault("digest", "%s; want %s to %s", s.Digest, minDigest, maxDigest)
	}
	if s.Timeout < minTimeout || s.Timeout > maxTimeout {
		fault("timeout", "%s; want %s to %s", s.Timeout, minTimeout, maxTimeout)
	}
	if err := s.webhookFault(); err != nil {
		fault("webhook", "%w", err)
	}
	for what, argv := range s.Exec {
		if !slices.Contains(All(), what) {
			fault("exec", "%q; want one of %s", what, strings.Join(All(), ", "))
		}
		if len(argv) == 0 || !filepath.IsAbs(argv[0]) {
			fault("exec", "%s = %q; want the absolute path of a program, and its arguments", what, argv)
		}
	}
	return &s, errors.Join(faults...)
}

func (s Settings) webhookFault() error {
	if s.Webhook == "" {
		return nil
	}
	u, err := url.Parse(s.Webhook)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("want an http or https URL without user and password")
	case len(s.WebhookKey) < 16:
		return fmt.Errorf("a key of %d bytes; want at least 16", len(s.WebhookKey))
	}
	return nil
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
