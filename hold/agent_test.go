package hold_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/hold"
	"o2n-milter/hold/wire"
)

const greeting = `{"host":{"mta":"postfix","name":"mx.host.example"}}` + "\n"

// answering is a client of an agent that answers each request as told; the
// answers begin with the greeting, or do not.
func answering(t *testing.T, answer func(request string) string) *hold.Agent {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hold.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			first, rest, _ := strings.Cut(answer(""), "\n")
			_, _ = io.WriteString(nc, first+"\n"+rest)
			if line, err := bufio.NewReader(nc).ReadString('\n'); err == nil {
				_, _ = io.WriteString(nc, answer(line))
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return hold.NewAgent(path)
}

// always greets, and answers anything with this.
func always(text string) func(string) string {
	return func(request string) string {
		if request == "" {
			return greeting
		}
		return text
	}
}

func TestAgentAsks(t *testing.T) {
	var asked []string
	a := answering(t, func(request string) string {
		if request == "" {
			return greeting
		}
		asked = append(asked, strings.TrimSpace(request))
		switch {
		case strings.Contains(request, "list"):
			return `{"message":{"id":"A","queue":"hold","from":"x@y"}}` + "\n" + `{"message":{"id":"B"}}` + "\n" + `{"done":true}` + "\n"
		case strings.Contains(request, "find"):
			return `{"results":[{"id":"A","queue":"active"},{"id":"B","missing":true}],"done":true}` + "\n"
		}
		return `{"results":[{"id":"A"},{"id":"B","missing":true},{"id":"C","problem":"in hand"}],"done":true}` + "\n"
	})
	host, err := a.Host(t.Context())
	if err != nil || host != (hold.Host{MTA: "postfix", Name: "mx.host.example"}) {
		t.Errorf("host %+v, %v", host, err)
	}
	var ids []string
	if err := a.List(t.Context(), func(q hold.Queued) error { ids = append(ids, q.ID); return nil }, hold.QueueHold); err != nil || !slices.Equal(ids, []string{"A", "B"}) {
		t.Errorf("list %q, %v", ids, err)
	}
	found, err := a.Find(t.Context(), "A", "B")
	if diff := cmp.Diff(map[string]hold.Queue{"A": hold.QueueActive, "B": hold.QueueNone}, found); diff != "" || err != nil {
		t.Errorf("find %v, %s", err, diff)
	}
	for _, do := range []func(context.Context, ...string) (map[string]error, error){a.Hold, a.Release, a.Delete} {
		got, err := do(t.Context(), "A", "B", "C")
		if err != nil || len(got) != 3 || got["A"] != nil || !errors.Is(got["B"], hold.ErrNotQueued) || got["C"] == nil || !strings.Contains(got["C"].Error(), "C: in hand") {
			t.Errorf("got %v, %v", got, err)
		}
	}
	want := []string{`{"verb":"list","queues":["hold"]}`, `{"verb":"find","ids":["A","B"]}`,
		`{"verb":"hold","ids":["A","B","C"]}`, `{"verb":"release","ids":["A","B","C"]}`, `{"verb":"delete","ids":["A","B","C"]}`}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

// Nothing that an agent says, or leaves unsaid, makes something look done.
func TestAgentFaults(t *testing.T) {
	stop := errors.New("stop")
	for text, want := range map[string]string{
		"":                                "it hung up",
		"x\n":                             "its answer: invalid character",
		`{"done":true}` + "\n":            "results for other ids",
		`{"results":[]}` + "\n":           "results for other ids",
		`{"results":[{"id":"B"}]}` + "\n": "results for other ids",
		`{"results":[{"id":"A"},{"id":"B"}]}` + "\n":     "results for other ids",
		`{"results":[{"id":"A"}],"problem":"no"}` + "\n": "no",
		`{"results":[{"id":"A"`:                          "its answer: unexpected end",
		strings.Repeat("x", 3<<20):                       "token too long",
	} {
		a := answering(t, always(text))
		if got, err := a.Release(t.Context(), "A"); err == nil || !strings.Contains(err.Error(), want) || len(got) > 0 {
			t.Errorf("%.40q: %v, %v; want %s", text, got, err, want)
		}
		if got, err := a.Find(t.Context(), "A"); text != "" && err == nil || len(got) > 0 {
			t.Errorf("%.40q: found %v, %v", text, got, err)
		}
		if err := a.List(t.Context(), func(hold.Queued) error { return nil }); err == nil && text != `{"done":true}`+"\n" {
			t.Errorf("%.40q: list: no error", text)
		}
	}
	a := answering(t, always(`{"results":[{"id":"A","problem":"input/output error"}],"done":true}`+"\n"))
	if _, err := a.Find(t.Context(), "A"); err == nil || !strings.Contains(err.Error(), "find A: input/output error") {
		t.Errorf("find: %v", err)
	}
	a = answering(t, always(`{"message":{"id":"A"}}`+"\n"+`{"message":{"id":"B"}}`+"\n"))
	if err := a.List(t.Context(), func(hold.Queued) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("yield's error: %v", err)
	}
	if err := a.List(t.Context(), func(hold.Queued) error { return nil }); err == nil || !strings.Contains(err.Error(), "it hung up") {
		t.Errorf("a list without its end: %v", err)
	}
	for _, first := range []string{"{}\n", "\n", `{"problem":"only root"}` + "\n"} {
		a := answering(t, func(string) string { return first })
		if host, err := a.Host(t.Context()); err == nil {
			t.Errorf("greeted with %q: %+v", first, host)
		}
	}
	if _, err := hold.NewAgent(filepath.Join(t.TempDir(), "none")).Host(t.Context()); err == nil {
		t.Error("no agent: no error")
	}
}

// More ids than a request may have are asked for one part after the other.
func TestAgentManyIDs(t *testing.T) {
	for n, want := range map[int][]int{0: nil, wire.MaxIDs - 1: {wire.MaxIDs - 1}, wire.MaxIDs: {wire.MaxIDs}, wire.MaxIDs + 1: {wire.MaxIDs, 1}} {
		var parts []int
		a := answering(t, func(request string) string {
			if request == "" {
				return greeting
			}
			var req wire.Request
			if err := json.Unmarshal([]byte(request), &req); err != nil || len(request) > wire.MaxRequest {
				t.Errorf("%d octets: %v", len(request), err)
			}
			parts = append(parts, len(req.IDs))
			var answer wire.Answer
			for _, id := range req.IDs {
				answer.Results = append(answer.Results, wire.Result{ID: id})
			}
			raw, _ := json.Marshal(answer)
			return string(raw) + "\n"
		})
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprintf("4VdC8H75plz%012d", i) // the longest there are
		}
		got, err := a.Delete(t.Context(), ids...)
		if err != nil || len(got) != n || !slices.Equal(parts, want) {
			t.Errorf("%d ids: %d results in parts %v, %v", n, len(got), parts, err)
		}
	}
}

// An agent that says nothing holds nobody up longer than the caller wants.
func TestAgentSilent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hold.sock")
	ln, err := net.Listen("unix", path) // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := hold.NewAgent(path).Host(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := hold.NewAgent(path).Release(ctx, "A"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// What another MTA had in its queue, on this host, is in this one's no more; the agent
// would refuse the ids that are with it.
func TestAgentOtherMTA(t *testing.T) {
	var asked []string
	a := answering(t, func(request string) string {
		if request == "" {
			return greeting
		}
		asked = append(asked, strings.TrimSpace(request))
		return `{"results":[{"id":"3434E9B9651","queue":"hold"}],"done":true}` + "\n"
	})
	const sendmails = "6AN6Jw3T011894"
	found, err := a.Find(t.Context(), sendmails, "3434E9B9651")
	if diff := cmp.Diff(map[string]hold.Queue{sendmails: hold.QueueNone, "3434E9B9651": hold.QueueHold}, found); diff != "" || err != nil {
		t.Errorf("find %v, %s", err, diff)
	}
	done, err := a.Release(t.Context(), sendmails)
	if err != nil || !errors.Is(done[sendmails], hold.ErrNotQueued) {
		t.Errorf("release %v, %v", done, err)
	}
	if diff := cmp.Diff([]string{`{"verb":"find","ids":["3434E9B9651"]}`}, asked); diff != "" {
		t.Error(diff)
	}
}
