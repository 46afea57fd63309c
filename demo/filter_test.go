package demo

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/message"
	adapter "o2n-milter/milter"
	"o2n-milter/rules"
)

var home = Client{Addr: netip.MustParseAddrPort("192.0.2.7:40007"), Helo: "laptop"}

func dial(t *testing.T, addr string, c Client) *Filter {
	t.Helper()
	f, err := Dial(addr, mtaName, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// give tells the filter a whole message.
func give(t *testing.T, f *Filter, login string) Answer {
	t.Helper()
	a, err := f.Mail("alice@client-a.example", login)
	if err == nil && a.Code == taken {
		a, err = f.Rcpt("bob@remote.example", "D000000001")
	}
	if err == nil && a.Code == taken {
		a, err = f.End([]message.Field{{Name: "From", Value: "alice@client-a.example"}}, []byte("hello\r\n"), "D000000001")
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// macrosOf are the macros before a command, by name.
func macrosOf(t *testing.T, frames []frame, command byte) map[string]string {
	t.Helper()
	for _, f := range frames {
		if f.code != 'D' || f.data[0] != command {
			continue
		}
		parts := strings.Split(strings.TrimSuffix(f.data[1:], "\x00"), "\x00")
		if len(parts)%2 != 0 {
			t.Fatalf("macros of %c: %q", command, parts)
		}
		macros := map[string]string{}
		for i := 0; i < len(parts); i += 2 {
			macros[parts[i]] = parts[i+1]
		}
		return macros
	}
	return nil
}

func TestMacrosArePostfixs(t *testing.T) {
	fake := newFake(t)
	give(t, dial(t, fake.addr, Client{Addr: home.Addr, Helo: home.Helo, Server: netip.MustParseAddr("198.51.100.1")}), "alice@client-a.example")
	frames := fake.told()
	for command, want := range map[byte]map[string]string{
		'C': {"j": mtaName, "{daemon_name}": mtaName, "{daemon_addr}": "198.51.100.1", "{client_addr}": "192.0.2.7", "{client_name}": "unknown", "v": "o2n-milter demo"},
		'M': {"{auth_type}": "PLAIN", "{auth_authen}": "alice@client-a.example", "{mail_addr}": "alice@client-a.example", "{mail_host}": "client-a.example", "{mail_mailer}": "smtp"},
		'R': {"i": "D000000001", "{rcpt_addr}": "bob@remote.example", "{rcpt_host}": "remote.example", "{rcpt_mailer}": "smtp"},
		'E': {"i": "D000000001"},
	} {
		if diff := cmp.Diff(want, macrosOf(t, frames, command)); diff != "" {
			t.Errorf("macros of %c (-want +got):\n%s", command, diff)
		}
	}
	var commands []string
	for _, f := range frames {
		if f.code != 'D' && f.code != 'O' {
			commands = append(commands, string(f.code)+f.data)
		}
	}
	want := []string{"C[192.0.2.7]\x004\x9cG192.0.2.7\x00", "Hlaptop\x00", "M<alice@client-a.example>\x00", "R<bob@remote.example>\x00",
		"LFrom\x00alice@client-a.example\x00", "N", "Bhello\r\n", "E"}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestNoLoginNoLoginMacros(t *testing.T) {
	fake := newFake(t)
	local := Client{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Helo: "localhost"}
	give(t, dial(t, fake.addr, local), "")
	frames := fake.told()
	got := macrosOf(t, frames, 'M')
	for _, name := range []string{"{auth_authen}", "{auth_type}"} {
		if value, there := got[name]; there {
			t.Errorf("%s is told: %q", name, value)
		}
	}
	if c := frames[2]; c.data != "localhost\x004\x00\x00127.0.0.1\x00" {
		t.Errorf("CONNECT of a local submission: %q", c.data)
	}
}

// TestNoProtocolBitsAreOffered: with any beyond version 2 the library would give up.
func TestNoProtocolBitsAreOffered(t *testing.T) {
	fake := newFake(t)
	dial(t, fake.addr, home)
	offer := fake.told()[0]
	if offer.code != 'O' {
		t.Fatalf("first packet %c", offer.code)
	}
	actions, protocol := binary.BigEndian.Uint32([]byte(offer.data[4:])), binary.BigEndian.Uint32([]byte(offer.data[8:]))
	if actions != 0x31 || protocol != 0 {
		t.Errorf("offered actions %#x, protocol %#x; want 0x31, 0", actions, protocol)
	}
}

// noRecorder is of no use but to be told of mail and sessions.
type noRecorder struct{ adapter.Recorder }

// judge is a real filter's with one verdict.
type judge struct{ verdict rules.Verdict }

func (j judge) Decide(context.Context, *rules.Mail) rules.Verdict               { return j.verdict }
func (judge) WantsBody(*rules.Mail) bool                                        { return true }
func (judge) TurnsAway(*rules.Mail, time.Duration) (v rules.Verdict, away bool) { return v, false }

func (noRecorder) Record(*rules.Mail, rules.Verdict, time.Duration) {}
func (noRecorder) Sessions(int)                                     {}

// TestRealFilter: the real adapter understands us, and we it, message after message.
func TestRealFilter(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var verdict rules.Verdict
	server := &adapter.Server{
		Judge: func() adapter.Judge { return judge{verdict} }, Recorder: noRecorder{}, Log: slog.New(slog.DiscardHandler),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	f := dial(t, ln.Addr().String(), home)
	for _, tt := range []struct {
		verdict rules.Verdict
		want    Answer
	}{
		{rules.Verdict{Action: rules.Accept}, Answer{Code: 250}},
		{rules.Verdict{Action: rules.Reject, Code: 550, Enhanced: "5.7.1", Text: "Not 100% yours. [identity.header_from A]"},
			Answer{Code: 550, Text: "5.7.1 Not 100% yours. [identity.header_from A]"}},
		{rules.Verdict{Action: rules.Tempfail, Code: 451, Enhanced: "4.7.1", Text: "Later. [limit.minute B]"},
			Answer{Code: 451, Text: "4.7.1 Later. [limit.minute B]"}},
		{rules.Verdict{Action: rules.Quarantine, Text: "Held. [limit.minute C]"}, Answer{Code: 250, Held: "Held. [limit.minute C]"}},
		{rules.Verdict{Action: rules.Tag, Rule: "identity.display_name", ID: "D"}, Answer{Code: 250}},
	} {
		verdict = tt.verdict
		if got := give(t, f, "alice@client-a.example"); got != tt.want {
			t.Errorf("got %+v, want %+v", got, tt.want)
		}
		if err := f.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		what string
		last []frame // of the end of message
		want Answer
	}{
		{"continue", []frame{{'c', ""}}, Answer{Code: 250}},
		{"accept", []frame{{'a', ""}}, Answer{Code: 250}},
		{"discard", []frame{{'d', ""}}, Answer{Code: 250}},
		{"reject", []frame{{'r', ""}}, Answer{Code: 550, Text: refusedText}},
		{"tempfail", []frame{{'t', ""}}, Answer{Code: 451, Text: deferredText}},
		{"one line", []frame{{'y', "550 5.7.1 no\x00"}}, Answer{Code: 550, Text: "5.7.1 no"}},
		{"three lines", []frame{{'y', "550-5.7.1 one\r\n550-5.7.1 100%% two\r\n550 5.7.1 three\x00"}},
			Answer{Code: 550, Text: "5.7.1 one\n5.7.1 100% two\n5.7.1 three"}},
		{"an empty last line", []frame{{'y', "550-5.7.1 one\r\n550\x00"}}, Answer{Code: 550, Text: "5.7.1 one\n"}},
		{"wait, then hold", []frame{{'p', ""}, {'q', "for a while\x00"}, {'c', ""}}, Answer{Code: 250, Held: "for a while"}},
		{"hold, then refuse", []frame{{'q', "for a while\x00"}, {'y', "550 5.7.1 no\x00"}}, Answer{Code: 550, Text: "5.7.1 no"}},
	} {
		fake := newFake(t)
		fake.set(func() { fake.answers['E'] = tt.last })
		if got := give(t, dial(t, fake.addr, home), ""); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.what, got, tt.want)
		}
	}
}

// TestRefusedOnTheWay: a filter may refuse at any command.
func TestRefusedOnTheWay(t *testing.T) {
	for _, command := range "MRLNB" {
		fake := newFake(t)
		fake.set(func() { fake.answers[byte(command)] = []frame{{'y', "550 5.7.1 no\x00"}} })
		if got := give(t, dial(t, fake.addr, home), ""); got != (Answer{Code: 550, Text: "5.7.1 no"}) {
			t.Errorf("refused at %c: got %+v", command, got)
		}
	}
}
