package rules

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"o2n-milter/message"
)

// ParseSubject reads a subject that an operator wrote, "account:Alice@client-a.example",
// "ip:2001:db8::1" or "account:alice@client-a.example+domain:remote.example", and
// gives it the form in which messages are counted.
func ParseSubject(s string) (string, error) {
	const want = "want account:, customer:, script:, host:, ip: or domain: and a name"
	kind, name, ok := strings.Cut(s, ":")
	if !ok || name == "" || len(s) > 400 {
		return "", fmt.Errorf("subject %q: %s", s, want)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("subject %q: control character in the name", s)
	}
	switch kind {
	case "script":
		return scriptSubject(name), nil
	case "account":
		return accountSubject(s, name)
	case "host":
		return "host:" + strings.ToLower(name), nil
	case "customer":
		return s, nil
	case "ip":
		if p, err := netip.ParsePrefix(name); err == nil && p.Bits() == 64 && p.Addr().Is6() {
			return "ip:" + p.Masked().String(), nil
		}
		ip, err := netip.ParseAddr(name)
		if err != nil {
			return "", fmt.Errorf("subject %q: no IP address; want ip:192.0.2.7, ip:2001:db8::1 or a /64 prefix", s)
		}
		return clientSubject(ip.Unmap()), nil
	case "domain":
		return domainSubject(s, name)
	}
	return "", fmt.Errorf("subject %q: unknown kind %q; %s", s, kind, want)
}

// IsPair says that a subject is an account at a destination. Such a subject has
// windows; messages are neither found nor blocked by it.
func IsPair(subject string) bool {
	_, _, isPair := cutPair(subject)
	return isPair && strings.HasPrefix(subject, "account:")
}

func accountSubject(s, name string) (string, error) {
	login, destination, isPair := cutPair(strings.ToLower(name))
	if !isPair {
		return "account:" + login, nil
	}
	if login == "" {
		return "", fmt.Errorf("subject %q: no login before the +; want account:LOGIN+domain:NAME", s)
	}
	domain, err := domainSubject(s, destination)
	if err != nil {
		return "", err
	}
	return pairSubject(login, domain), nil
}

func domainSubject(s, name string) (string, error) {
	d := message.Destination("x@" + name)
	if d == "" || strings.ContainsFunc(d, unicode.IsSpace) {
		return "", fmt.Errorf("subject %q: no domain name", s)
	}
	return "domain:" + d, nil
}
