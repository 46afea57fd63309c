package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// certificate is one in PEM.
var certificate = func() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}()

func TestRedisFiles(t *testing.T) {
	for _, c := range []struct {
		name, main, file string
		mode             os.FileMode
		want             string
	}{
		{"no password file", "state.redis_password_file = 'no'", "", 0o600, `1: state.redis_password_file: "no" does not exist; want ` + wantPassword},
		{"an empty one", "state.redis_password_file = 'file'", "\n", 0o600, `1: state.redis_password_file: "file" is empty; want ` + wantPassword},
		{"readable by others", "state.redis_password_file = 'file'", "x", 0o604, `1: state.redis_password_file: "file" is open to every user (mode 0604); want ` + wantPassword},
		{"readable by the group", "state.redis_password_file = 'file'", "x", 0o640, ""},
		{"a password in both places", "state.redis_password_file = 'file'\nstate.redis = 'redis://u:p@h'", "x", 0o600,
			`2: state.redis: holds a password beside state.redis_password_file; want it in one place`},
		{"a password among the parameters", "state.redis_password_file = 'file'\nstate.redis = 'redis://h/0?master_name=m&password=p'", "x", 0o600,
			`2: state.redis: holds a password beside state.redis_password_file; want it in one place`},
		{"certificates without TLS", "state.redis_ca_file = 'file'", certificate, 0o644,
			`1: state.redis_ca_file: is set, but state.redis is not by TLS; want a rediss URL with it`},
		{"a user in the URL", "state.redis_password_file = 'file'\nstate.redis = 'redis://u@h'", "x", 0o600, ""},
		{"none is named", "state.redis_password_file = ''\nstate.redis_ca_file = ''", "", 0o600, ""},
		{"no certificates", "state.redis_ca_file = 'no'", "", 0o644, `1: state.redis_ca_file: "no" does not exist; want ` + wantCertificates},
		{"no PEM", "state.redis_ca_file = 'file'", "x", 0o644, `1: state.redis_ca_file: "file" holds no certificate; want ` + wantCertificates},
		{"a folder", "state.redis_ca_file = '.'", "", 0o644, `1: state.redis_ca_file: "." cannot be read (is a directory); want ` + wantCertificates},
		{"a certificate", "state.redis_ca_file = 'file'\nstate.redis = 'rediss://h'", certificate, 0o644, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{"main.toml": c.main, "file": c.file})
			if err := os.Chmod(filepath.Join(dir, "file"), c.mode); err != nil {
				t.Fatal(err)
			}
			_, faults := Load(filepath.Join(dir, "main.toml"), true)
			got := ""
			for _, f := range faults {
				got += strings.TrimPrefix(f.Error(), dir+"/main.toml:")
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRedisURLs(t *testing.T) {
	for _, good := range []string{
		"redis://127.0.0.1:6379/0", "rediss://user:secret@[2001:db8::1]:6380/3", "unix:///run/redis/redis.sock?db=2",
		"redis://:secret@redis.example", "redis://s1.example:26379/0?master_name=mail&addr=s2.example:26379&password=secret",
	} {
		if _, flaws := redisURL(good, "/"); len(flaws) > 0 {
			t.Errorf("%s: %v", good, flaws)
		}
	}
	for bad, shown := range map[string]string{
		"localhost:6379": `"localhost:6379"`, "": `""`, "redis:": `"redis:"`, "unix:": `"unix:"`,
		"http://user:secret@h": `"http://...@h"`, "redis://user:se%cret@h": `"redis://...@h"`,
		"user:sec@ret@h": `"//...@h"`, "redis://user:secret@h:port": `"redis://...@h:port"`,
		"http://h/?password=se@cret": `"http://h/?..."`, "redis://h:port?password=secret": `"redis://h:port?..."`,
	} {
		_, flaws := redisURL(bad, "/")
		if len(flaws) != 1 || flaws[0].problem != shown+" is no redis, rediss or unix URL" {
			t.Errorf("%s: %v", bad, flaws)
		}
	}
}

func TestPassword(t *testing.T) {
	for raw, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", " a \n\n": " a \n", "": "", "\n": ""} {
		if got := Password([]byte(raw)); got != want {
			t.Errorf("%q: got %q", raw, got)
		}
	}
}
