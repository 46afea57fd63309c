package milter

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
)

type quiet struct{}

func (quiet) Record(*rules.Mail, rules.Verdict, time.Duration) {}
func (quiet) Sessions(int)                                     {}
func (quiet) Kept(bool)                                        {}

// BenchmarkMessage is a message of 4 KB with 12 fields as Postfix sends it, macros
// before each, over TCP on one connection, judged by nobody.
func BenchmarkMessage(b *testing.B) {
	s := &Server{Judge: func() Judge { return always(pass) }, Recorder: quiet{}}
	ln, err := Listen("tcp:127.0.0.1:0", 0, "")
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(ln)
	defer s.Shutdown(b.Context())
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	in, m := bufio.NewReader(nc), &mta{}
	reply := func() {
		head, err := in.Peek(4)
		if err != nil {
			b.Fatal(err)
		}
		in.Discard(4 + int(binary.BigEndian.Uint32(head)))
	}
	io.WriteString(nc, packet('O', offer(6, allActions, allProtocol)))
	reply()
	io.WriteString(nc, m.step(helloA))
	envelope := m.step(mailA) + m.step("R <r@r.example> rcpt_addr=r@r.example rcpt_mailer=smtp")
	queueID := packet('D', "Li\x004XyZ1234\x00")
	content := strings.Repeat(queueID+m.step("L X-Some-Field: of about sixty bytes, as they are on average"), 12) +
		queueID + packet('N', "") + queueID + packet('B', strings.Repeat("x", 3000)) + queueID + packet('E', "")
	for b.Loop() {
		io.WriteString(nc, envelope)
		reply()
		io.WriteString(nc, content)
		reply()
		io.WriteString(nc, packet('A', ""))
	}
}
