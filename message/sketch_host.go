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
	var met []string
	for _, l := range links {
		host := registered(hostOf(l.URL))
		if host == "" || slices.Contains(met, host) {
			continue
		}
		if met = append(met, host); len(met) > maxHosts {
			break
		}
		h := uint64(fnvOffset)
		for i := range len(host) {
			h = (h ^ uint64(host[i])) * fnvPrime
		}
		list = appendHeavy(list, mix(h), weightHost)
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
	labels := strings.Split(host, ".")
	n := len(labels)
	keep := 2
	if n > 2 && len(labels[n-1]) == 2 && len(labels[n-2]) <= 3 {
		keep = 3
	}
	return strings.Join(labels[max(0, n-keep):], ".")
}
