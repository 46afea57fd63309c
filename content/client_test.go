package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/message"
	"o2n-milter/rules"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

const good = `{"is_skipped":false,"score":4.5,"required_score":15.0,"action":"no action","symbols":{"A":{"name":"A","score":4.5}}}`

// bench is a client with a clock, and what it told.
type bench struct {
	*Client
	mu   sync.Mutex
	at   time.Time
	told []Kind // "" for a score
	log  strings.Builder
}

func newBench(t testing.TB, url string, change func(*Options)) *bench {
	t.Helper()
	b := &bench{at: start}
	o := Options{URL: url, Timeout: 5 * time.Second, Log: slog.New(slog.NewTextHandler(&b.log, nil))}
	o.Now = func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.at
	}
	o.Observe = func(_ time.Duration, f *Fault) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if f == nil {
			b.told = append(b.told, "")
		} else {
			b.told = append(b.told, f.Kind)
		}
	}
	if change != nil {
		change(&o)
	}
	var err error
	if b.Client, err = New(o); err != nil {
		t.Fatal(err)
	}
	return b
}

// kind is why there was no score for a message; empty when there was one.
func (b *bench) kind(t testing.TB) Kind {
	t.Helper()
	_, err := b.Score(t.Context(), mail())
	if err == nil {
		return ""
	}
	f, is := err.(*Fault)
	if !is {
		t.Fatalf("%T: %v", err, err)
	}
	return f.Kind
}

