package mta

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-milter"
	"github.com/google/go-cmp/cmp"
)

// told is a filter that writes down what it is told. It speaks the version, asks for the
// protocol bits and the macros, and answers each event that wants an answer.
type told struct {
	conn     net.Conn
	version  uint32
	protocol milter.OptProtocol
	macros   string // of MAIL
	answer   map[byte]string
	packets  []string
}

func (f *told) packet(code byte, data string) {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	f.conn.Write(append(append(head, code), data...))
}

// serve ends with the connection.
func (f *told) serve() {
	silent := map[byte]milter.OptProtocol{'C': milter.OptNoConnReply, 'H': milter.OptNoHeloReply, 'M': milter.OptNoMailReply, 'R': milter.OptNoRcptReply,
		'T': milter.OptNoDataReply, 'L': milter.OptNoHeaderReply, 'N': milter.OptNoEOHReply, 'B': milter.OptNoBodyReply}
	for {
		var head [5]byte
		if _, err := io.ReadFull(f.conn, head[:]); err != nil {
			return
		}
		code, data := head[4], make([]byte, binary.BigEndian.Uint32(head[:])-1)
		if _, err := io.ReadFull(f.conn, data); err != nil {
			return
		}
		switch {
		case code == 'O':
			terms := binary.BigEndian.AppendUint32(nil, f.version)
			terms = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(terms, uint32(milter.OptSetSymList)), uint32(f.protocol))
			terms = binary.BigEndian.AppendUint32(terms, uint32(milter.StageMailFrom))
			f.packet('O', string(terms)+f.macros+"\x00")
			continue
		case code == 'B':
			data = fmt.Append(nil, len(data), " octets")
		}
		f.packets = append(f.packets, fmt.Sprintf("%c %s", code, strings.TrimSuffix(strings.ReplaceAll(string(data), "\x00", "|"), "|")))
		switch answer := f.answer[code]; {
		case answer != "":
			f.packet('y', answer+"\x00")
		case code == 'E', silent[code] != 0 && f.protocol&silent[code] == 0:
			f.packet('c', "")
		}
	}
}

// TestDeliver: what a filter is told of a letter, with its wishes or without.
func TestDeliver(t *testing.T) {
	letter := Letter{
		Login: "a@c.example", Sender: "a@c.example", Recipients: []string{"b@d.example", "e@d.example"},
		Header: []string{"From: a@c.example", "Subject: x: y"}, Body: strings.Repeat("x", 70_000), QueueID: "Q1",
	}
	for _, tt := range []struct {
		name   string
		filter told
		want   []string
		code   int
	}{
		{"that asks for little", told{version: 2, protocol: milter.OptNoMailReply | milter.OptNoHeaderReply | milter.OptNoBodyReply, macros: "{auth_authen}, i"}, []string{
			"D M{auth_authen}|a@c.example", "M <a@c.example>",
			"D R{rcpt_addr}|b@d.example|{rcpt_host}|d.example|{rcpt_mailer}|smtp", "R <b@d.example>",
			"D Ri|Q1|{rcpt_addr}|e@d.example|{rcpt_host}|d.example|{rcpt_mailer}|smtp", "R <e@d.example>",
			"D Li|Q1", "L From|a@c.example", "D Li|Q1", "L Subject|x: y", "D Ni|Q1", "N ",
			"D Bi|Q1", "B 65535 octets", "D Bi|Q1", "B 4465 octets", "D Ei|Q1", "E ", "A ",
		}, 250},
		{"that hides headers and sees DATA", told{version: 6, protocol: milter.OptNoHeaders | milter.OptNoEOH | milter.OptNoBody}, []string{
			"D M{auth_type}|PLAIN|{auth_authen}|a@c.example|{mail_addr}|a@c.example|{mail_host}|c.example|{mail_mailer}|smtp", "M <a@c.example>",
			"D R{rcpt_addr}|b@d.example|{rcpt_host}|d.example|{rcpt_mailer}|smtp", "R <b@d.example>",
			"D Ri|Q1|{rcpt_addr}|e@d.example|{rcpt_host}|d.example|{rcpt_mailer}|smtp", "R <e@d.example>",
			"D Ti|Q1", "T ", "D Li|Q1", "D Li|Q1", "D Ni|Q1", "D Bi|Q1", "D Bi|Q1", "D Ei|Q1", "E ", "A ",
		}, 250},
		{"that refuses MAIL", told{version: 6, macros: "i", answer: map[byte]string{'M': "451 4.3.2 later"}}, []string{"D M", "M <a@c.example>", "A "}, 451},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			tt.filter.conn = theirs
			done := make(chan struct{})
			go func() { defer close(done); tt.filter.serve() }()
			f, err := NewFilter(ours)
			if err != nil {
				t.Fatal(err)
			}
			out, err := f.Deliver(letter)
			if err != nil || out.Reply.Code != tt.code {
				t.Errorf("%v, %v; want %d", out, err, tt.code)
			}
			f.Close()
			<-done
			if diff := cmp.Diff(tt.want, tt.filter.packets); diff != "" {
				t.Error(diff)
			}
		})
	}
}
