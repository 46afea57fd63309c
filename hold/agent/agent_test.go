package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/hold/mtaqueue"
	"o2n-milter/hold/wire"
)

// queue is an MTA in memory.
type queue struct {
	mu    sync.Mutex
	at    map[string]wire.Queue
	calls []string
	work  func(verb, id string) // instead of what the verb does
	err   error                 // of the tools
	list  func(yield func(wire.Queued) error) error
}

var _ mtaqueue.MTA = (*queue)(nil)

func (q *queue) Host() wire.Host        { return wire.Host{MTA: "fake", Name: "mx.host.example"} }
func (q *queue) ValidID(id string) bool { return len(id) == 2 && id[0] == 'A' }

func (q *queue) Find(id string) (wire.Queue, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.at[id] == "broken" {
		return wire.QueueNone, errors.New("input/output error")
	}
	return q.at[id], nil
}

func (q *queue) List(_ context.Context, wanted func(wire.Queue) bool, yield func(wire.Queued) error) error {
	if q.list != nil {
		return q.list(yield)
	}
	for _, id := range []string{"A1", "A2"} {
		if at, _ := q.Find(id); wanted(at) {
			if err := yield(wire.Queued{ID: id, Queue: at}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *queue) do(verb string, to wire.Queue, ids []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		q.calls = append(q.calls, verb+" "+id)
		if q.work != nil {
			q.work(verb, id)
			continue
		}
		q.at[id] = to
	}
	return q.err
}

func (q *queue) Hold(_ context.Context, ids []string) error { return q.do("hold", wire.QueueHold, ids) }

func (q *queue) Release(_ context.Context, ids []string) error {
	return q.do("release", wire.QueueActive, ids)
}

func (q *queue) Delete(_ context.Context, ids []string) error {
	return q.do("delete", wire.QueueNone, ids)
}

// served is a server on a socket, with its log.
type served struct {
	path string
	log  bytes.Buffer
	stop func() // waits for its end
}

func serve(t *testing.T, q mtaqueue.MTA, group int) *served {
	t.Helper()
	s := &served{path: filepath.Join(t.TempDir(), "hold.sock")}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	server := &Server{Queue: q, Group: group, Log: slog.New(slog.NewTextHandler(&s.log, nil))}
	go func() { done <- server.Serve(ctx, ln) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *served) dial(t *testing.T) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return nc
}

// ask writes what it is given, hangs up its side, and gives what is answered after
// the host, a line each.
func (s *served) ask(t *testing.T, request string) []string {
	t.Helper()
	nc := s.dial(t)
	go func() { // may be longer than what the server takes
		_, _ = io.WriteString(nc, request)
		_ = nc.(*net.UnixConn).CloseWrite()
	}()
	raw, err := io.ReadAll(nc)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // hung up with our octets unread
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if want := `{"host":{"mta":"fake","name":"mx.host.example"}}`; lines[0] != want {
		t.Fatalf("greeting %s, want %s", lines[0], want)
	}
	return lines[1:]
}

func TestVerbs(t *testing.T) {
	q := &queue{at: map[string]wire.Queue{"A1": wire.QueueHold, "A2": wire.QueueDeferred, "AX": "broken"}}
	s := serve(t, q, os.Getgid())
	for _, c := range []struct{ request, want, calls string }{
		{`{"verb":"find","ids":["A1","A3","AX"]}`,
			`{"results":[{"id":"A1","queue":"hold"},{"id":"A3","missing":true},{"id":"AX","problem":"input/output error"}],"done":true}`, ""},
		{`{"verb":"list"}`,
			`{"message":{"id":"A1","queue":"hold","arrived":"0001-01-01T00:00:00Z","from":"","recipients":null,"count":0,"size":0}}` + "\n" +
				`{"message":{"id":"A2","queue":"deferred","arrived":"0001-01-01T00:00:00Z","from":"","recipients":null,"count":0,"size":0}}` + "\n" +
				`{"done":true}`, ""},
		{`{"verb":"list","queues":["active","incoming"]}`, `{"done":true}`, ""},
		{`{"verb":"hold","ids":["A2","A3","AX"]}`,
			`{"results":[{"id":"A2"},{"id":"A3","missing":true},{"id":"AX","problem":"input/output error"}],"done":true}`, "hold A2"},
		{`{"verb":"release","ids":["A1","A2"]}`, `{"results":[{"id":"A1"},{"id":"A2"}],"done":true}`, "release A1 release A2"},
		{`{"verb":"delete","ids":["A1"]}`, `{"results":[{"id":"A1"}],"done":true}`, "delete A1"},
		{`{"verb":"delete","ids":["A1"]}`, `{"results":[{"id":"A1","missing":true}],"done":true}`, ""},
	} {
		q.calls = nil
		if diff := cmp.Diff(strings.Split(c.want, "\n"), s.ask(t, c.request+"\n")); diff != "" {
			t.Errorf("%s: %s", c.request, diff)
		}
		if got := strings.Join(q.calls, " "); got != c.calls {
			t.Errorf("%s: called %s, want %s", c.request, got, c.calls)
		}
	}
	s.stop()
	for _, want := range []string{
		fmt.Sprintf(`msg="hold agent: release" uid=%d pid=%d done="A1 A2" missing=""`, os.Getuid(), os.Getpid()),
		fmt.Sprintf(`msg="hold agent: delete" uid=%d pid=%d done="" missing=A1`, os.Getuid(), os.Getpid()),
		fmt.Sprintf(`msg="hold agent: hold" uid=%d pid=%d qid=AX error="input/output error"`, os.Getuid(), os.Getpid()),
	} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, s.log.String())
		}
	}
}