// engine is a server that reads the question and answers as told. One that hung up on
// a question half read could reset the connection before its answer is there.
func engine(t testing.TB, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(raw))
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func saying(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func mail() *rules.Mail {
	return &rules.Mail{
		Client: netip.MustParseAddr("2001:db8::7"), ClientName: "pc.client-a.example", Host: "mx.example",
		Login: "alice@client-a.example", Sender: "alice@client-a.example", QueueID: "4T00001",
		Recipients: []rules.Recipient{{Address: "bob@remote.example"}, {Address: "jörg@remote.example"}, {Address: "eve@bücher.example"}},
		Header: []message.Field{
			{Name: "From", Value: "Alice <alice@client-a.example>"}, {Name: "To", Value: "bob@remote.example,\n\teve@remote.example"},
			{Name: "Subject", Value: "two\r\n words"},
		},
		Body: []byte("Good morning.\r\n"), Size: 200,
	}
}

// TestQuestion: what goes over the wire, to the letter.
func TestQuestion(t *testing.T) {
	var got http.Header
	var body string
	s := engine(t, func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil || int64(len(raw)) != r.ContentLength || r.Method != "POST" || r.URL.Path != "/checkv2" {
			t.Errorf("%s %s: %d of %d octets, %v", r.Method, r.URL, len(raw), r.ContentLength, err)
		}
		got, body = r.Header, string(raw)
		io.WriteString(w, good)
	})
	b := newBench(t, s.URL, func(o *Options) { o.Password = "q1 w2" })
	score, err := b.Score(t.Context(), mail())
	if want := (rules.Score{Score: 4.5, Required: 15, Action: "no action", Symbols: []string{"A"}}); err != nil || !cmp.Equal(score, want) {
		t.Errorf("%+v, %v; want %+v", score, err, want)
	}
	want := http.Header{
		"Content-Length": {fmt.Sprint(len(body))}, "User-Agent": {"o2n-milter"}, "Connection": {"close"}, "Password": {"q1 w2"}, "Queue-Id": {"4T00001"},
		"User": {"alice@client-a.example"}, "Hostname": {"pc.client-a.example"}, "Mta-Name": {"mx.example"}, "Ip": {"2001:db8::7"},
		"From": {"<alice@client-a.example>"}, "Rcpt": {"<bob@remote.example>", "<eve@xn--bcher-kva.example>"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	const text = "From: Alice <alice@client-a.example>\r\nTo: bob@remote.example,\r\n\teve@remote.example\r\n" +
		"Subject: two\r\n words\r\n\r\nGood morning.\r\n"
	if diff := cmp.Diff(text, body); diff != "" {
		t.Error(diff)
	}
}

// A program of this host has neither login nor address, a report no sender.
func TestQuestionOfAReport(t *testing.T) {
	var got http.Header
	s := engine(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header; io.WriteString(w, good) })
	b := newBench(t, s.URL, nil)
	m := &rules.Mail{Recipients: []rules.Recipient{{Address: strings.Repeat("a", 320) + "@y.example"}}}
	for n := range mostRcpts + 1 {
		m.Recipients = append(m.Recipients, rules.Recipient{Address: fmt.Sprintf("r%d@remote.example", n)})
	}
	if _, err := b.Score(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if n := len(got["Rcpt"]); n != mostRcpts-1 {
		t.Errorf("%d recipients are told; want %d", n, mostRcpts-1)
	}
	delete(got, "Rcpt")
	if diff := cmp.Diff(http.Header{"Content-Length": {"2"}, "User-Agent": {"o2n-milter"}, "Connection": {"close"}, "From": {"<>"}}, got); diff != "" {
		t.Error(diff)
	}
}

// What a sender writes into his envelope neither breaks the question nor adds to it.
func TestHostileEnvelope(t *testing.T) {
	hostile := []string{"a\r\nPassword: x@y.example", "a b@y.example", "\x00@y.example", "<a@y.example>", "a@y.example\r\n\r\n", "root",
		"\"a b\"@y.example", "a@b@y.example", "@", strings.Repeat("a", 5000) + "@y.example", "\xff\xfe@y.example", "jörg@y.example"}
	var got http.Header
	s := engine(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header; io.WriteString(w, good) })
	b := newBench(t, s.URL, nil)
	for _, h := range hostile {
		m := mail()
		m.Login, m.Sender, m.ClientName, m.Host, m.QueueID = h, h, h, h, h
		m.Recipients = []rules.Recipient{{Address: h}}
		if _, err := b.Score(t.Context(), m); err != nil {
			t.Errorf("%q: %v", h, err)
		}
		if got.Get("Password") != "" || strings.ContainsFunc(fmt.Sprint(got), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q: %q", h, got)
		}
		if from := got.Get("From"); from != "" && (len(from) > 400 || strings.ContainsAny(from, " \"") || strings.Count(from, "@") != 1) {
			t.Errorf("%q: From: %s", h, from)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	s := engine(t, saying(good))
	s.Close()
	if got := newBench(t, s.URL, nil).kind(t); got != Connection {
		t.Errorf("tcp: %q", got)
	}
	if got := newBench(t, "unix:"+filepath.Join(t.TempDir(), "none.sock"), nil).kind(t); got != Connection {
		t.Errorf("unix: %q", got)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(saying(good))
	s.Listener.Close()
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	if got := newBench(t, "unix:"+path, nil).kind(t); got != "" {
		t.Errorf("%q", got)
	}
}

// Plain http goes to no other network, whatever a name leads to.
func TestOnlyOwnNetwork(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "10.1.2.3:1": true, "192.168.0.1:1": true, "[fd00::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		"192.0.2.7:1": false, "172.15.255.255:1": false, "172.16.0.0:1": true, "[2001:db8::1]:1": false, "0.0.0.0:1": false, "nonsense": false,
	} {
		if err := onlyOwn("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	b := newBench(t, "http://192.0.2.7:11333", nil)
	if _, err := b.Score(t.Context(), mail()); err == nil || !strings.Contains(err.Error(), "plain http to 192.0.2.7; want https") {
		t.Errorf("%v", err)
	}
}

func TestBadPassword(t *testing.T) {
	for _, p := range []string{"two\nlines", "é", "\x00"} {
		if _, err := New(Options{Password: p}); err == nil || strings.Contains(err.Error(), p) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// TestConnections: each question has a connection of its own, and leaves none.
func TestConnections(t *testing.T) {
	var opened, open atomic.Int32
	s := httptest.NewUnstartedServer(saying(good))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	b := newBench(t, s.URL, nil)
	for n := range 10 {
		if got := b.kind(t); got != "" {
			t.Fatalf("%q", got)
		}
		for end := time.Now().Add(5 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d connections are left after question %d", open.Load(), n+1)
			}
		}
	}
	if n := opened.Load(); n != 10 {
		t.Errorf("%d connections for ten questions", n)
	}
}

// TestAtOnce: no more questions are under way than may be; one too many waits, and is
// not held against the engine.
func TestAtOnce(t *testing.T) {
	var under atomic.Int32
	full, release := make(chan struct{}), make(chan struct{})
	s := engine(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n := under.Add(1); {
		case n == atOnce:
			close(full)
		case n > atOnce:
			t.Errorf("%d under way", n)
		}
		<-release
		under.Add(-1)
		io.WriteString(w, good)
	})
	b := newBench(t, s.URL, func(o *Options) { o.Timeout = time.Minute })
	var asking sync.WaitGroup
	for range atOnce {
		asking.Go(func() {
			if _, err := b.Score(t.Context(), mail()); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	b.opt.Timeout = time.Millisecond // of those that come now; the others have theirs
	for range mostFailed + 1 {
		if got := b.kind(t); got != Busy {
			t.Errorf("%q; want busy", got)
		}
	}
	close(release)
	asking.Wait()
	b.opt.Timeout = 5 * time.Second
	if got := b.kind(t); got != "" {
		t.Errorf("afterwards: %q", got)
	}
}

// A message whose own time is over says nothing about the engine.
func TestGivenUp(t *testing.T) {
	s := engine(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	b := newBench(t, s.URL, nil)
	for range mostFailed + 1 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := b.Score(ctx, mail())
		cancel()
		var f *Fault
		if !errors.As(err, &f) || f.Kind != Timeout {
			t.Errorf("%v", err)
		}
	}
}
