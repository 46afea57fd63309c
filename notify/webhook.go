package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// callWebhook posts the event. Every answer but 2xx is tried again: a key or an
// address that is wrong today is mended tomorrow.
func (n *Notifier) callWebhook(ctx context.Context, now time.Time, j job) error {
	set := n.set.Load()
	if set.Webhook == "" {
		return errGone
	}
	body, err := json.Marshal(payloadOf(j.notice))
	if err != nil {
		return permanent{err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, set.Webhook, bytes.NewReader(body))
	if err != nil {
		return permanent{err}
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "o2n-milter")
	req.Header.Set("X-O2N-Timestamp", stamp)
	req.Header.Set("X-O2N-Signature", "sha256="+sign(set.WebhookKey, stamp, body))
	resp, err := set.webClient().Do(req)
	if err != nil {
		return fmt.Errorf("webhook: %w", withoutURL(err))
	}
	// Nothing of the answer is of use to us but its status.
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("webhook: %s; want 200", resp.Status)
	}
	return nil
}

// sign is HMAC-SHA256 of what no one but us and the receiver can make; the time is
// in it so that an old one cannot be played again.
func sign(key []byte, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// webClient follows no redirect, which could lead anywhere, uses no proxy, and
// speaks plain http only where nobody listens in on the way.
func (s *Settings) webClient() *http.Client {
	dialer := &net.Dialer{}
	if s.onlyInside() {
		dialer.Control = onlyPrivate
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// onlyInside says that the webhook may be no stranger's.
func (s *Settings) onlyInside() bool {
	u, err := url.Parse(s.Webhook) // which lowers the scheme
	return !s.WebhookPlain && (err != nil || u.Scheme != "https")
}

// onlyPrivate is asked with the address that the name led to.
func onlyPrivate(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr(); !ip.IsLoopback() && !ip.IsPrivate() {
		return fmt.Errorf("plain http to %s; want https, or an address of this host or a private one", ip)
	}
	return nil
}

// withoutURL drops the URL, which may hold a secret, from an error for the log.
func withoutURL(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}
