//go:build mta

package faults

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"o2n-milter/tests/mta"
)

// redis is a redis-server of our own on a socket in its own folder.
type redis struct {
	dir, socket string
	proc        *mta.Proc
}

// startRedis skips loudly where there is no redis-server.
func startRedis(t testing.TB) *redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing")
		}
		t.Skip("SKIPPED: redis-server is not installed (tests/install)")
	}
	dir, err := os.MkdirTemp("", "o2n-redis-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &redis{dir: dir, socket: filepath.Join(dir, "redis.sock")}
	r.start(t)
	return r
}

func (r *redis) start(t testing.TB) {
	t.Helper()
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", r.socket, "--dir", r.dir,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no")
	r.proc = mta.Start(t, cmd)
	mta.Poll(t, "redis-server listens", func() bool {
		conn, err := net.Dial("unix", r.socket)
		if err != nil {
			return false
		}
		defer conn.Close()
		fmt.Fprint(conn, "PING\r\n")
		answer := make([]byte, 5)
		n, _ := conn.Read(answer)
		return string(answer[:n]) == "+PONG"
	})
}

// state is what stands under [state].
func (r *redis) state(more string) string {
	return fmt.Sprintf("backend = \"redis\"\nredis = \"unix://%s\"\n%s", r.socket, more)
}

const badger = "backend = \"badger\"\n"
