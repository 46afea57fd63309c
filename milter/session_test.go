package milter

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
)

const (
	helloA = "C 192.0.2.7 j=mx.example client_addr=192.0.2.7"
	mailA  = "M <a@client-a.example> auth_authen=alice mail_addr=a@client-a.example"
	mailB  = "M <b@client-b.example> auth_authen=bob mail_addr=b@client-b.example"
)

// Each message must be judged with its own login, sender, recipients and header,
// whatever came before it on the connection. Postfix' ABORTs after each message
// and Sendmail's lack of them must make no difference.
func TestStageOrders(t *testing.T) {
	const known = "alice <a@client-a.example> > "
	for _, tt := range []struct {
		name  string
		steps string // one a line
		want  []string
	}{
		{"ordinary", helloA + "\nH x\n" + mailA + "\nR <r1@r.example> rcpt_addr=r1@r.example\nL Subject: one\nN\nB text\nE",
			[]string{known + "r1@r.example | Subject: one"}},
		{"second message", helloA + "\n" + mailA + "\nR <r1@r.example>\nL Subject: one\nE\n" + mailB + "\nR <r2@r.example>\nL Subject: two\nE",
			[]string{known + "r1@r.example | Subject: one", "bob <b@client-b.example> > r2@r.example | Subject: two"}},
		{"second message without login", helloA + "\n" + mailA + "\nR <r1@r.example>\nE\nM <a@client-a.example>\nR <r2@r.example>\nE",
			[]string{known + "r1@r.example", " <a@client-a.example> > r2@r.example"}},
		{"login only at MAIL", helloA + "\nM <a@client-a.example>\nR <r1@r.example> auth_authen=bob\nE",
			[]string{" <a@client-a.example> > r1@r.example"}},
		{"client's own word for the login", helloA + "\nM <a@client-a.example> auth_author=bob\nR <r1@r.example>\nE",
			[]string{" <a@client-a.example> > r1@r.example"}},
		{"RSET", helloA + "\n" + mailA + "\nR <r1@r.example>\nL Subject: one\nA\nA\n" + mailB + "\nR <r2@r.example>\nE",
			[]string{"bob <b@client-b.example> > r2@r.example"}},
		{"RSET takes macros along", helloA + "\n" + mailA + "\nA\nM <a@client-a.example>\nR <r1@r.example>\nE",
			[]string{" <a@client-a.example> > r1@r.example"}},
		{"RSET before MAIL itself", helloA + "\nD M auth_authen=alice\nA\nM <a@client-a.example>\nR <r1@r.example>\nE",
			[]string{" <a@client-a.example> > r1@r.example"}},
		{"MAIL again without ABORT", helloA + "\n" + mailA + "\nR <r1@r.example>\nL Subject: one\n" + mailB + "\nR <r2@r.example>\nE",
			[]string{"bob <b@client-b.example> > r2@r.example"}},
		{"HELO twice", helloA + "\nH x\nH y\n" + mailA + "\nR <r1@r.example>\nE", []string{known + "r1@r.example"}},
		{"HELO in mid-message, as Postfix", helloA + "\n" + mailA + "\nR <r1@r.example>\nH x\nA\nA\n" + mailB + "\nR <r2@r.example>\nE",
			[]string{"bob <b@client-b.example> > r2@r.example"}},
		{"HELO in mid-message, no ABORT", helloA + "\n" + mailA + "\nR <r1@r.example>\nH x\nR <r2@r.example>\nE",
			[]string{known + "r1@r.example r2@r.example"}},
		{"unknown command", helloA + "\n" + mailA + "\nU FOO\nR <r1@r.example>\nE", []string{known + "r1@r.example"}},
		{"end without MAIL", helloA + "\nE", []string{" <> >  | faults: command before MAIL, end of message without MAIL"}},
		{"end twice", helloA + "\n" + mailA + "\nR <r1@r.example>\nE\nE",
			[]string{known + "r1@r.example", " <> >  | faults: command before MAIL, end of message without MAIL"}},
		{"body before MAIL", helloA + "\nB text\nE", []string{" <> >  | faults: command before MAIL, end of message without MAIL"}},
		{"RCPT before MAIL", helloA + "\nR <r0@r.example>\n" + mailA + "\nR <r1@r.example>\nE",
			[]string{known + "r1@r.example | faults: command before MAIL"}},
		{"MAIL before CONNECT", mailA + "\nR <r1@r.example>\nE", []string{known + "r1@r.example | faults: command before CONNECT"}},
		{"CONNECT again", helloA + "\n" + mailA + "\nR <r1@r.example>\nC 192.0.2.8\n" + mailB + "\nR <r2@r.example>\nE",
			[]string{"bob <b@client-b.example> > r2@r.example"}},
		{"CONNECT in mid-message", helloA + "\n" + mailA + "\nR <r1@r.example>\nC 192.0.2.8\nE",
			[]string{" <> >  | faults: command before MAIL, end of message without MAIL"}},
		{"login told before CONNECT", "D M auth_authen=alice\n" + helloA + "\nM <a@client-a.example>\nR <r1@r.example>\nE",
			[]string{" <a@client-a.example> > r1@r.example"}},
		{"login told before CONNECT again", helloA + "\nD M auth_authen=alice\nC 192.0.2.8\nM <a@client-a.example>\nR <r1@r.example>\nE",
			[]string{" <a@client-a.example> > r1@r.example"}},
		{"recipient's macros told before MAIL", helloA + "\n" + mailA + "\nD R rcpt_addr=r0@r.example rcpt_mailer=local\n" + mailB + "\nR <r2@r.example>\nE",
			[]string{"bob <b@client-b.example> > r2@r.example"}},
		{"connection for another session", helloA + "\n" + mailA + "\nK\n" + helloA + "\n" + mailB + "\nR <r2@r.example>\nE",
			[]string{"bob <b@client-b.example> > r2@r.example"}},
		{"another session that skips CONNECT", helloA + "\n" + mailA + "\nK\n" + mailB + "\nR <r2@r.example>\nE",
			[]string{"bob <b@client-b.example> > r2@r.example | faults: command before CONNECT"}},
		{"null sender", helloA + "\nM <> mail_addr=MAILER-DAEMON\nR <root> rcpt_mailer=local rcpt_addr=root\nE", []string{" <> > root(local)"}},
		{"names in envelope addresses", helloA + "\nM <Some.Name<x@y.example>> auth_authen=alice mail_addr=x@y.example\nR <@relay.example:z@y.example> rcpt_addr=z@y.example\nE",
			[]string{"alice <x@y.example> > z@y.example"}},
		{"without macros for them", helloA + "\nM <Some.Name<x@y.example>> auth_authen=alice\nR <@relay.example:z@y.example>\nE",
			[]string{"alice <x@y.example> > @relay.example:z@y.example"}},
		{"recipient's macros are its own", helloA + "\n" + mailA + "\nR <r1@r.example> rcpt_addr=r1@r.example rcpt_mailer=local\nR <r2@r.example>\nE",
			[]string{known + "r1@r.example(local) r2@r.example"}},
	} {
		for _, style := range []string{"postfix", "sendmail"} {
			t.Run(tt.name+"/"+style, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := serve(t, always(reject))
					m := f.session()
					for _, line := range strings.Split(tt.steps, "\n") {
						answers := m.run(line)
						if line[0] == 'E' && style == "postfix" {
							m.run("A", "A")
						}
						if line[0] != 'E' && len(answers) > 0 && answers[0] != "c" {
							t.Errorf("%s: answered %q", line, answers[0])
						}
					}
					m.run("Q")
					f.stop()
					got, _ := f.notes.all()
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}

// A message in one TCP segment, and byte by byte.
func TestPipelined(t *testing.T) {
	lines := []string{helloA, mailA, "R <r1@r.example> i=Q1", "R <r2@r.example> i=Q1", "L Subject: one", "N", "B text", "E"}
	for _, width := range []int{1, 7, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, always(pass))
			m := f.session()
			all := ""
			for range 2 {
				for _, line := range lines {
					all += m.step(line)
				}
			}
			for part := range slices.Chunk([]byte(all), width) {
				m.write(string(part))
			}
			want := []string{"c", "c", "c", "c", "c", "c"}
			got := []string{}
			for range want {
				got = append(got, m.untilFinal())
			}
			f.stop()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answers, %d bytes a write: %s", width, diff)
			}
			one := "alice <a@client-a.example> > r1@r.example r2@r.example | Subject: one"
			mails, _ := f.notes.all()
			if diff := cmp.Diff([]string{one, one}, mails); diff != "" {
				t.Errorf("%d bytes a write: %s", width, diff)
			}
		})
	}
}

