package main

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReplayInterrupted: Ctrl-C ends it though it waits for more, and what was counted
// by then is told.
func TestReplayInterrupted(t *testing.T) {
	caught := make(chan os.Signal, 100)
	signal.Notify(caught, os.Interrupt) // or one that comes too early would end the test
	defer signal.Stop(caught)
	in, typed := io.Pipe()
	defer typed.Close()
	var out, errOut bytes.Buffer
	code := make(chan int)
	go func() { code <- run([]string{"replay", "--config", os.DevNull, "--json", "-"}, in, &out, &errOut) }()
	if _, err := io.WriteString(typed, "From: alice@client-a.example\n\n"); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for {
		select {
		case got := <-code:
			if got != exitInterrupted || !strings.Contains(out.String(), `{"messages":0,"partial":true,`) || !strings.Contains(errOut.String(), "interrupted") {
				t.Errorf("exit %d: %s %s", got, &out, &errOut)
			}
			return
		case <-time.After(20 * time.Millisecond):
			if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		case <-deadline:
			t.Fatal("it goes on")
		}
	}
}
