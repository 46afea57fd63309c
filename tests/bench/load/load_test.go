package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/tests/mta"
)

// Letters are as long as they should be, of their account, and no two are alike.
func TestLetters(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	letters := NewLetters(1000, 0)
	for _, size := range []int{4 << 10, 64 << 10} {
		bodies, senders, lines := map[string]bool{}, map[string]bool{}, map[string]int{}
		for range 50 {
			l := letters.Sized(size).Draw(r)
			if n := octets(l.Header) + 2 + len(l.Body); n < size || n > size+2*lineLength {
				t.Errorf("%d octets; want %d", n, size)
			}
			if l.Login != l.Sender || !strings.Contains(strings.Join(l.Header, "\n"), "\nFrom: Some Body <"+l.Login+">\n") {
				t.Errorf("login %s, sender %s, header %q", l.Login, l.Sender, l.Header)
			}
			bodies[l.Body], senders[l.Login] = true, true
			for line := range strings.Lines(l.Body) {
				lines[line]++
			}
		}
		if len(bodies) != 50 || len(senders) < 40 {
			t.Errorf("%d bodies of %d senders in 50 letters", len(bodies), len(senders))
		}
		for line, n := range lines {
			if n > 25 {
				t.Errorf("%q is in %d of 50 letters", line, n)
			}
		}
	}
	if got := letters.Of(1).Draw(r).Login; got != Account(0) {
		t.Errorf("the only account is %s; want %s", got, Account(0))
	}
}

func TestKind(t *testing.T) {
	for _, tt := range []struct {
		out  mta.Outcome
		want string
	}{
		{mta.Outcome{Reply: mta.Reply{Code: 250}}, "250"},
		{mta.Outcome{Reply: mta.Reply{Code: 250}, Quarantine: "limit.minute"}, "held"},
		{mta.Outcome{Reply: mta.Reply{Code: 451, Text: "Too many messages. [limit.minute M2Q0X7RA]"}}, "451 limit.minute"},
	} {
		if got := kind(tt.out); got != tt.want {
			t.Errorf("%v: %s; want %s", tt.out, got, tt.want)
		}
	}
}

func TestResult(t *testing.T) {
	r := &Result{Took: 2500 * time.Millisecond}
	for i := range 100 {
		r.Answers = append(r.Answers, Answer{At: time.Duration(i) * 25 * time.Millisecond, Took: time.Duration(i+1) * time.Millisecond, Late: time.Second, Kind: Passed})
	}
	r.Answers[7].Kind = "451 internal.overload"
	r.fault(fmt.Errorf("read: %w", &net.OpError{Op: "read", Err: errors.New("broken")}))
	if got := r.PerSecond(); got != 40 {
		t.Errorf("%v a second; want 40", got)
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := r.Quantile(share, Took); got != want*time.Millisecond {
			t.Errorf("quantile %v: %s; want %d ms", share, got, want)
		}
	}
	if got := r.Quantile(0.5, Late); got != time.Second {
		t.Errorf("late: %s", got)
	}
	if diff := cmp.Diff([]int{39, 40}, r.Only(Passed).Seconds()); diff != "" {
		t.Error(diff)
	}
	if got, want := r.Odd(Passed), "1 x 451 internal.overload, 1 x broken"; got != want {
		t.Errorf("odd: %q; want %q", got, want)
	}
	if some := r.Within(time.Second); len(some.Answers) != 40 || some.PerSecond() != 40 {
		t.Errorf("%d answers within a second, %v a second", len(some.Answers), some.PerSecond())
	}
	if n := len(r.Only("451 internal.overload").Answers); n != 1 {
		t.Errorf("%d of the kind", n)
	}
	if got := (&Result{}).Quantile(1, Took); got != 0 {
		t.Errorf("of none: %s", got)
	}
}

// A filter that is not there is a fault, not a hang.
func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	got := Run(t.Context(), Plan{Network: "tcp", Addr: l.Addr().String(), Sessions: 1, Letters: NewLetters(1, 100), For: 50 * time.Millisecond})
	if len(got.Answers) > 0 || len(got.Faults) == 0 {
		t.Errorf("%d answers, faults %v", len(got.Answers), got.Faults)
	}
}
