package page

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"

	"o2n-milter/internal/chaos"
)

// mostForm bounds the body of a POST, in bytes.
const mostForm = 64 << 10

// Wrap guards a handler of pages. It sets the headers that keep a page to itself,
// refuses foreign hosts and methods, and of POSTs those from other sites, too many
// from one address and oversized ones. A handler that panics answers 500.
func (k *Kit) Wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				k.log.Error("page", "panic", p, "stack", string(debug.Stack()))
				k.Fail(w, r, http.StatusInternalServerError)
			}
		}()
		k.setHeaders(w.Header(), r)
		chaos.Point("page")
		if code := k.refusal(r); code != 0 {
			if code == http.StatusMethodNotAllowed {
				w.Header().Set("Allow", "GET, HEAD, POST")
			}
			k.Fail(w, r, code)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		h.ServeHTTP(w, r)
	})
}

// refusal is the status with which a request is turned away, 0 when it is not.
func (k *Kit) refusal(r *http.Request) int {
	switch {
	case !k.isOurs(r.Host):
		return http.StatusMisdirectedRequest
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return 0
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed
	case !k.sameSite(r):
		return http.StatusForbidden
	}
	if ok, _ := k.posts.Allow(k.now(), k.AddressKey(r)); !ok {
		return http.StatusTooManyRequests
	}
	return 0
}

func (k *Kit) setHeaders(h http.Header, r *http.Request) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+styleHash+"'; img-src 'self' data:; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// A customer's address is his key: no other site is told.
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	if k.HTTPS(r) {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// isOurs says whether host, with or without port, is a name of ours. A foreign
// name that resolves to our address (DNS rebinding) is not.
func (k *Kit) isOurs(host string) bool {
	name := hostname(host)
	return name != "" && name == k.host || isLoopback(name)
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func isLoopback(name string) bool {
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// sameSite says whether a POST comes from a page of ours, as far as the browser
// tells. Sec-Fetch-Site is on every request to HTTPS and loopback, and no page can
// set it. Browsers without it send Origin, which is "null" under our
// Referrer-Policy (Fetch 3.1): there the form token alone decides, as it does for
// clients that send neither.
func (k *Kit) sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none": // none: the person's own doing, a reload
		return true
	case "":
		origin := r.Header.Get("Origin")
		return origin == "" || origin == "null" || k.isOurOrigin(origin, r.Host)
	}
	return false
}

// isOurOrigin knows two: the public URL's, and on loopback the very host and port.
func (k *Kit) isOurOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return originOf(u) == k.origin || isLoopback(u.Hostname()) && strings.EqualFold(u.Host, host)
}

// originOf writes an origin without the scheme's own port.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if own := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; own != "" {
		host = strings.TrimSuffix(host, own)
	}
	return u.Scheme + "://" + host
}
