package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"o2n-milter/rules"
)

// flaw is what is wrong with a value, and what would be right.
type flaw struct {
	elem          int // number of the list's element, from 1; 0 for the value as a whole
	problem, want string
}

func flawed(want, format string, args ...any) []flaw {
	return []flaw{{problem: fmt.Sprintf(format, args...), want: want}}
}

// check turns a decoded TOML value into the Go value of its key. Relative paths
// are relative to dir, which is absolute.
type check func(v any, dir string) (any, []flaw)

// wrongType describes a value that is not of the wanted type.
func wrongType(v any, want string) []flaw {
	var is string
	switch v := v.(type) {
	case string:
		is = "the string " + show(v)
	case int64:
		is = fmt.Sprintf("the integer %d", v)
	case float64:
		is = fmt.Sprintf("the number %v", v)
	case bool:
		is = fmt.Sprintf("the boolean %v", v)
	case time.Time:
		is = "a date"
	case []any:
		is = "a list"
	case map[string]any:
		is = "a table"
	default:
		is = "an array of tables"
	}
	return flawed(want, "is %s", is)
}

// show quotes a foreign string for a fault: one line, printable, bounded.
func show(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "..."
	}
	return strconv.QuoteToGraphic(s)
}

// text makes a check of strings from a function that gives the value or a problem.
func text[T any](want string, parse func(s, dir string) (T, error)) check {
	return func(v any, dir string) (any, []flaw) {
		s, ok := v.(string)
		if !ok {
			return nil, wrongType(v, want)
		}
		got, err := parse(s, dir)
		if err != nil {
			return nil, flawed(want, "%s %v", show(s), err)
		}
		return got, nil
	}
}

// plain is text[string] whose parser needs no folder.
func plain(want string, parse func(s string) (string, error)) check {
	return text(want, func(s, _ string) (string, error) { return parse(s) })
}

// orEmpty also lets "" pass, as the zero string.
func orEmpty(c check) check {
	return func(v any, dir string) (any, []flaw) {
		if v == "" {
			return "", nil
		}
		return c(v, dir)
	}
}

// list checks each element and refuses the same value twice.
func list[T comparable](want string, element check) check {
	return elements(want, element, "each value once", func(got []T, v T) error {
		if slices.Contains(got, v) {
			return fmt.Errorf("is listed twice")
		}
		return nil
	})
}

// elements checks each element by itself, then whether it fits behind those
// before it, as wantFit says.
func elements[T any](want string, element check, wantFit string, fits func(before []T, v T) error) check {
	return func(v any, dir string) (any, []flaw) {
		values, ok := v.([]any)
		if tables, is := v.([]map[string]any); is && len(tables) == 0 {
			ok = true // [] of an array of tables
		}
		if !ok {
			return nil, wrongType(v, want)
		}
		out := make([]T, 0, len(values))
		var flaws []flaw
		for i, value := range values {
			got, bad := element(value, dir)
			if bad == nil {
				if err := fits(out, got.(T)); err != nil {
					bad = flawed(wantFit, "%s %v", show(fmt.Sprint(value)), err)
				}
			}
			for _, f := range bad {
				f.elem = i + 1
				flaws = append(flaws, f)
			}
			if bad == nil {
				out = append(out, got.(T))
			}
		}
		return out, flaws
	}
}

var errAfterManual = errors.New("stands behind \"manual\", which has no end")

func boolean(v any, _ string) (any, []flaw) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	return nil, wrongType(v, "true or false")
}

func integer[T int | int64](low, high T) check {
	want := fmt.Sprintf("an integer from %d to %d", low, high)
	if int64(high) == math.MaxInt64 {
		want = fmt.Sprintf("an integer of at least %d", low)
	}
	return func(v any, _ string) (any, []flaw) {
		n, ok := v.(int64)
		if !ok {
			return nil, wrongType(v, want)
		}
		if n < int64(low) || n > int64(high) {
			return nil, flawed(want, "%d is out of range", n)
		}
		return T(n), nil
	}
}

func oneOf(words ...string) check {
	want := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	return plain(want, func(s string) (string, error) {
		if !slices.Contains(words, s) {
			return "", fmt.Errorf("is not known here")
		}
		return s, nil
	})
}

