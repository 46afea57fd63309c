package mta

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Delivered is one message as the sink received it.
type Delivered struct {
	At   time.Time
	From string // empty for the null sender
	To   []string
	Data []byte
}

// Sink is an SMTP server on loopback that takes everything and remembers it.
type Sink struct {
	Port int

	mu      sync.Mutex
	got     []Delivered
	refuses bool
}

// NewSink starts a sink that ends with the test.
func NewSink(t testing.TB) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Sink{Port: l.Addr().(*net.TCPAddr).Port}
	srv := smtp.NewServer(s)
	srv.Domain = "sink.example"
	srv.MaxLineLength = 1 << 20 // what a server passes on is its own affair
	srv.ReadTimeout = time.Minute
	go srv.Serve(l) // ends with Close
	t.Cleanup(func() { srv.Close() })
	return s
}

// All is everything received so far.
func (s *Sink) All() []Delivered {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// Clear forgets what was received.
func (s *Sink) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = nil
}

// Take is All and Clear at once: nothing is lost in between.
func (s *Sink) Take() []Delivered {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// Refuse has the sink answer every MAIL with 451, or take mail again.
func (s *Sink) Refuse(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = yes
}

// NewSession makes Sink a go-smtp backend.
func (s *Sink) NewSession(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }

type sinkSession struct {
	sink *Sink
	cur  Delivered
}

func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if s.sink.refuses {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "not now"}
	}
	s.cur = Delivered{From: from}
	return nil
}

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.cur.To = append(s.cur.To, to)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.cur.Data, s.cur.At = b, time.Now()
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.got = append(s.sink.got, s.cur)
	return nil
}

func (s *sinkSession) Reset()        { s.cur = Delivered{} }
func (s *sinkSession) Logout() error { return nil }