// The message after each outcome is judged like the first, and every outcome has
// its own form on the wire.
func TestAnswers(t *testing.T) {
	unjudged := pass
	unjudged.Judged = false
	for _, tt := range []struct {
		name    string
		verdict rules.Verdict
		actions uint32
		want    string
	}{
		{"pass", pass, allActions, "m\x00\x00\x00\x02X-O2N-Milter m\x00\x00\x00\x01X-O2N-Milter c"},
		{"inbound", unjudged, allActions, "m\x00\x00\x00\x02X-O2N-Milter m\x00\x00\x00\x01X-O2N-Milter c"},
		{"tag", tag, allActions, "m\x00\x00\x00\x02X-O2N-Milter m\x00\x00\x00\x01X-O2N-Milter hX-O2N-Milter|a.rule ID c"},
		{"tag, no header to be changed", tag, 0x1ff &^ 0x10, "hX-O2N-Milter|a.rule ID c"},
		{"tag, no header at all", tag, 0x1ff &^ 0x11, "c"},
		{"quarantine", quarantine, allActions, "m\x00\x00\x00\x02X-O2N-Milter m\x00\x00\x00\x01X-O2N-Milter qheld [a.rule ID] c"},
		{"tempfail", tempfail, allActions, "y451 4.7.1 later [a.rule ID]"},
		{"reject", reject, allActions, "y550 5.7.1 100%% no [a.rule ID]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(tt.verdict))
				m := f.dial("")
				m.negotiate(6, tt.actions, allProtocol)
				m.run(helloA)
				for range 2 {
					got := m.run(mailA, "R <r1@r.example>", "L x-o2n-milter: forged", "L Subject: one", "L X-O2N-Milter : forged", "N", "E")
					want := strings.ReplaceAll(tt.want, "\x00", "|")
					if diff := cmp.Diff([]string{"c", want}, got); diff != "" {
						t.Error(diff)
					}
				}
				f.stop()
				one := "alice <a@client-a.example> > r1@r.example | x-o2n-milter: forged | Subject: one | X-O2N-Milter : forged"
				mails, _ := f.notes.all()
				if diff := cmp.Diff([]string{one, one}, mails); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// kept is a copy of a Mail, which itself is used again.
func kept(m *rules.Mail) *rules.Mail {
	same := *m
	same.Header, same.Recipients, same.Body = slices.Clone(m.Header), slices.Clone(m.Recipients), slices.Clone(m.Body)
	return &same
}

// factsOf is what the judge was given.
func factsOf(t *testing.T, lines ...string) *rules.Mail {
	t.Helper()
	var got *rules.Mail
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, judgeFunc(func(_ context.Context, m *rules.Mail) rules.Verdict { got = kept(m); return pass }))
		m := f.session()
		m.run(lines...)
		f.stop()
	})
	return got
}

