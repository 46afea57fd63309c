package redisdb

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

func TestParseURL(t *testing.T) {
	for _, good := range []string{
		"redis://127.0.0.1:6379/0", "redis://localhost", "redis://user:p%40ss@h:1/2", "redis://:pass@[::1]:6379", "redis://h?db=3",
		"rediss://h:6380", "rediss://h:6380?skip_verify=true", "unix:///run/redis.sock", "unix://user:pass@/run/redis.sock?db=1",
		"redis://h:26379/1?master_name=m&addr=h2:26379&username=u&password=p", "rediss://h?master_name=m",
		"redis://h?addr=h2:6379", "rediss://u:p@h:6379?addr=h2:6379&addr=h3:6379",
	} {
		if _, err := parseURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"":                          "scheme",
		"127.0.0.1:6379":            "not a URL",
		"http://h":                  "scheme",
		"redis://:se/cret@h":        "not a URL; is a character of the password not percent-escaped?",
		"redis://h/x":               `database number: "x"`,
		"redis://h/1/2":             "path",
		"redis://h?read_timeout=1s": `parameter "read_timeout"; want one of addr, db`,
		"redis://h?master_name=":    "master_name is empty",
		"redis://h?addr=h2":         "addr",
		"redis://h/3?addr=h2:1":     `database "3" of a Cluster; it has only one`,
		"unix://h?addr=h2:1":        "scheme",
		"unix://":                   "path",
		"redis://h?db=x":            "database number",
		"redis://h:secret@x?a=b":    `parameter "a"`,
		"redis://h?pool_size=5":     `parameter "pool_size"`,
	} {
		_, err := parseURL(bad)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "address of Redis: ") {
			t.Errorf("%s: %v; want %q", bad, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: the error %q holds the password", bad, err)
		}
	}
}

func TestAddressFaults(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"a password in the URL and one in a file": {URL: "redis://:a@h", Password: "b"},
		"a CA file without TLS":                   {URL: "redis://h", CAFile: junk},
		"holds no certificate":                    {URL: "rediss://h", CAFile: junk},
		missing:                                   {URL: "rediss://h", CAFile: missing},
		"scheme":                                  {URL: "ftp://h"},
	} {
		s, err := Open(o)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis://u:p@h:1/2?addr=x:1")
	f.Add("unix://%2f?db=1")
	f.Fuzz(func(t *testing.T, s string) { _, _ = parseURL(s) }) // must not panic
}

func TestUnixSocket(t *testing.T) {
	srv := newServer(t, "--unixsocket", "DIR/s", "--requirepass", "p@ss")
	s := open(t, Options{URL: "unix://:p%40ss@" + srv.dir + "/s?db=3"})
	passes(t, s, true, one("account:a", 1))
	if info := fmt.Sprint(srv.auth(t, "p@ss", "INFO", "keyspace")); !strings.Contains(info, "db3:") || strings.Contains(info, "db0:") {
		t.Errorf("keyspace %s; want keys in db3 only", info)
	}
}

