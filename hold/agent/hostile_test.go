package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"o2n-milter/hold/wire"
)

func TestHostileRequests(t *testing.T) {
	q := &queue{at: map[string]wire.Queue{"A1": wire.QueueHold}}
	s := serve(t, q, os.Getgid())
	ids := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("A%c", rune(0x20+i%95))
		}
		raw, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	requests := map[string]string{
		"\n":                                     "request: EOF",
		"x\n":                                    "request: invalid character",
		"{}\n":                                   `verb \"\"`,
		"[]\n":                                   "request: json",
		"null\n":                                 `verb \"\"`,
		`{"verb":"exec","ids":["A1"]}`:           "no newline",
		`{"verb":"exec","ids":["A1"]}` + "\n":    `verb \"exec\"; want list, hold`,
		`{"verb":"LIST"}` + "\n":                 `verb \"LIST\"`,
		`{"verb":["list"]}` + "\n":               "request: json",
		`{"verb":"list","file":"/etc/x"}` + "\n": "unknown field",
		`{"verb":"list","queues":["corrupt"]}` + "\n":                          `queue \"corrupt\"`,
		`{"verb":"list","queues":["../hold"]}` + "\n":                          `queue \"../hold\"`,
		`{"verb":"list","queues":["hold","hold","hold","hold","hold"]}` + "\n": "5 queues",
		`{"verb":"list","ids":["A1"]}` + "\n":                                  "list has ids",
		`{"verb":"find","queues":["hold"],"ids":["A1"]}` + "\n":                "find has queues",
		`{"verb":"find"}` + "\n":                                               "0 ids",
		`{"verb":"delete","ids":[]}` + "\n":                                    "0 ids",
		`{"verb":"delete","ids":` + ids(wire.MaxIDs+1) + "}\n":                 "501 ids",
		`{"verb":"delete","ids":["A1","A1"]}` + "\n":                           "an id twice",
		`{"verb":"delete","ids":["A1"]}{"verb":"delete","ids":["A1"]}` + "\n":  "more than one value",
		`{"verb":"delete","ids":["A1"]}` + "\n" + `{"verb":"list"}` + "\n":     "more than one line",
		`{"verb":"delete","ids":"A1"}` + "\n":                                  "request: json",
		strings.Repeat(" ", wire.MaxRequest) + "\n":                            "longer than",
		strings.Repeat("[", 1<<20):                                             "longer than",
		`{"verb":"delete","ids":["` + strings.Repeat("A", 1<<20) + "\"]}\n":    "longer than",
	}
	for _, id := range []string{"ALL", "-", "-d", "--", "../x", "A", "A1 ", "A1\n", "A1\x00", "*", "", "A1/../A2", "\u202eA1"} {
		raw, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"hold", "release", "delete", "find"} {
			requests[`{"verb":"`+verb+`","ids":["A1",`+string(raw)+"]}\n"] = "want a queue id of the MTA"
		}
	}
	for request, want := range requests {
		got := s.ask(t, request)
		if len(got) != 1 || !strings.HasPrefix(got[0], `{"problem":`) || !strings.Contains(got[0], want) || len(got[0]) > 1000 {
			t.Errorf("%.60q: %.200q, want %s", request, got, want)
		}
	}
	if len(q.calls) > 0 || q.at["A1"] != wire.QueueHold {
		t.Errorf("something was done: %v", q.calls)
	}
	if got := s.ask(t, `{"verb":"find","ids":["A1"]}`+strings.Repeat(" ", wire.MaxRequest-29)+"\n"); len(got) != 1 || !strings.Contains(got[0], "done") {
		t.Errorf("as long as may be: %.200q", got)
	}
	if got := s.ask(t, ""); len(got) != 0 {
		t.Errorf("no request: %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"verb":"release","ids":["3434E9B9651"]}` + "\n"))
	f.Add([]byte(`{"verb":"list","queues":["hold"]}` + "\n"))
	f.Add([]byte(`{"verb":"delete","ids":["ALL","-","../x"]}` + "\n"))
	q := &queue{}
	f.Fuzz(func(t *testing.T, raw []byte) {
		line, err := readLine(bytes.NewReader(raw))
		req, err := parse(line, err, q.ValidID)
		if err != nil {
			return
		}
		if (req.Verb == wire.VerbList) != (len(req.IDs) == 0) || len(req.IDs) > wire.MaxIDs {
			t.Errorf("%q: %+v", raw, req)
		}
		for _, id := range req.IDs {
			if !q.ValidID(id) {
				t.Errorf("%q: id %q", raw, id)
			}
		}
	})
}

func TestAdmit(t *testing.T) {
	for _, c := range []struct {
		group int
		who   peer
		want  bool
	}{
		{-1, peer{0, 0, 1}, true},
		{-1, peer{0, 77, 1}, true},
		{-1, peer{77, 0, 1}, false},
		{-1, peer{77, -1, 1}, false}, // unknown is nobody's group
		{100, peer{77, 100, 1}, true},
		{100, peer{77, 101, 1}, false},
		{100, peer{100, 77, 1}, false},
		{100, peer{-1, -1, -1}, false},
	} {
		s := &Server{Group: c.group}
		if err := s.admit(c.who); (err == nil) != c.want {
			t.Errorf("group %d, %+v: %v", c.group, c.who, err)
		}
	}
}

// The kernel's word on who asks counts, whatever the socket's mode lets through.
func TestStranger(t *testing.T) {
	if path := os.Getenv("HOLD_AGENT_SOCKET"); path != "" {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(nc, `{"verb":"delete","ids":["A1"]}`+"\n")
		line, _ := bufio.NewReader(nc).ReadString('\n')
		fmt.Print(line)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to become somebody else")
	}
	const somebody = 65534
	for gid, admitted := range map[uint32]bool{somebody: false, 4321: true} {
		q := &queue{at: map[string]wire.Queue{"A1": wire.QueueHold}}
		s := serve(t, q, 4321)
		dir := t.TempDir()
		bin := filepath.Join(dir, "test")
		if raw, err := os.ReadFile(os.Args[0]); err != nil || os.WriteFile(bin, raw, 0o755) != nil {
			t.Fatal(err)
		}
		for _, path := range []string{s.path, filepath.Dir(s.path), filepath.Dir(filepath.Dir(s.path)), dir} {
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(bin, "-test.run", "^TestStranger$")
		cmd.Dir = "/"
		cmd.Env = []string{"HOLD_AGENT_SOCKET=" + s.path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: gid}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		want := `{"problem":"only root and the daemon's group may ask"}`
		if admitted {
			want = `{"host":`
		}
		if !strings.HasPrefix(string(out), want) {
			t.Errorf("group %d: %s", gid, out)
		}
		s.stop()
		if done := len(q.calls) > 0; done != admitted {
			t.Errorf("group %d: %v", gid, q.calls)
		}
		if refused := strings.Contains(s.log.String(), "uid=65534"); !refused {
			t.Errorf("group %d is not in the log:\n%s", gid, s.log.String())
		}
	}
}

// Peers that say nothing take no more than maxConns places, and whoever comes is
// told so at once. Places come free again.
func TestManyConnections(t *testing.T) {
	s := serve(t, &queue{}, os.Getgid())
	greeted := func(nc net.Conn) string {
		line, err := bufio.NewReader(nc).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	var idle []net.Conn
	for i := range 100 {
		nc := s.dial(t)
		line := greeted(nc)
		if i < maxConns {
			idle = append(idle, nc)
		}
		if busy := strings.Contains(line, "busy with 16 requests"); busy != (i >= maxConns) {
			t.Fatalf("connection %d: %s", i+1, line)
		}
	}
	for _, nc := range idle {
		nc.Close()
	}
	for end := time.Now().Add(10 * time.Second); strings.Contains(greeted(s.dial(t)), "busy"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no place comes free")
		}
	}
}

// A reader that stands still ends the list, which would run for ever.
func TestSlowReader(t *testing.T) {
	t.Parallel() // it takes answerWait
	ended := make(chan error, 1)
	q := &queue{list: func(yield func(wire.Queued) error) error {
		for {
			if err := yield(wire.Queued{ID: "A1", From: strings.Repeat("x", wire.MaxText)}); err != nil {
				ended <- err
				return err
			}
		}
	}}
	s := serve(t, q, os.Getgid())
	nc := s.dial(t)
	if _, err := io.WriteString(nc, `{"verb":"list"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(3 * answerWait):
		t.Fatal("the list does not end")
	}
}
