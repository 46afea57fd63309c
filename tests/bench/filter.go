package main

import (
	"bufio"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-milter"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// filter is a process that listens for a milter's client.
type filter struct {
	addr string // TCP
	pid  int
}

// limits are five, as a provider would set them, with room for all.
const limits = `[limit.minute]
max = 1000000
window = "1m"
action = "tempfail"
[limit.hour]
max = 1000000
window = "1h"
[limit.day]
max = 1000000
window = "24h"
[limit.client]
subject = "ip"
max = 10000000
window = "1m"
[limit.destination]
subject = "domain"
max = 10000000
window = "1h"
`

// fiveLimits are those of the text above.
const fiveLimits = 5

// startProduct starts the daemon with the default rules, a durable store and these
// texts of TOML.
func (p *part) startProduct(toml ...string) (*daemon.Daemon, filter) {
	addr := fmt.Sprintf("127.0.0.1:%d", mta.FreePort(p))
	d := daemon.Start(p, []string{"tcp:" + addr}, toml...)
	return d, filter{addr, d.Proc.Cmd.Process.Pid}
}

// noopCommand is the argument with which this program is the no-op.
const noopCommand = "noop"

func (p *part) startNoop() filter {
	self, err := os.Executable()
	p.must("this program's file", err)
	addr := fmt.Sprintf("127.0.0.1:%d", mta.FreePort(p))
	proc := mta.Start(p, exec.Command(self, noopCommand, addr))
	mta.Poll(p, "the no-op listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return filter{addr, proc.Cmd.Process.Pid}
}

// noop lets all mail through: what a filter costs that does nothing, as somebody would
// write it who knows the library. It asks to answer no more than it must.
type noop struct{ milter.NoOpMilter }

// readBuffer is what stands between the library, which reads each packet's head by
// itself, and the connection.
const readBuffer = 16 << 10

func (noop) Connect(string, string, uint16, net.IP, *milter.Modifier) (milter.Response, error) {
	return nil, nil
}
func (noop) Helo(string, *milter.Modifier) (milter.Response, error)           { return nil, nil }
func (noop) MailFrom(string, *milter.Modifier) (milter.Response, error)       { return nil, nil }
func (noop) Header(string, string, *milter.Modifier) (milter.Response, error) { return nil, nil }
func (noop) Headers(textproto.MIMEHeader, *milter.Modifier) (milter.Response, error) {
	return nil, nil
}
func (noop) BodyChunk([]byte, *milter.Modifier) (milter.Response, error) { return nil, nil }
func (noop) Body(*milter.Modifier) (milter.Response, error)              { return milter.RespContinue, nil }

type bufferedConn struct {
	net.Conn
	in *bufio.Reader
}

func (c bufferedConn) Read(b []byte) (int, error) { return c.in.Read(b) }

type bufferedListener struct{ net.Listener }

func (l bufferedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return bufferedConn{conn, bufio.NewReaderSize(conn, readBuffer)}, nil
}

func noopServer() *milter.Server {
	return &milter.Server{
		NewMilter: func() milter.Milter { return noop{} },
		Protocol: milter.OptNoConnReply | milter.OptNoHeloReply | milter.OptNoMailReply |
			milter.OptNoHeaderReply | milter.OptNoEOHReply | milter.OptNoBodyReply,
	}
}

func serveNoop(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return noopServer().Serve(bufferedListener{l})
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on all of Linux.
const clockTick = 10 * time.Millisecond

// cpuOf is the processor time that a process has taken so far.
func cpuOf(p *part, pid int) time.Duration {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	p.must("processor time", err)
	spent, err := parseStat(string(text))
	p.must("processor time", err)
	return spent
}

// parseStat adds utime and stime, the 14th and 15th field (proc(5)).
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name may have blanks
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat %q: too short", text)
	}
	var sum time.Duration
	for _, field := range fields[11:13] { // the third field of all is the first of these
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		sum += time.Duration(n) * clockTick
	}
	return sum, nil
}

// memoryOf is how much of a process is in memory, in octets.
func memoryOf(p *part, pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	p.must("memory", err)
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	line, _, _ := strings.Cut(rest, "kB")
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	p.must("memory", err)
	return n << 10
}