// What the tools say is not believed: where the mail is afterwards counts.
func TestOutcomes(t *testing.T) {
	fault := errors.New("tool: no\nline two")
	const said = "tool: no; line two"
	const stuck = "another process has it in hand"
	for _, c := range []struct {
		verb   string
		after  wire.Queue
		err    error
		want   string // part of the problem; empty: done
		absent bool
	}{
		{"hold", wire.QueueHold, nil, "", false},
		{"hold", wire.QueueHold, fault, "", false},
		{"hold", wire.QueueActive, nil, stuck, false},
		{"hold", wire.QueueDeferred, fault, said, false},
		{"hold", wire.QueueNone, nil, "", true},
		{"release", wire.QueueNone, nil, "", false},
		{"release", wire.QueueActive, fault, "", false},
		{"release", wire.QueueIncoming, nil, "", false},
		{"release", wire.QueueDeferred, nil, "", false},
		{"release", wire.QueueDeferred, fault, said, false}, // nobody tries to send it
		{"release", wire.QueueHold, nil, stuck, false},
		{"release", wire.QueueHold, fault, said, false},
		{"delete", wire.QueueNone, fault, "", false},
		{"delete", wire.QueueHold, nil, stuck, false},
		{"delete", wire.QueueActive, fault, said, false},
		{"delete", "broken", nil, "input/output error", false},
	} {
		q := &queue{at: map[string]wire.Queue{"A1": wire.QueueDeferred}, err: c.err}
		q.work = func(_, id string) { q.at[id] = c.after }
		s := &Server{Queue: q}
		got := s.change(t.Context(), wire.Request{Verb: c.verb, IDs: []string{"A1"}})
		if len(got) != 1 {
			t.Fatal(got)
		}
		r := got[0]
		if r.ID != "A1" || r.Queue != "" || r.Missing != c.absent || (r.Problem == "") != (c.want == "") || !strings.Contains(r.Problem, c.want) {
			t.Errorf("%s, then in %q with %v: %+v", c.verb, c.after, c.err, r)
		}
	}
	long := outcome("delete", wire.Result{ID: "A1", Queue: wire.QueueHold}, errors.New(strings.Repeat("é", wire.MaxText)))
	if len(long.Problem) > wire.MaxText+3 {
		t.Errorf("a problem of %d octets", len(long.Problem))
	}
}

// A fault of ours ends one request, and nothing else.
func TestPanic(t *testing.T) {
	q := &queue{list: func(func(wire.Queued) error) error { panic("oops") }}
	s := serve(t, q, os.Getgid())
	for range maxConns + 1 {
		if got := s.ask(t, `{"verb":"list"}`+"\n"); len(got) != 1 || !strings.Contains(got[0], "the agent is at fault") {
			t.Fatal(got)
		}
	}
	s.stop()
	if !strings.Contains(s.log.String(), "panic=oops") {
		t.Error("the log does not say so")
	}
}

// The end waits for what is being done.
func TestStop(t *testing.T) {
	begun, finish := make(chan bool), make(chan bool)
	q := &queue{at: map[string]wire.Queue{"A1": wire.QueueHold}}
	q.work = func(_, id string) { begun <- true; <-finish; q.at[id] = wire.QueueNone }
	s := serve(t, q, os.Getgid())
	answer := make(chan []string, 1)
	go func() { answer <- s.ask(t, `{"verb":"delete","ids":["A1"]}`+"\n") }()
	<-begun
	stopped := make(chan bool)
	go func() { s.stop(); close(stopped) }()
	for { // until nobody listens
		nc, err := net.Dial("unix", s.path)
		if err != nil {
			break
		}
		nc.Close()
	}
	select {
	case <-stopped:
		t.Error("it did not wait")
	default:
	}
	close(finish)
	if got := <-answer; len(got) != 1 || got[0] != `{"results":[{"id":"A1"}],"done":true}` {
		t.Errorf("answered %q", got)
	}
	<-stopped
}
