package badgerdb

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/tests/campaign"
)

// The test binary runs itself as the child that is killed.
const (
	childPath = "O2N_TEST_STORE"
	childSync = "O2N_TEST_SYNC"
)

const (
	childSessions = 8
	childSubjects = 3 // sessions share subjects
)

// child charges an account and its customer from several sessions, each time with a
// letter to another recipient, now and then blocks, and says so once it is answered. It ends by being killed.
func child(path string, sync bool) {
	s, err := Open(Options{Path: path, Sync: sync, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("child:", err)
		os.Exit(1)
	}
	for i := range childSessions {
		go func() {
			for n := 0; ; n++ {
				subject := fmt.Sprintf("account:%d", (i+n)%childSubjects)
				ask := state.Ask{
					Charges: charges(1<<40, subject, "customer:C-1"),
					Letters: []state.Letter{letter(subject, fmt.Sprintf("r%d-%d-%d", os.Getpid(), i, n))},
				}
				if _, err := s.Take(context.Background(), start, ask); err != nil {
					fmt.Println("child:", err)
					os.Exit(1)
				}
				os.Stdout.WriteString("took " + subject + "\n")
				if n%20 == 0 {
					id := fmt.Sprintf("B%d-%d-%d", os.Getpid(), i, n)
					if err := s.AddBlock(context.Background(), state.Block{ID: id, Subject: subject, Since: start}); err != nil {
						fmt.Println("child:", err)
						os.Exit(1)
					}
					os.Stdout.WriteString("blocked " + id + "\n")
				}
			}
		}()
	}
	select {}
}

func TestKill(t *testing.T) {
	for name, sync := range map[string]bool{"process": false, "power": true} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			answered := make(map[string]int64)
			var before, lines int64
			rounds := 4
			if campaign.Long() {
				rounds = 25
			}
			for round := range rounds {
				lines += killed(t, path, sync, 100+100*(round%8), answered)
				before = afterKill(t, path, answered, before)
			}
			t.Logf("%d answers, none lost", lines)
		})
	}
}

// killed runs a child until it has given that many answers, kills it, and adds
// every answer that it has still written.
func killed(t *testing.T, path string, sync bool, enough int, answered map[string]int64) int64 {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), childPath+"="+path)
	if sync {
		cmd.Env = append(cmd.Env, childSync+"=1")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer guard.Stop()
	var lines int64
	for sc := bufio.NewScanner(out); sc.Scan(); {
		what, id, ok := strings.Cut(sc.Text(), " ")
		if !ok || what == "child:" {
			t.Fatalf("child said %q", sc.Text())
		}
		answered[id]++
		if lines++; lines == int64(enough) {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || lines < int64(enough) {
		t.Fatalf("child ended by itself after %d answers: %v", lines, err)
	}
	return lines
}

// afterKill wants everything answered to be there, at most one charge more for
// each session and kill, and accounts, their letters and the customer to agree: each
// message stands in both its windows and its campaign or in none. It returns the customer's sum.
func afterKill(t *testing.T, path string, answered map[string]int64, before int64) int64 {
	t.Helper()
	s := openAt(t, path)
	defer s.Close()
	var sum, told int64
	for i := range childSubjects {
		subject := fmt.Sprintf("account:%d", i)
		n := used(t, s, subject)
		if n < answered[subject] {
			t.Errorf("%s: %d charges answered, %d there", subject, answered[subject], n)
		}
		if known := send(t, s, letter(subject)); known != min(n, state.MaxMembers) {
			t.Errorf("%s: %d charges, its letter has %d recipients; want as many", subject, n, known)
		}
		sum += n
		told += answered[subject]
		answered[subject] = n // what stood unanswered is no news in the next round
	}
	customer := used(t, s, "customer:C-1")
	if customer != sum || sum > told+childSessions || customer <= before {
		t.Errorf("customer %d, accounts %d, answered %d, before the round %d; want the first two equal, and at most %d more than answered",
			customer, sum, told, before, childSessions)
	}
	for id := range answered {
		if strings.HasPrefix(id, "B") {
			if _, ok := s.docs.Get("block", id); !ok {
				t.Errorf("block %s was answered and is lost", id)
			}
		}
	}
	return customer
}
