// Package mta starts real mail servers for tests, each from a scratch folder of
// its own on loopback ports of its own: Postfix, and Sendmail unpacked beside
// the clone (tests/install). It holds the small SMTP client that talks to them
// and the sink that receives what they pass on.
//
// It knows nothing of the filter but its address. Nothing outside the scratch
// folder is written, and every process it starts is ended with its test.
package mta

import (
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"
)

// Names that all servers of this package share with the cases.
const (
	// Host is the servers' own name; root@Host is a local address, whose mail
	// still goes to the sink, but by the mailer that the MTA calls "local".
	Host = "submit.host.example"
	// Password is every login's password.
	Password = "correct-horse"
	// Refused is the local part of recipients that the server itself refuses
	// with 550 at RCPT, before the filter is asked.
	Refused = "refused"
)

// startTimeout bounds the start of a server and of anything else that is polled for.
const startTimeout = 20 * time.Second

// Logins exist on every server. carol has no realm.
var Logins = []string{
	"alice@client-a.example", "info@client-a.example", "bob@client-b.example",
	"mallory@unlisted.example", "alice@client.fr", "carol",
}

// Server is what a driver needs of a running MTA.
type Server interface {
	// Submission is the address that wants a login.
	Submission() string
	// Loopback takes mail of this machine's own programs by SMTP, without login.
	Loopback() string
	// Remote opens a connection that the server takes for one from RemoteIP. It
	// takes mail for Host only.
	Remote(t testing.TB) *Client
	RemoteIP() string
	// Submit is sendmail(1). The reply is the one the filter's refusal left
	// behind, or the zero Reply when there was none.
	Submit(t testing.TB, sender string, rcpts []string, msg []byte) Reply
	// Held counts the messages on hold.
	Held(t testing.TB) int
	// Drain waits until nothing is left to deliver, held mail aside.
	Drain(t testing.TB)
	// Purge deletes everything queued or held.
	Purge(t testing.TB)
	// Stop and Start are a restart.
	Stop()
	Start(t testing.TB)
	// Log is the mail log so far.
	Log() string
}

// SkipOrFail skips the test, saying loudly what is missing. In CI a test of a real MTA
// that does not run is a failure.
func SkipOrFail(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT RUN: %s is missing, and CI=true does not allow that; run tests/install as root", what)
	}
	t.Skipf("SKIPPED: %s is missing; run tests/install as root", what)
}

// FreePort is a loopback port that was free a moment ago, and that no outgoing
// connection takes meanwhile: those start at 32768 (ip(7), ip_local_port_range).
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", loopback(port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return 0
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Poll asks until done says true, and fails the test when it never does.
func Poll(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(startTimeout); !done(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("still not after %v: %s", startTimeout, what)
		}
	}
}
