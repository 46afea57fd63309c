package mta

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed files/relay.cf
var relayCF string

// Relay is a running Postfix that takes mail from this machine without a login, tells
// its filters that it is one login's, and throws it away: to measure what filters cost.
type Relay struct {
	*Postfix
}

// NewRelay starts one with an SMTP server for each of these filters, TCP addresses; an
// empty one is none.
func NewRelay(t testing.TB, login string, filters ...string) *Relay {
	t.Helper()
	p := &Postfix{Dir: postfixFolder(t)}
	var servers strings.Builder
	for _, addr := range filters {
		port := FreePort(t)
		p.ports = append(p.ports, port)
		option := ""
		if addr != "" {
			option = " -o smtpd_milters=inet:" + addr
		}
		fmt.Fprintf(&servers, "127.0.0.1:%d inet n - n - - smtpd%s\n", port, option)
	}
	write(t, filepath.Join(p.Dir, "etc/main.cf"), strings.NewReplacer("DIR", p.Dir, "HOST", Host, "LOGIN", login).Replace(relayCF))
	write(t, filepath.Join(p.Dir, "etc/master.cf"), servers.String()+servicesCF)
	p.start(t)
	return &Relay{p}
}

// Addr is where the SMTP server with filter number i is.
func (r *Relay) Addr(i int) string { return loopback(r.ports[i]) }

// Drain waits until all mail has been thrown away. It looks at the queue's folders,
// which takes next to no processor time.
func (r *Relay) Drain(t testing.TB) {
	t.Helper()
	Poll(t, "Postfix' queue is empty", func() bool {
		for _, queue := range []string{"maildrop", "incoming", "active"} {
			if files, _ := filepath.Glob(filepath.Join(r.Dir, "queue", queue, "*")); len(files) > 0 { // the pattern is good
				return false
			}
		}
		return true
	})
}
