// Package page is what every page of ours has in common: the layout and its one
// style sheet, the guard in front of the handlers, form tokens, rate limits,
// languages, and the drawing of numbers, times and charts.
//
// A page needs no script, no cookie of ours and no other request: the style sheet
// is in the page, so that it also works below any path that a reverse proxy gives
// it. What others wrote is shown through Foreign.
package page

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Options make a Kit.
type Options struct {
	PublicURL string         // "https://sending.example": pages answer to its host, and to loopback names
	Key       []byte         // signs the form tokens, the same on all hosts of a fleet; empty: a random one
	Language  func() string  // reply.language: the language of who asks for none of ours
	Proxies   []netip.Prefix // peers whose X-Forwarded-For and X-Forwarded-Proto are believed
	Zone      *time.Location // of the times shown; nil: UTC
	Log       *slog.Logger
	Now       func() time.Time
}

// Kit is what handlers build their pages with. It is safe for concurrent use.
type Kit struct {
	host     string // of the public URL, lower-case, without port
	origin   string // of the public URL, as browsers write it
	key      []byte
	language func() string
	proxies  []netip.Prefix
	zone     *time.Location
	log      *slog.Logger
	now      func() time.Time
	posts    *Limiter // of one client address
}

// New makes a Kit.
func New(o Options) *Kit {
	k := &Kit{
		key: formKey(o.Key), language: o.Language, proxies: o.Proxies,
		zone: o.Zone, log: o.Log, now: o.Now,
		// A person sends a handful of forms; an office behind one address some more.
		posts: NewLimiter(30, time.Minute),
	}
	if k.zone == nil {
		k.zone = time.UTC
	}
	// config has checked it; without a host only loopback names are answered to.
	if u, err := url.Parse(o.PublicURL); err == nil {
		k.host = strings.ToLower(u.Hostname())
		k.origin = originOf(u)
	}
	return k
}

// formKey derives the key of the form tokens, so that the same secret can also
// sign something else.
func formKey(secret []byte) []byte {
	if len(secret) == 0 {
		secret = make([]byte, sha256.Size)
		rand.Read(secret) // never fails (crypto/rand, Go 1.24)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("o2n-milter form tokens"))
	return mac.Sum(nil)
}
