package notify

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// TestMain has the system trust the certificate of httptest's servers: roots are
// read once in a process.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		panic(err)
	}
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	srv.Close()
	file := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		panic(err)
	}
	os.Setenv("SSL_CERT_FILE", file)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

var t0 = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// logBuffer is a log that a test reads while others write.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// house is a Notifier with what is around it.
type house struct {
	*Notifier
	log   *logBuffer
	store state.Store
}

func start(t *testing.T, store state.Store, host string, set Settings) *house {
	t.Helper()
	log := &logBuffer{}
	n, err := New(Options{
		Store: store, Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return t0 }, Host: host,
		Console: func(e Event) string { return "https://sending.example/admin/blocks/" + e.block() },
		Page:    func(account string) string { return "https://sending.example/c/TOKEN-" + account },
		Help:    func(rule string) string { return "https://help.example/rules#" + rule },
	}, set)
	if err != nil {
		t.Fatal(err)
	}
	return &house{n, log, store}
}

// record puts a sender in place of those of the channels, and tells what they send.
func (h *house) record(fail func(job) error) *[]job {
	var sent []job
	for _, c := range channels() {
		h.send[c] = func(_ context.Context, _ time.Time, j job) error {
			if fail != nil {
				if err := fail(j); err != nil {
					return err
				}
			}
			sent = append(sent, j)
			return nil
		}
	}
	return &sent
}

// settleAt steps until nothing more is due at now.
func (h *house) settleAt(t *testing.T, now time.Time) time.Time {
	t.Helper()
	for range 2 * mostNotices {
		if next := h.Step(t.Context(), now); next.After(now) {
			return next
		}
	}
	t.Fatal("there is always something due")
	return now
}

func (h *house) left(t *testing.T) []notice {
	t.Helper()
	list, err := h.box.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func blockOf(subject string) Event {
	return Event{What: Block, Block: state.Block{
		ID: "B7K3QF2M9", Subject: subject, Rule: "identity.header_from", Reason: "5 strikes within 1h",
		Since: t0, Until: t0.Add(time.Hour), By: "o2n-milter", Customer: "C-1001",
		Evidence:  []byte(`[{"rule":"identity.header_from","fact":"header From","got":"boss@bank.example","want":"an address of the account","shadow":false}]`),
		Decisions: []string{"AAAA2222", "BBBB3333"},
	}}
}

const alice = "account:alice@client-a.example"

// fakeMTA is a server that keeps what it is sent and refuses what it is told to.
type fakeMTA struct {
	address string
	// Each may be nil.
	mailErr, dataErr func() error
	rcptErr          func(to string) error

	mu    sync.Mutex
	mails []delivered
}

type delivered struct {
	from string
	to   []string
	text string
}

func newMTA(t *testing.T) *fakeMTA {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeMTA{address: ln.Addr().String()}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &fakeSession{mta: f}, nil }))
	srv.Domain = "mta.example"
	srv.ErrorLog = quiet{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return f
}

func (f *fakeMTA) got() []delivered {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mails
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type fakeSession struct {
	mta  *fakeMTA
	mail delivered
}

func (s *fakeSession) Mail(from string, _ *smtp.MailOptions) error {
	s.mail = delivered{from: from}
	if s.mta.mailErr != nil {
		return s.mta.mailErr()
	}
	return nil
}

func (s *fakeSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.mta.rcptErr != nil {
		if err := s.mta.rcptErr(to); err != nil {
			return err
		}
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *fakeSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.mta.dataErr != nil {
		if err := s.mta.dataErr(); err != nil {
			return err
		}
	}
	s.mail.text = string(text)
	s.mta.mu.Lock()
	defer s.mta.mu.Unlock()
	s.mta.mails = append(s.mta.mails, s.mail)
	return nil
}

func (s *fakeSession) Reset()        {}
func (s *fakeSession) Logout() error { return nil }

func answer(code int) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: fmt.Sprintf("the server's words, %d", code)}
}

// away is a store that can be told to answer nothing.
type away struct {
	state.Store
	mu   sync.Mutex
	gone bool
}

func newAway() *away { return &away{Store: memory.New()} }

func (a *away) set(gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = gone
}

var errAway = errors.New("the store is away")

func (a *away) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone {
		return errAway
	}
	return nil
}

func (a *away) Docs(ctx context.Context, kind string) ([]state.Doc, error) {
	if err := a.err(); err != nil {
		return nil, err
	}
	return a.Store.Docs(ctx, kind)
}

func (a *away) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if err := a.err(); err != nil {
		return state.Doc{}, err
	}
	return a.Store.PutDoc(ctx, doc)
}
