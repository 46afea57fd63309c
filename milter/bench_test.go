package milter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
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
	b  *testing.B
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

func connect(b *testing.B, addr net.Addr) *bench {
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

var benchEnvelope = (&mta{}).step(mailA) + (&mta{}).step("R <r@r.example> rcpt_addr=r@r.example rcpt_mailer=smtp")

var benchContent = func() string {
	queueID := packet('D', "Li\x004XyZ1234\x00")
	return strings.Repeat(queueID+(&mta{}).step("L X-Some-Field: of about sixty bytes, as they are on average"), 12) +
		queueID + packet('N', "") + queueID + packet('B', strings.Repeat("x", 3000)) + queueID + packet('E', "")
}()

func (m *bench) message() {
	io.WriteString(m.nc, benchEnvelope)
	m.reply()
	io.WriteString(m.nc, benchContent)
	m.reply()
	io.WriteString(m.nc, packet('A', ""))
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
			run(b, ln.Addr())
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
