package mta

import (
	"fmt"
	"io"
	"math"
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
	Data []byte // its beginning, where the sink keeps no more
	Size int64  // of all of it, in octets
}

func (d Delivered) String() string { return fmt.Sprintf("from %s to %q: %s", d.From, d.To, d.Data) }

// Sink is an SMTP server on loopback that takes everything and remembers it.
type Sink struct {
	Port int

	mu      sync.Mutex
	got     []Delivered
	refuses bool
	keeps   int64 // octets of each message
}

// NewSink starts a sink that ends with the test.
func NewSink(t testing.TB) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Sink{Port: l.Addr().(*net.TCPAddr).Port, keeps: math.MaxInt64}
	srv := smtp.NewServer(s)
	srv.Domain = "sink.example"
	srv.MaxLineLength = 1 << 20        // what a server passes on is its own affair
	srv.ReadTimeout = 10 * time.Minute // of all of a message, on a busy machine
	go srv.Serve(l)                    // ends with Close
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

// Keep has it remember no more than so many octets of each message that comes.
func (s *Sink) Keep(octets int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeps = octets
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
	s.sink.mu.Lock()
	keeps := s.sink.keeps
	s.sink.mu.Unlock()
	b, err := io.ReadAll(io.LimitReader(r, keeps))
	if err != nil {
		return err
	}
	rest, err := io.Copy(io.Discard, r)
	if err != nil {
		return err
	}
	s.cur.Data, s.cur.Size, s.cur.At = b, int64(len(b))+rest, time.Now()
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.got = append(s.sink.got, s.cur)
	return nil
}

func (s *sinkSession) Reset()        { s.cur = Delivered{} }
func (s *sinkSession) Logout() error { return nil }