func action(v any, _ string) (any, []flaw) {
	return text("off, shadow, tag, quarantine, tempfail or reject", func(s, _ string) (rules.Action, error) {
		a, err := rules.ParseAction(s)
		if err != nil {
			return a, fmt.Errorf("is no action")
		}
		return a, nil
	})(v, "")
}

// duration reads a duration of whole seconds between low and high.
func duration(low, high time.Duration) check {
	want := fmt.Sprintf("a duration from %s to %s, such as %q", rules.FormatDuration(low), rules.FormatDuration(high), "1h30m")
	return text(want, func(s, _ string) (time.Duration, error) {
		d, err := rules.ParseDuration(s)
		if err != nil {
			return 0, err
		}
		if d < low || d > high {
			return 0, fmt.Errorf("is out of range")
		}
		return d, nil
	})
}

// fileMode reads the rights of a socket: "0660".
func fileMode(s, _ string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 || len(s) < 3 {
		return 0, fmt.Errorf("is no file mode")
	}
	return fs.FileMode(n), nil
}

func absolute(s, dir string) (string, error) {
	if s == "" || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("is no path")
	}
	if !filepath.IsAbs(s) {
		s = filepath.Join(dir, s)
	}
	return filepath.Clean(s), nil
}

// sockaddr_un holds 108 bytes, one of which ends the path (unix(7)).
const maxSocketPath = 107

func socketPath(s, dir string) (string, error) {
	path, err := absolute(s, dir)
	if err == nil && len(path) > maxSocketPath {
		err = fmt.Errorf("is longer than %d bytes as an absolute path", maxSocketPath)
	}
	return path, err
}

func listenAddress(s, dir string) (string, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "unix":
		path, err := socketPath(rest, dir)
		return "unix:" + path, err
	case "tcp":
		addr, err := hostPort(rest)
		return "tcp:" + addr, err
	}
	return "", fmt.Errorf("is neither tcp nor unix")
}

// hostPort wants a host, so that listening everywhere is said ("0.0.0.0", "[::]").
func hostPort(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("is not HOST:PORT (an IPv6 address in brackets)")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("has no port from 0 to 65535")
	}
	if _, err := netip.ParseAddr(host); err != nil {
		if host, err = domain(host); err != nil {
			return "", fmt.Errorf("has no host before the port")
		}
	}
	return net.JoinHostPort(host, port), nil
}

// domain gives the lower-case IDNA ASCII form without a trailing dot.
func domain(s string) (string, error) {
	if strings.Contains(s, "@") {
		return "", fmt.Errorf("holds an @")
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return "", fmt.Errorf("is an IP address")
	}
	ascii, err := domains.ToASCII(strings.TrimSuffix(s, "."))
	if err != nil || ascii == "" {
		return "", fmt.Errorf("is no domain name")
	}
	return ascii, nil
}

var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(),
	idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// address gives an address in lower case with its domain in IDNA ASCII.
func address(s string) (string, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", fmt.Errorf("holds no @")
	}
	local := strings.ToLower(s[:at])
	host, err := domain(s[at+1:])
	if err != nil {
		return "", fmt.Errorf("has no domain name after the @")
	}
	if local == "" || strings.ContainsFunc(local, notInAddress) {
		return "", fmt.Errorf("has no plain name before the @")
	}
	return local + "@" + host, nil
}

// notInAddress refuses what would need quotes, or would hide in a table.
func notInAddress(r rune) bool {
	return !strconv.IsPrint(r) || strings.ContainsRune(` "(),:;<>@[\]`, r)
}

func addressOrDomain(s string) (string, error) {
	if strings.Contains(s, "@") {
		return address(s)
	}
	return domain(s)
}

// prefix reads "192.0.2.0/24", and "192.0.2.7" as one address.
func prefix(s, _ string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("is neither an address nor a prefix")
	case p != p.Masked():
		return p, fmt.Errorf("has bits set behind the prefix; perhaps %s is meant", p.Masked())
	}
	return p, nil
}

// A reply line has 480 bytes for everything: a URL may take a quarter of them.
const maxURL = 120

func webURL(s string) (string, error) {
	if len(s) > maxURL {
		return "", fmt.Errorf("has %d bytes", len(s))
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("is not printable ASCII without blanks")
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("is no http or https URL")
	}
	return s, nil
}

// word is a name from the provider's own world: customer, plan.
func word(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return "", fmt.Errorf("holds characters that cannot be printed")
	}
	return s, nil
}