func TestQueueID(t *testing.T) {
	for name, tt := range map[string]struct {
		want  string
		lines []string
	}{
		"Postfix":                    {"Q2", []string{helloA, mailA, "R <r1@r.example>", "R <r2@r.example> i=Q2", "E - i=Q2"}},
		"Sendmail":                   {"Q1", []string{helloA, mailA + " i=Q1", "R <r1@r.example>", "E"}},
		"at end of message":          {"Q3", []string{helloA, mailA, "R <r1@r.example>", "E - i=Q3"}},
		"not the last message's":     {"", []string{helloA, mailA + " i=Q1", "R <r1@r.example>", "E", mailA, "R <r1@r.example>", "E"}},
		"not CONNECT's, it is stale": {"", []string{helloA + " i=Q0", mailA, "R <r1@r.example>", "E"}},
	} {
		if got := factsOf(t, tt.lines...); got.QueueID != tt.want {
			t.Errorf("%s: queue id %q, want %q", name, got.QueueID, tt.want)
		}
	}
}

func TestClient(t *testing.T) {
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		name    string
		connect string
		want    rules.Mail
	}{
		{"macro", "C 192.0.2.7 client_addr=192.0.2.9 client_name=c.example j=mx.example",
			rules.Mail{Client: addr("192.0.2.9"), ClientName: "c.example", Host: "mx.example"}},
		{"no macros", "C 192.0.2.7", rules.Mail{Client: addr("192.0.2.7"), ClientName: "host.example"}},
		{"macro without address", "C 192.0.2.7 client_addr=unknown client_name=unknown", rules.Mail{Client: addr("192.0.2.7")}},
		{"name in brackets", "C 192.0.2.7 client_name=[192.0.2.7]", rules.Mail{Client: addr("192.0.2.7")}},
		{"IPv6, Postfix", "C 2001:db8::1", rules.Mail{Client: addr("2001:db8::1"), ClientName: "host.example"}},
		{"IPv6, Sendmail", "C IPv6:2001:db8:0:0:0:0:0:1", rules.Mail{Client: addr("2001:db8::1"), ClientName: "host.example"}},
		{"IPv6 macro, Sendmail", "C IPv6:::1 client_addr=IPv6:2001:db8:0:0:0:0:0:2", rules.Mail{Client: addr("2001:db8::2"), ClientName: "host.example"}},
		{"the host's own address, Postfix", "C 192.0.2.7 daemon_addr=192.0.2.7", rules.Mail{Client: addr("192.0.2.7"), ClientName: "host.example", Local: true}},
		{"the host's own address, Sendmail", "C IPv6:2001:db8:0:0:0:0:0:1 if_addr=IPv6:2001:db8::1", rules.Mail{Client: addr("2001:db8::1"), ClientName: "host.example", Local: true}},
		{"another address of the MTA's", "C 192.0.2.7 daemon_addr=192.0.2.1 if_addr=192.0.2.1", rules.Mail{Client: addr("192.0.2.7"), ClientName: "host.example"}},
		{"an address none can read", "C nowhere", rules.Mail{ClientName: "host.example", Faults: []string{"client address that cannot be read"}}},
		{"mapped", "C ::ffff:192.0.2.7", rules.Mail{Client: addr("192.0.2.7"), ClientName: "host.example"}},
		{"local submission", "C local", rules.Mail{Client: addr("127.0.0.1"), ClientName: "localhost", Local: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := factsOf(t, tt.connect, "M a@host.example i=Q1", "R <r@r.example>", "L A: b", "B 12345", "E")
			tt.want.Sender, tt.want.QueueID, tt.want.Size, tt.want.CanHold = "a@host.example", "Q1", 11, true
			tt.want.Recipients, tt.want.Header, tt.want.Body = got.Recipients, got.Header, []byte("12345")
			if diff := cmp.Diff(tt.want, *got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A second CONNECT has nothing of the first.
func TestClientAgain(t *testing.T) {
	got := factsOf(t, "C 192.0.2.7 client_addr=192.0.2.9 client_name=c.example j=mx.example", "C 192.0.2.8", mailA, "E")
	if got.Client.String() != "192.0.2.8" || got.ClientName != "host.example" || got.Host != "" {
		t.Errorf("client %v %q, host %q", got.Client, got.ClientName, got.Host)
	}
}

// Families that have no address or no port.
func TestClientFamilies(t *testing.T) {
	for data, want := range map[string]client{
		"h\x00U":                         {known: true, name: "h", local: true},
		"h\x00L\x00\x00/run/sock\x00":    {known: true, name: "h", local: true},
		"h\x006\x00\x00\x00":             {known: true, name: "h", local: true, faulty: true},
		"\x004\x00\x19192.0.2.7":         {known: true, addr: netip.MustParseAddr("192.0.2.7")},
		"h\x006\x00\x19fe80::1%eth0\x00": {known: true, name: "h", addr: netip.MustParseAddr("fe80::1")},
	} {
		if got, err := readClient([]byte(data), &macroList{}); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", data, got, err, want)
		}
	}
	for _, data := range []string{"", "h", "h\x00", "h\x004", "h\x004\x00"} {
		if got, err := readClient([]byte(data), &macroList{}); err == nil {
			t.Errorf("%q: got %+v, want an error", data, got)
		}
	}
}

func TestUnbracket(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"<":                             "",
		"a@b.example":                   "a@b.example",
		"<a@b.example>":                 "a@b.example",
		"<a@b.example":                  "a@b.example",
		"<Some Name <x@y.example>>":     "x@y.example",
		"<@relay:src@x.example>":        "@relay:src@x.example",
		"<Name <@relay:src@x.example>>": "@relay:src@x.example",
		`<"<x"@y.example>`:              `"<x"@y.example`,
		`<"x>"@y.example>`:              `"x>"@y.example`,
	} {
		if got := string(unbracket([]byte(in))); got != want {
			t.Errorf("unbracket(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHeaderPackets(t *testing.T) {
	for data, want := range map[string]string{
		"A\x00b\x00":         " <> >  | A: b",
		"A\x00\x00":          " <> >  | A: ",
		"\x00b\x00":          " <> >  | : b",
		"\x00\x00":           " <> >  | : ",
		"A\x00b\n c\x00":     " <> >  | A: b\n c",
		"A\x00b\x00c\x00":    " <> >  | A: b | faults: header field with a NUL",
		"A\x00b\x00\x00":     " <> >  | A: b | faults: header field with a NUL",
		"A\x00b":             " <> >  | A: b | faults: header field with a NUL",
		"A":                  " <> >  | A:  | faults: header field with a NUL",
		"":                   " <> >  | :  | faults: header field with a NUL",
		"From\x00a\x00b\x00": " <> >  | From: a | faults: header field with a NUL",
	} {
		d := roomy()
		d.addField([]byte(data))
		d.setHeader()
		if got := summary(&d.mail); got != want {
			t.Errorf("%q: got %q, want %q", data, got, want)
		}
	}
}

func TestBounds(t *testing.T) {
	const manyFields = "more than 20,000 header fields"
	const muchHeader = "more than 1 MiB of header"
	const manyRcpts = "more than 20,000 recipients or 1 MiB of them"
	for _, tt := range []struct {
		name   string
		n      int
		add    func(d *draft)
		kept   int
		faults []string
	}{
		{"fields at max-1", maxFields - 1, addShort, maxFields - 1, nil},
		{"fields at max", maxFields, addShort, maxFields, nil},
		{"fields at max+1", maxFields + 1, addShort, maxFields, []string{manyFields}},
		{"header at max", 4, addQuarter, 4, nil},
		{"header at max+1 field", 5, addQuarter, 4, []string{muchHeader}},
		{"recipients at max-1", maxRecipients - 1, addRcpt, maxRecipients - 1, nil},
		{"recipients at max", maxRecipients, addRcpt, maxRecipients, nil},
		{"recipients at max+1", maxRecipients + 1, addRcpt, maxRecipients, []string{manyRcpts}},
	} {
		d := roomy()
		for range tt.n {
			tt.add(d)
		}
		d.setHeader()
		if kept := len(d.mail.Header) + len(d.mail.Recipients); kept != tt.kept {
			t.Errorf("%s: kept %d, want %d", tt.name, kept, tt.kept)
		}
		if diff := cmp.Diff(tt.faults, d.mail.Excess); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	d := roomy()
	for range 5 {
		addQuarter(d)
	}
	if d.mail.Size != 5*maxKept/4 {
		t.Errorf("size %d: what is not kept must be counted", d.mail.Size)
	}
}

var quarter = []byte("A\x00" + strings.Repeat("x", maxKept/4-5) + "\x00")

func addShort(d *draft)   { d.addField([]byte("A\x00b\x00")) }
func addQuarter(d *draft) { d.addField(quarter) }
func addRcpt(d *draft)    { d.addRecipient([]byte("<r@r.example>"), &macroList{}) }
