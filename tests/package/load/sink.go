package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/textproto"
	"os"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// idField names the message in its header.
const idField = "X-Load"

// sink accepts all mail and counts how often each message arrived.
type sink struct {
	server *smtp.Server
	keep   string        // folder that gets the messages; empty when they are only counted
	ended  chan struct{} // closed when it listens no more

	mu    sync.Mutex
	times map[string]int // by Result.ID
}

func listen(at, keep string) (*sink, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, err
	}
	s := &sink{keep: keep, ended: make(chan struct{}), times: map[string]int{}}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return delivery{s}, nil }))
	s.server.Domain = "remote.example"
	go func() { s.server.Serve(l); close(s.ended) }()
	return s, nil
}

func (s *sink) close() { s.server.Close() }

func (s *sink) count(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times[id]
}

// await waits until all that was accepted is here, and no longer than settle.
func (s *sink) await(all []Result, settle time.Duration) {
	deadline := time.Now().Add(settle)
	for _, r := range all {
		for r.Code == 250 && s.count(r.ID) == 0 && time.Now().Before(deadline) {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// delivery is one SMTP session of the sink.
type delivery struct{ sink *sink }

func (delivery) Reset()                               {}
func (delivery) Logout() error                        { return nil }
func (delivery) Mail(string, *smtp.MailOptions) error { return nil }
func (delivery) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (d delivery) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(text))).ReadMIMEHeader()
	if err != nil {
		return err
	}
	return d.sink.take(header.Get(idField), text)
}

// take counts a message, and keeps it if that is wanted.
func (s *sink) take(id string, text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times[id]++
	if s.keep == "" {
		return nil
	}
	f, err := os.CreateTemp(s.keep, "*.eml")
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Close()
}
