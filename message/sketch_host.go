package message

import (
	"slices"
	"strings"
)

// maxHosts is how many hosts of a letter's links count.
const maxHosts = 8

// appendHosts adds the different places that links lead to, by what is registered:
// what stands before that, and after, differs for each recipient.
func appendHosts(list []term, links []Link) []term {
	for _, l := range links {
		host := registered(hostOf(l.URL))
		if host == "" {
			continue
		}
		h := uint64(fnvOffset)
		for i := range len(host) {
			h = (h ^ uint64(host[i])) * fnvPrime
		}
		if t := term(mix(h)); !slices.Contains(list, t) {
			list = append(list, t)
		}
		if len(list) == maxHosts {
			break
		}
	}
	return list
}

// hostOf is the host of a URL in lower case; empty for a mail address.
func hostOf(url string) string {
	if i := strings.Index(url, "//"); i >= 0 {
		url = url[i+2:]
	} else if strings.ContainsAny(url, "@:") {
		return ""
	}
	if i := strings.IndexAny(url, "/?#\\"); i >= 0 {
		url = url[:i]
	}
	url = url[strings.LastIndexByte(url, '@')+1:]
	if i := strings.LastIndexByte(url, ':'); i >= 0 && !strings.HasSuffix(url, "]") {
		url = url[:i]
	}
	return strings.TrimRight(strings.ToLower(url), ".")
}

// registered is the end of a host name that somebody has registered, by its looks: two
// labels, three in "example.co.uk". The Public Suffix List is not asked, because what
// it says changes and sketches must not.
func registered(host string) string {
	if strings.HasPrefix(host, "[") || strings.Trim(host, "0123456789.") == "" {
		return host
	}
	last := strings.LastIndexByte(host, '.')
	second := strings.LastIndexByte(host[:max(0, last)], '.')
	if second >= 0 && len(host)-last-1 == 2 && last-second-1 <= 3 {
		second = strings.LastIndexByte(host[:second], '.')
	}
	return host[second+1:]
}
