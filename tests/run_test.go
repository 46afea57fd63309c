package tests

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/tests/mta"
)

// driver is one way to get a case's messages judged.
type driver interface {
	// Login begins a new SMTP session; "none" and "remote" have no login.
	Login(t testing.TB, login string)
	// Helo says EHLO again.
	Helo(t testing.TB)
	// Send sends one message and returns the first reply that is no success, else
	// the last one. Recipients that the MTA refuses itself are the driver's affair.
	Send(t testing.TB, m *Message) mta.Reply
	// Arrived is everything delivered since the case began.
	Arrived(t testing.TB) []mta.Delivered
	Held(t testing.TB) int
	// Drain waits until nothing more can arrive.
	Drain(t testing.TB)
	// Bounces says whether refused local mail is reported to its sender.
	Bounces() bool
	Block(t testing.TB, subject string, length time.Duration)
	Lift(t testing.TB, subject string)
	Advance(t testing.TB, by time.Duration)
	// Kill is kill -9 of the filter, and its restart.
	Kill(t testing.TB)
}

// remotePlace stands in a case's TOML for the address that "login: remote" comes from.
const remotePlace = "${REMOTE}"

// readCases reads cases/*.txt in the order of their names.
func readCases(t *testing.T) []*Case {
	t.Helper()
	files, err := filepath.Glob("cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var cases []*Case
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseCase(data)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		c.Name = strings.TrimSuffix(filepath.Base(f), ".txt")
		cases = append(cases, c)
	}
	return cases
}

// common is the accounts that all cases share.
func common(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("cases/common.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// caseTOML is a case's own configuration. One that provokes refusal after refusal
// is about blocks only when it says so.
func caseTOML(toml string) string {
	if strings.Contains(toml, "[block]") {
		return toml
	}
	return toml + "\n[block]\nautomatic = \"off\"\n"
}

// run is one case under way.
type run struct {
	d        driver
	seen     int // entries of Arrived that earlier messages account for
	expected int // recipients reached so far
	held     int
}

func runCase(t *testing.T, c *Case, d driver) {
	t.Helper()
	r := &run{d: d}
	for _, s := range c.Steps {
		r.step(t, s)
	}
	// What was refused must not have arrived late either.
	d.Drain(t)
	if got := reached(d.Arrived(t)); len(got) != r.expected {
		t.Errorf("recipients reached in all: got %d %v, want %d", len(got), got, r.expected)
	}
	if got := d.Held(t); got != r.held {
		t.Errorf("held in all: got %d, want %d", got, r.held)
	}
}

func (r *run) step(t *testing.T, s Step) {
	t.Helper()
	switch s.Verb {
	case "login":
		r.d.Login(t, s.Arg)
	case "helo":
		r.d.Helo(t)
	case "advance":
		r.d.Advance(t, duration(t, s.Arg))
	case "kill":
		r.d.Kill(t)
	case "block":
		subject, length, _ := strings.Cut(s.Arg, " ")
		r.d.Block(t, subject, duration(t, length))
	case "lift":
		r.d.Lift(t, s.Arg)
	case "message":
		for i := range s.Message.Repeat {
			one := s
			one.Message = s.Message.Numbered(i)
			if !r.message(t, one, i+1) {
				return
			}
		}
	}
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// message sends one message and compares everything the case says about it.
func (r *run) message(t *testing.T, s Step, round int) bool {
	t.Helper()
	m := s.Message
	got := r.d.Send(t, m)
	if m.Abandon != "" {
		if got.Code != 250 {
			t.Errorf("line %d: got %v before %s, want 250", s.Line, got, m.Abandon)
		}
		return true
	}
	if diff := cmp.Diff(m.Want, outcomeOf(m, got)); diff != "" {
		t.Errorf("line %d, time %d: reply %q\n%s", s.Line, round, got, diff)
		return false
	}
	switch {
	case m.Want.Held:
		r.held++
		if n := r.d.Held(t); n != r.held {
			t.Errorf("line %d: held: got %d, want %d", s.Line, n, r.held)
		}
	case m.Want.Code == 250:
		r.arrival(t, s)
	case m.DSN != "" && r.d.Bounces():
		mta.Poll(t, "a report to "+m.DSN, func() bool {
			return slices.ContainsFunc(r.d.Arrived(t), func(a mta.Delivered) bool { return a.From == "" && slices.Contains(a.To, m.DSN) })
		})
	}
	return true
}

// ruleAtEnd is how every refusal and every reason for holding ends.
var ruleAtEnd = regexp.MustCompile(`\[([a-z_.]+) [0-9A-Z]+\]$`)

// outcomeOf puts a reply into the words of the case, no more of them than the case uses.
func outcomeOf(m *Message, r mta.Reply) Want {
	w := Want{Code: r.Code, Enhanced: r.Enhanced, Held: m.Want.Held}
	if rule := ruleAtEnd.FindStringSubmatch(r.Text); rule != nil {
		w.Rule = rule[1]
	} else if m.Want.Held {
		w.Rule = m.Want.Rule // no MTA shows the reason to the client
	}
	if m.Want.Enhanced == "" {
		w.Enhanced = ""
	}
	return w
}

// reached lists recipients of everything but reports.
func reached(list []mta.Delivered) []string {
	var to []string
	for _, d := range list {
		if d.From != "" {
			to = append(to, d.To...)
		}
	}
	return to
}

// arrival waits for the message at each of its recipients, nobody else, and looks at its header.
func (r *run) arrival(t *testing.T, s Step) {
	t.Helper()
	m := s.Message
	want := slices.Sorted(slices.Values(m.Accepted()))
	var fresh []mta.Delivered
	mta.Poll(t, "delivery to "+strings.Join(want, ", "), func() bool {
		fresh = nil
		n := 0
		for _, d := range r.d.Arrived(t)[r.seen:] {
			if (d.From == "") == (m.Sender == "") {
				fresh = append(fresh, d)
				n += len(d.To)
			}
		}
		return n >= len(want)
	})
	r.seen = len(r.d.Arrived(t))
	if m.Sender != "" {
		r.expected += len(want)
	}
	var got []string
	for _, d := range fresh {
		got = append(got, d.To...)
		checkFields(t, s, d.Data)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line %d: delivered to:\n%s", s.Line, diff)
	}
}

func checkFields(t *testing.T, s Step, data []byte) {
	t.Helper()
	header, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	lines := strings.Split(string(header), "\r\n")
	holds := func(begin string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(strings.ToLower(l), strings.ToLower(begin)) })
	}
	for _, f := range s.Message.Has {
		if !holds(f) {
			t.Errorf("line %d: delivered without %q:\n%s", s.Line, f, header)
		}
	}
	for _, f := range s.Message.Lacks {
		if holds(f) {
			t.Errorf("line %d: delivered with %q:\n%s", s.Line, f, header)
		}
	}
}
