package mta

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Redis is a redis-server on a unix socket in a scratch folder, which keeps there what it
// was told.
type Redis struct {
	*Proc
	Socket string

	line []string // what starts it
}

// NewRedis starts one, with these options beside our own. It ends with the test.
func NewRedis(t testing.TB, options ...string) *Redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		SkipOrFail(t, "redis-server")
	}
	dir := scratch(t, "redis")
	r := &Redis{Socket: filepath.Join(dir, "redis.sock")}
	r.line = slices.Concat([]string{program, "--port", "0", "--unixsocket", r.Socket, "--dir", dir, "--logfile", filepath.Join(dir, "log"),
		"--save", "", "--appendonly", "yes"}, options)
	r.Start(t)
	return r
}

// Start starts it, again after its end, and waits until it has read what it kept.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	r.Proc = Start(t, exec.Command(r.line[0], r.line[1:]...))
	Poll(t, "redis-server answers", func() bool {
		if !r.Running() {
			t.Fatalf("redis-server ended: %v", r.Err())
		}
		return r.answers()
	})
}

// answers says whether it would take a command, of who has the password if there is one.
func (r *Redis) answers() bool {
	conn, err := net.DialTimeout("unix", r.Socket, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(conn, "PING\r\n")
	answer, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.HasPrefix(answer, "+PONG") || strings.HasPrefix(answer, "-NOAUTH")
}
