package redisdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// connections is how many a server is given by one process, and to each server of a
// Cluster. A server works on one call at a time; more would only wait there.
const connections = 32

// parameters are those that a URL may have; others have no place here.
var parameters = []string{"addr", "db", "master_name", "password", "skip_verify", "username"}

// parseURL reads an address; its errors never hold a password.
//
//	redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]     rediss:// with TLS
//	unix://[[USER]:PASSWORD@]/PATH[?db=DB]
//	redis://[SENTINEL-USER:PASSWORD@]HOST:26379[/DB]?master_name=NAME[&addr=HOST:PORT...][&username=USER][&password=PASSWORD]
//	redis://[[USER]:PASSWORD@]HOST[:PORT]?addr=HOST:PORT[&addr=...]
//
// The third is Sentinel, the last a Cluster: the servers to begin with, at least two
// (one may be named twice). A Cluster has one database.
func parseURL(raw string) (*redis.UniversalOptions, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The library's error holds the URL, and with it the password.
		return nil, errors.New("address of Redis: not a URL; is a character of the password not percent-escaped?")
	}
	query := u.Query()
	for name := range query {
		if !slices.Contains(parameters, name) {
			return nil, fmt.Errorf("address of Redis: parameter %q; want one of %s", name, strings.Join(parameters, ", "))
		}
	}
	var o *redis.UniversalOptions
	switch {
	case query.Has("master_name"):
		o, err = sentinelURL(raw)
	case query.Has("addr"):
		o, err = clusterURL(u, raw)
	default:
		o, err = serverURL(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("address of Redis: %s", strings.TrimPrefix(err.Error(), "redis: "))
	}
	return o, nil
}

func serverURL(raw string) (*redis.UniversalOptions, error) {
	p, err := redis.ParseURL(raw)
	if err != nil {
		return nil, err
	}
	return &redis.UniversalOptions{
		Addrs: []string{p.Addr}, DB: p.DB, Username: p.Username, Password: p.Password, TLSConfig: p.TLSConfig,
	}, nil
}

func sentinelURL(raw string) (*redis.UniversalOptions, error) {
	p, err := redis.ParseFailoverURL(raw)
	if err != nil {
		return nil, err
	}
	if p.MasterName == "" {
		return nil, errors.New("master_name is empty; want the name that Sentinel has for the master")
	}
	return &redis.UniversalOptions{
		Addrs: p.SentinelAddrs, MasterName: p.MasterName, DB: p.DB, Username: p.Username, Password: p.Password,
		SentinelUsername: p.SentinelUsername, SentinelPassword: p.SentinelPassword, TLSConfig: p.TLSConfig,
	}, nil
}

func clusterURL(u *url.URL, raw string) (*redis.UniversalOptions, error) {
	if db := strings.Trim(u.Path, "/"); db != "" && db != "0" {
		return nil, fmt.Errorf("database %q of a Cluster; it has only one", db)
	}
	p, err := redis.ParseClusterURL(raw)
	if err != nil {
		return nil, err
	}
	return &redis.UniversalOptions{
		Addrs: p.Addrs, IsClusterMode: true, Username: p.Username, Password: p.Password, TLSConfig: p.TLSConfig,
	}, nil
}

// Check says what is wrong with an address, without connecting to it.
func Check(o Options) error {
	_, err := address(o)
	return err
}

// address is what o says of the server, with what does not come from the URL.
func address(o Options) (*redis.UniversalOptions, error) {
	u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Password != "" {
		if u.Password != "" {
			return nil, errors.New("address of Redis: a password in the URL and one in a file; want one of them")
		}
		u.Password = o.Password
	}
	if o.CAFile == "" {
		return u, nil
	}
	if u.TLSConfig == nil {
		return nil, errors.New("address of Redis: a CA file without TLS; want rediss://")
	}
	u.TLSConfig.RootCAs, err = readCAs(o.CAFile)
	return u, err
}

func readCAs(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("CA file of Redis: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file of Redis: %s holds no certificate in PEM", path)
	}
	return pool, nil
}

// connect makes a client; it dials only when it is used. Nothing is tried twice by
// itself: a charge may have been made although its answer was lost. Every call has
// its own deadline, so the library's are only a last resort.
func connect(life context.Context, o *redis.UniversalOptions) redis.UniversalClient {
	const lastResort = 10 * time.Second
	// A dial goes on when its caller's budget is over, so that the next one finds it done.
	const dialTime = time.Second
	c := *o
	c.Dialer = dialer(life, o.TLSConfig)
	c.DialTimeout, c.DialerRetries, c.MaxRetries = dialTime, 1, -1
	c.ReadTimeout, c.WriteTimeout, c.PoolTimeout = lastResort, lastResort, lastResort
	c.ContextTimeoutEnabled = true
	c.Protocol, c.DisableIdentity = 2, true // nothing of RESP3 is used; asks less of an ACL
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c.PoolSize, c.PipelinePoolSize = connections, -1
	return redis.NewUniversalClient(&c)
}

// dialer ends its dials with life: the library's go on after their callers.
func dialer(life context.Context, config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil || config == nil {
			return conn, err
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return secure, nil
	}
}
