package config

import (
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
)

// redisSchemes begin the URLs of servers: plain, by TLS, by a unix socket.
var redisSchemes = []string{"redis", "rediss", "unix"}

// redisURL is text that shows no password: faults end up in logs.
func redisURL(v any, _ string) (any, []flaw) {
	const want = "an URL such as redis://127.0.0.1:6379/0"
	s, ok := v.(string)
	if !ok {
		return nil, wrongType(v, want)
	}
	u, err := url.Parse(s)
	if err != nil || !slices.Contains(redisSchemes, u.Scheme) || u.Host == "" && u.Path == "" {
		return nil, flawed(want, "%s is no redis, rediss or unix URL", show(withoutUser(s)))
	}
	return s, nil
}

// withoutUser takes user and password out of what should be an URL: before the
// host, and among the parameters of one for Sentinel.
func withoutUser(s string) string {
	if base, _, has := strings.Cut(s, "?"); has {
		s = base + "?..."
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	scheme, _, has := strings.Cut(s[:at], "//")
	if !has {
		scheme = ""
	}
	return scheme + "//..." + s[at:]
}

// redisFiles checks the files that go with the URL.
func (r *reader) redisFiles() {
	st := r.cfg.State
	u, err := url.Parse(st.Redis)
	if err != nil {
		return // said already
	}
	_, has := u.User.Password()
	if has = has || u.Query().Has("password"); has && st.RedisPasswordFile != "" {
		r.faultAt(r.at("state", "redis"), "state.redis", "holds a password beside state.redis_password_file", "it in one place")
	}
	if st.RedisCAFile != "" && u.Scheme != "rediss" {
		r.faultAt(r.at("state", "redis_ca_file"), "state.redis_ca_file", "is set, but state.redis is not by TLS", "a rediss URL with it")
	}
}

// passwordFile wants a file with a line in it that other users cannot read.
func passwordFile(s, dir string) (string, error) {
	path, raw, err := secret(s, dir)
	if err == nil && Password(raw) == "" {
		err = errors.New("is empty")
	}
	return path, err
}

// Password is what stands in a password file: all of it but the line's end.
func Password(raw []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
}

func certificates(s, dir string) (string, error) {
	path, err := existing(s, dir)
	if err != nil {
		return "", err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fileProblem(err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(raw) {
		return "", errors.New("holds no certificate")
	}
	return path, nil
}
