package console

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"o2n-milter/web/page"
)

const (
	// tryCookie is set with the login page. It proves, before the code is spent,
	// that the browser keeps our cookies: over plain HTTP it does so on loopback only.
	tryCookie = "__Host-o2n-login"
	tryTime   = 15 * time.Minute
	loginPath = "/admin/login"
	// mostOperator bounds a name that a proxy gives, in bytes.
	mostOperator = 100
	// mostCode bounds what is taken for a code, in bytes; ours are shorter.
	mostCode = 200
)

// door is what the login page shows.
type door struct {
	Code  string // to be redeemed; empty: the page only says how to get one
	Fault string
	Again string // the page that was asked for
}

// visit finds out whose request it is. Nil: nobody's, and the login page was shown.
func (c *console) visit(w http.ResponseWriter, r *http.Request) *visit {
	operator, named := c.proxyUser(r)
	if named {
		if operator == "" {
			c.Desk.Log.Warn("console: no operator's name in the proxy's header", "header", c.UserHeader, "from", r.RemoteAddr)
			c.Page.Fail(w, r, http.StatusBadRequest)
			return nil
		}
		return &visit{console: c, w: w, r: r, session: c.sessions.proxied(c.Now(), operator), key: operatorKey(operator)}
	}
	if cookie, err := r.Cookie(cookieName); err == nil {
		k := cookieKey(cookie.Value)
		if s, ok := c.sessions.find(c.Now(), k); ok {
			return &visit{console: c, w: w, r: r, session: s, key: k}
		}
	}
	// Not a redirect: a browser that came from another site, say a webmail, has
	// held back its cookie, and one click on this page sends it.
	d := door{Again: "/admin/"}
	if r.Method == http.MethodGet {
		d.Again = r.URL.RequestURI()
	}
	c.showDoor(w, r, http.StatusForbidden, d)
	return nil
}

// proxyUser is the operator whom a trusted proxy names; empty: none that we take.
// Nobody else's header counts.
func (c *console) proxyUser(r *http.Request) (name string, named bool) {
	if c.UserHeader == "" || !c.isTrusted(r.RemoteAddr) {
		return "", false
	}
	values := r.Header.Values(c.UserHeader)
	if len(values) == 0 {
		return "", false
	}
	// Two: the proxy has added its own to one that its client sent.
	if name = strings.TrimSpace(values[0]); len(values) > 1 || len(name) > mostOperator || !isPrintable(name) {
		return "", true
	}
	return name, true
}

func (c *console) isTrusted(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(c.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// loginPage shows a button only: what scans mail for links opens them, and must not
// spend the code. Whether the code is good is said when it is redeemed.
func (c *console) loginPage(w http.ResponseWriter, r *http.Request) {
	c.showDoor(w, r, http.StatusOK, door{Code: r.FormValue("code"), Again: "/admin/"})
}

func (c *console) showDoor(w http.ResponseWriter, r *http.Request, status int, d door) {
	s := &sheet{Title: "Log in", template: loginForm, Page: d}
	view := c.view(r, s)
	if d.Code != "" {
		view.Bound = randomID()
		http.SetCookie(w, newCookie(tryCookie, view.Bound, tryTime))
	}
	c.Page.Render(w, r, status, s.template, view)
}

// login redeems a code. Every fault of a code gets one answer.
func (c *console) login(w http.ResponseWriter, r *http.Request) {
	if ok, _ := c.tries.Allow(c.Now(), c.Page.AddressKey(r)); !ok {
		c.Page.Fail(w, r, http.StatusTooManyRequests)
		return
	}
	try, err := r.Cookie(tryCookie)
	if err != nil {
		c.showDoor(w, r, http.StatusForbidden, door{Again: "/admin/", Fault: "Your browser has not kept the cookie of this site. " +
			"Open the link over https://, or on the server itself at http://127.0.0.1 (through a tunnel: ssh -L). The link still works."})
		return
	}
	if err := c.Page.CheckForm(r, try.Value, loginPath); err != nil {
		c.Page.Fail(w, r, page.FormStatus(err))
		return
	}
	from := c.Page.Address(r).String()
	operator, ok := c.redeem(r.PostFormValue("code"))
	if !ok {
		c.Desk.Log.Warn("console: login refused", "from", from)
		c.showDoor(w, r, http.StatusForbidden, door{Again: "/admin/", Fault: "This link does not work: it has been used, is too old, or is not complete."})
		return
	}
	if old, err := r.Cookie(cookieName); err == nil {
		c.sessions.end(cookieKey(old.Value))
	}
	c.Desk.Log.Info("console: login", "by", operator, "from", from)
	http.SetCookie(w, newCookie(tryCookie, "", 0))
	http.SetCookie(w, newCookie(cookieName, c.sessions.start(c.Now(), operator), sessionTime))
	http.Redirect(w, r, "/admin/", http.StatusSeeOther)
}

func (c *console) redeem(code string) (operator string, ok bool) {
	if code == "" || len(code) > mostCode {
		return "", false
	}
	return c.Desk.RedeemConsole(code)
}

// logout ends the session. Whom a proxy names has none to end: the proxy names him
// again.
func (v *visit) logout() (to, done string, err error) {
	v.sessions.end(v.key)
	http.SetCookie(v.w, newCookie(cookieName, "", 0))
	return loginPath, "", nil
}

// newCookie goes to this host only, over TLS or loopback, and never from a page of
// another site; no age deletes it.
func newCookie(name, value string, age time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(age.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if age <= 0 {
		c.MaxAge = -1
	}
	return c
}
