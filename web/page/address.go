package page

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Address is who asks: the peer, or whom a proxy of ours names. Not valid when the
// peer has no IP address.
func (k *Kit) Address(r *http.Request) netip.Addr {
	addr := peer(r)
	if !k.isProxy(addr) {
		return addr
	}
	// Each proxy appends whom it has heard: the last one that is no proxy of ours
	// is the client, and all before it is the client's own invention.
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		ip, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return addr
		}
		if addr = ip.Unmap().WithZone(""); !k.isProxy(addr) {
			return addr
		}
	}
	return addr
}

// AddressKey is Address for counting: of IPv6 the /64, which is one customer line
// (RFC 6177).
func (k *Kit) AddressKey(r *http.Request) string {
	addr := k.Address(r)
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// HTTPS says whether the browser speaks TLS: with us, or with a proxy of ours.
func (k *Kit) HTTPS(r *http.Request) bool {
	return r.TLS != nil || k.isProxy(peer(r)) && r.Header.Get("X-Forwarded-Proto") == "https"
}

func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func (k *Kit) isProxy(addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(k.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}