// auth is do with a password.
func (s *server) auth(t *testing.T, password string, args ...any) any {
	t.Helper()
	c := connect(t.Context(), must(parseURL("redis://:"+strings.ReplaceAll(password, "@", "%40")+"@127.0.0.1:"+s.port)))
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The rights that the package comment names are enough for everything.
func TestLeastRights(t *testing.T) {
	srv := newServer(t)
	srv.do(t, "ACL", "SETUSER", "o2n", "on", ">secret", "~o2n:*", "&o2n:*", "+@all", "-@admin", "-@dangerous", "+info")
	srv.do(t, "ACL", "SETUSER", "default", "off")
	s := open(t, Options{URL: "redis://o2n:secret@127.0.0.1:" + srv.port})
	charges := one("account:a", 5)
	charges[0].Set, charges[0].Members, charges[0].Remember = "recipients", []string{"r1"}, time.Hour
	passes(t, s, true, charges)
	add(t, s, block("B1", "account:a"))
	blocked(t, s, "account:a", nil, "B1")
	recorded(t, s, state.Decision{ID: "D1", At: time.Now(), Subjects: []string{"account:a"}})
	eventually(t, "the decision", func() error { _, err := s.Decision(t.Context(), "D1"); return err })
	if list, err := s.Decisions(t.Context(), state.Query{Limit: 1}); err != nil || len(list) != 1 {
		t.Errorf("decisions: %v, %v; want one", list, err)
	}
	if n, err := s.Reset(t.Context(), "account:a"); n != 1 || err != nil {
		t.Errorf("reset: %d, %v; want 1", n, err)
	}
	if st, err := s.Status(t.Context(), time.Now()); err != nil || st.Degraded != "" || st.Size == 0 {
		t.Errorf("status %+v, error %v; want it whole, with a size", st, err)
	}
	// Without one of them it is away, and says which.
	few := newServer(t)
	few.do(t, "ACL", "SETUSER", "o2n", "on", ">secret", "~o2n:*", "&o2n:*", "+@all", "-@scripting")
	away(t, open(t, Options{URL: "redis://o2n:secret@127.0.0.1:" + few.port}), "NOPERM")
}

// certificate writes one for 127.0.0.1 that signs itself, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	raw := must(x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private))
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: raw},
		key:  {Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(private))},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	srv := newServer(t, "--port", "0", "--tls-port", "PORT", "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	url := "rediss://127.0.0.1:" + srv.port
	s := open(t, Options{URL: url, CAFile: cert})
	passes(t, s, true, one("account:a", 1))
	passes(t, open(t, Options{URL: url + "?skip_verify=true"}), false, one("account:a", 1))
	for _, o := range []Options{{URL: url}, {URL: url, CAFile: func() string { other, _ := certificate(t); return other }()}} {
		s := open(t, o)
		if err := s.link.fault(); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("an unknown certificate: %v; want an error about it", err)
		}
	}
	away(t, open(t, Options{URL: srv.url()}), "") // without TLS
}

// Sentinel finds the master, and the next one when it is gone.
func TestSentinel(t *testing.T) {
	master := newServer(t, "--repl-diskless-sync-delay", "0")
	replica := newServer(t, "--replicaof", "127.0.0.1 "+master.port)
	sentinel := newSentinel(t, master.port)
	s := open(t, Options{URL: "redis://127.0.0.1:" + sentinel.port + "?master_name=m", Budget: short})
	add(t, s, block("B1", "account:x"))
	passes(t, s, true, one("account:a", 1))
	eventually(t, "the replica is known and has everything", func() error {
		known := fmt.Sprint(sentinel.do(t, "SENTINEL", "REPLICAS", "m"))
		got := replica.do(t, "HGETALL", limitKey("hour", "account:a"))
		if d := cmp.Diff(master.do(t, "HGETALL", limitKey("hour", "account:a")), got); d != "" || !strings.Contains(known, replica.port) {
			return fmt.Errorf("sentinel knows %s; replica lacks %s", known, d)
		}
		return nil
	})
	master.kill()
	deadline := time.Now().Add(20 * time.Second)
	for {
		begin := time.Now()
		a, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: one("account:a", 1)})
		if took := time.Since(begin); took > within {
			t.Fatalf("take took %s", took)
		}
		if err == nil {
			wants(t, "full windows", len(a.Full), 1) // the charge has come with the replica
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no other master: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	blocked(t, s, "account:x", nil, "B1")
}

func newSentinel(t *testing.T, master string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "o2n-redis")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: dir, port: freePort(t), sentinel: true}
	config := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor m 127.0.0.1 %s 1\nsentinel down-after-milliseconds m 300\n"+
		"sentinel failover-timeout m 2000\n", s.port, dir, master)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{config, "--sentinel"}
	t.Cleanup(s.end)
	s.start(t)
	return s
}
