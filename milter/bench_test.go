package milter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"o2n-milter/milter/shelf"
	"o2n-milter/milter/shelf/shelftest"
	"o2n-milter/rules"
)

type quiet struct{}

func (quiet) Record(*rules.Mail, rules.Verdict, time.Duration) {}
func (quiet) Sessions(int)                                     {}
func (quiet) Kept(bool)                                        {}

// bench is an MTA on one connection, which sends a message of 4 KB with 12 fields as
// Postfix sends it, macros before each.
type bench struct {
	b  testing.TB
	nc net.Conn
	in *bufio.Reader
}

func (m *bench) reply() {
	head, err := m.in.Peek(4)
	if err != nil {
		m.b.Fatal(err)
	}
	m.in.Discard(4 + int(binary.BigEndian.Uint32(head)))
}

func connect(b testing.TB, addr net.Addr) *bench {
	nc, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		b.Fatal(err)
	}
	m := &bench{b, nc, bufio.NewReader(nc)}
	io.WriteString(nc, packet('O', offer(6, allActions, allProtocol)))
	m.reply()
	io.WriteString(nc, (&mta{}).step(helloA))
	return m
}

var benchEnvelope = []byte((&mta{}).step(mailA) + (&mta{}).step("R <r@r.example> rcpt_addr=r@r.example rcpt_mailer=smtp"))

var benchContent = func() []byte {
	queueID := packet('D', "Li\x004XyZ1234\x00")
	return []byte(strings.Repeat(queueID+(&mta{}).step("L X-Some-Field: of about sixty bytes, as they are on average"), 12) +
		queueID + packet('N', "") + queueID + packet('B', strings.Repeat("x", 3000)) + queueID + packet('E', ""))
}()

var benchAbort = []byte(packet('A', ""))

func (m *bench) message() {
	m.nc.Write(benchEnvelope)
	m.reply()
	m.nc.Write(benchContent)
	m.reply()
	m.nc.Write(benchAbort)
}

// cpuTime is what the process has used of its processors.
func cpuTime(tb testing.TB) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// kinds runs a benchmark over TCP, judged by nobody, with and without a shelf.
func kinds(b *testing.B, run func(b *testing.B, addr net.Addr)) {
	for _, kept := range []bool{false, true} {
		b.Run(fmt.Sprintf("kept=%v", kept), func(b *testing.B) {
			s := &Server{Judge: func() Judge { return always(pass) }, Recorder: quiet{}}
			if kept {
				b.Setenv("NOTIFY_SOCKET", shelftest.New(b, 2048).Socket)
				s.Shelf = shelf.Open(nil, TapeFormat, slog.New(slog.DiscardHandler))
			}
			ln, err := Listen("tcp:127.0.0.1:0", 0, "")
			if err != nil {
				b.Fatal(err)
			}
			go s.Serve(ln)
			defer s.Shutdown(b.Context())
			b.ReportAllocs()
			begun := cpuTime(b)
			run(b, ln.Addr())
			b.ReportMetric(float64(cpuTime(b)-begun)/float64(b.N), "cpu-ns/op") // the MTA's too
		})
	}
}

// BenchmarkMessage is a message on a connection that stays.
func BenchmarkMessage(b *testing.B) {
	kinds(b, func(b *testing.B, addr net.Addr) {
		m := connect(b, addr)
		defer m.nc.Close()
		for b.Loop() {
			m.message()
		}
	})
}

// A message costs few allocations, whatever judging it costs: 9 when this was written.
func TestMessageAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector drops what is pooled")
	}
	s := &Server{Judge: func() Judge { return always(pass) }, Recorder: quiet{}}
	ln, err := Listen("tcp:127.0.0.1:0", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	defer s.Shutdown(t.Context())
	m := connect(t, ln.Addr())
	defer m.nc.Close()
	if n := testing.AllocsPerRun(200, m.message); n > 14 {
		t.Errorf("%v allocations a message, want 14 at most", n)
	}
}

// BenchmarkSession is a connection for each message.
func BenchmarkSession(b *testing.B) {
	kinds(b, func(b *testing.B, addr net.Addr) {
		for b.Loop() {
			m := connect(b, addr)
			m.message()
			io.WriteString(m.nc, packet('Q', ""))
			m.in.Peek(1) // until it is closed
			m.nc.Close()
		}
	})
}
