package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestReport: each way a transaction can end is counted as what it is.
func TestReport(t *testing.T) {
	s := &sink{times: map[string]int{"once": 1, "twice": 2, "deferred but here": 1}}
	got := s.report([]Result{
		{ID: "once", Code: 250, Took: 2 * time.Millisecond},
		{ID: "twice", Code: 250, Took: 3 * time.Millisecond},
		{ID: "lost", Code: 250, Took: 4 * time.Millisecond},
		{ID: "deferred", Code: 451, Text: "4.7.1 later"},
		{ID: "deferred but here", Code: 451, Text: "4.7.1 later"},
		{ID: "refused", Code: 550, Text: "5.7.1 no"},
		{ID: "broken", Text: "EOF", Took: time.Second},
	})
	want := Report{
		Sent: 7, Accepted: 3, Deferred: 2, Refused: 1, Broken: 1, Missing: 1, Twice: 1, Unasked: 1, Median: 2, P99: 1000, Longest: 1000,
		Replies: map[string]int{"451 4.7.1 later": 2, "550 5.7.1 no": 1, "0 EOF": 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// moody is an SMTP server that answers the command at which it is in a mood by the
// message's number: 2 is deferred at MAIL, 3 at RCPT, 4 refused after DATA, and at 5 it hangs up.
func moody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n = serve(conn, n)
		}
	}()
	return l.Addr().String()
}

// serve answers one connection, and returns the number of the next message.
func serve(conn net.Conn, n int) int {
	defer conn.Close()
	moods := map[string]string{"MAIL 2": "451 not now", "RCPT 3": "451 nor you", ". 4": "550 never"}
	in := bufio.NewScanner(conn)
	data := false
	fmt.Fprint(conn, "220 moody\r\n")
	for in.Scan() {
		verb, _, _ := strings.Cut(in.Text(), " ")
		if data && verb != "." || verb == "" {
			continue
		}
		mood := moods[fmt.Sprintf("%s %d", verb, n)]
		data = verb == "DATA"
		switch {
		case n == 5 && verb == "RCPT":
			return n + 1
		case mood != "":
			fmt.Fprint(conn, mood+"\r\n")
			n++
		case verb == "EHLO":
			fmt.Fprint(conn, "250-moody\r\n250 AUTH PLAIN\r\n")
		case verb == "AUTH":
			fmt.Fprint(conn, "235 in\r\n")
		case verb == "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
		case verb == ".":
			n++
			fmt.Fprint(conn, "250 taken\r\n")
		default:
			fmt.Fprint(conn, "250 fine\r\n")
		}
	}
	return n
}

// TestClient: whatever a server answers, the result says it, and the next message goes on.
func TestClient(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := client{server: moody(t), login: "me@client.example", first: time.Now(), every: time.Millisecond, perConnection: 20}
	results := make(chan Result)
	go c.send(ctx, results)
	for i, want := range []string{"250 ", "451 not now", "451 nor you", "550 never", "0 EOF", "250 ", "250 "} {
		r := <-results
		if got := fmt.Sprintf("%d %s", r.Code, r.Text); got != want || r.ID != fmt.Sprintf("me@client.example/%d", i+1) {
			t.Errorf("message %d: %q of %s, want %q", i+1, got, r.ID, want)
		}
	}
}

// TestSink counts what arrives by its field.
func TestSink(t *testing.T) {
	s, err := listen("127.0.0.1:0", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	for range 2 {
		if err := (delivery{s}).Data(strings.NewReader("X-Load: me/1\r\n\r\nHello\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.count("me/1"); n != 2 {
		t.Errorf("counted %d times, want 2", n)
	}
	s.await([]Result{{ID: "me/1", Code: 250}, {ID: "me/2", Code: 451}}, time.Minute)
}
