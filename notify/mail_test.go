package notify

import (
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// opened is a mail as its reader sees it.
type opened struct {
	header mail.Header
	title  string
	body   string
}

func open(t *testing.T, text string) opened {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	title, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return opened{m.Header, title, strings.ReplaceAll(string(body), "\r\n", "\n")}
}

func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

func wantNone(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%q is in\n%s", part, text)
		}
	}
}

func TestOperatorMail(t *testing.T) {
	mta := newMTA(t)
	ops := []string{"ops@isp.example", "night@isp.example"}
	h := start(t, memory.New(), "mx1.isp.example", Settings{Operator: ops, SMTP: mta.address})
	h.Notify(t.Context(), t0, blockOf(alice))
	h.settleAt(t, t0.Add(time.Second))

	got := mta.got()
	if len(got) != 1 || got[0].from != "o2n-milter@mx1.isp.example" || !slices.Equal(got[0].to, ops) {
		t.Fatalf("got %+v", got)
	}
	m := open(t, got[0].text)
	if want := "[o2n-milter mx1.isp.example] Blocked: " + alice; m.title != want {
		t.Errorf("title %q; want %q", m.title, want)
	}
	for name, want := range map[string]string{
		"From": "o2n-milter <o2n-milter@mx1.isp.example>", "To": "ops@isp.example, night@isp.example", "Auto-Submitted": "auto-generated",
		"Date": "Mon, 05 Jan 2026 10:00:01 +0000", "Mime-Version": "1.0", "Content-Type": "text/plain; charset=utf-8",
	} {
		if got := m.header.Get(name); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
	if id := m.header.Get("Message-ID"); !strings.HasSuffix(id, ".o2n-milter@mx1.isp.example>") || !strings.HasPrefix(id, "<") {
		t.Errorf("Message-ID %q", id)
	}
	wantParts(t, m.body, "Blocked: "+alice, "C-1001", "identity.header_from: header From boss@bank.example; want an address of the account",
		"5 strikes within 1h", "since 2026-01-05 10:00 UTC, until 2026-01-05 11:00 UTC, by o2n-milter", "AAAA2222 BBBB3333",
		"https://sending.example/admin/blocks/B7K3QF2M9", "o2n-milter block show B7K3QF2M9")
	wantNone(t, m.body, "TOKEN") // the customer's link is the customer's

	nonce := m.header.Get(NoticeField)
	if !h.Ours(nonce, []string{"night@isp.example", "ops@isp.example"}) {
		t.Error("our own mail is not known")
	}
	if h.Ours(nonce, ops) {
		t.Error("a nonce is good for a second mail")
	}
	if len(h.left(t)) != 0 {
		t.Errorf("left: %+v", h.left(t))
	}
	if got := h.Stats().Channels[toOperator]; got != (Count{Sent: 1}) {
		t.Errorf("counted %+v", got)
	}
}

func TestCustomerMail(t *testing.T) {
	request := state.Request{
		ID: "R7K3QF2M9", Block: "B7K3QF2M9", Subject: alice, Account: "alice@client-a.example", At: t0,
		AnsweredBy: "bob", Answer: "Thank you.\nMind the form on your site.",
	}
	script := blockOf("script:www-data@web1.example/mailer.php")
	script.Block.Account, script.Block.Rule, script.Block.Until = "alice@client-a.example", "limit.hour", time.Time{}
	for name, tt := range map[string]struct {
		event    Event
		language string
		title    string
		want     []string
	}{
		"block": {blockOf(alice), "en", "Sending mail is blocked: alice@client-a.example", []string{
			"from alice@client-a.example is blocked since 2026-01-05 10:00 UTC, until 2026-01-05 11:00 UTC.", "does not belong to this account",
			"https://sending.example/c/TOKEN-alice@client-a.example", "https://help.example/rules#identity.header_from", "Set the sender"}},
		"block, French": {blockOf(alice), "fr", "L'envoi de courrier est bloqué : alice@client-a.example", []string{
			"l'envoi de courrier de alice@client-a.example est bloqué", "jusqu'au 2026-01-05 11:00 UTC", "https://sending.example/c/TOKEN-alice"}},
		"both": {blockOf(alice), "en+fr", "Sending mail is blocked: alice@client-a.example / L'envoi de courrier est bloqué : alice@client-a.example",
			[]string{"Hello,", "=====", "Bonjour,"}},
		"script": {script, "en", "Sending mail is blocked: www-data@web1.example/mailer.php", []string{
			"from the script www-data@web1.example/mailer.php is blocked", "until it is lifted", "More mail was sent"}},
		"granted": {Event{What: Approve, Request: request}, "en", "Sending mail is possible again: alice@client-a.example", []string{
			"can be sent again from alice@client-a.example", "> Thank you.\n> Mind the form on your site."}},
		"refused": {Event{What: Deny, Request: request, Block: blockOf(alice).Block}, "fr", "L'envoi de courrier reste bloqué : alice@client-a.example", []string{
			"a été refusée", "reste bloqué jusqu'au 2026-01-05 11:00 UTC", "> Thank you."}},
	} {
		t.Run(name, func(t *testing.T) {
			mta := newMTA(t)
			h := start(t, memory.New(), "mx1", Settings{Customer: true, SMTP: mta.address, Language: tt.language})
			h.Notify(t.Context(), t0, tt.event)
			h.settleAt(t, t0)
			got := mta.got()
			if len(got) != 1 || !slices.Equal(got[0].to, []string{"alice@client-a.example"}) {
				t.Fatalf("got %+v", got)
			}
			m := open(t, got[0].text)
			if m.title != tt.title {
				t.Errorf("title %q; want %q", m.title, tt.title)
			}
			wantParts(t, m.body, tt.want...)
			wantNone(t, m.body, "5 strikes", "boss@bank.example", "AAAA2222", "/admin/") // the operator's
		})
	}
}

func TestCustomerIsToldOfBlocksAndAnswersOnly(t *testing.T) {
	for _, what := range All() {
		h := start(t, memory.New(), "mx1", Settings{Customer: true})
		e := blockOf(alice)
		e.What = what
		h.Notify(t.Context(), t0, e)
		want := 0
		if what == Block || what == Approve || what == Deny {
			want = 1
		}
		if got := len(h.left(t)); got != want {
			t.Errorf("%s: %d notices; want %d", what, got, want)
		}
	}
}

func TestAddressOfAnAccount(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Customer: true})
	h.opts.Address = func(account string) string { return map[string]string{"web7": "owner@client-a.example"}[account] }
	if got := h.customer(blockOf("account:web7")); got != "owner@client-a.example" {
		t.Errorf("got %q", got)
	}
	if got := h.customer(blockOf(alice)); got != "" {
		t.Errorf("an account without an address gets mail at %q", got)
	}
	if got := h.customer(blockOf("ip:192.0.2.7")); got != "" {
		t.Errorf("an IP address gets mail at %q", got)
	}
}

var wantFields = []string{"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To", NoticeField}

// checkMail: whatever was in the event, the mail has our fields and no others, in
// lines that every server takes.
func checkMail(t *testing.T, text string) opened {
	t.Helper()
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("line %.1200q", line)
		}
		if strings.Contains(line, "=?utf-8?") && len(line) > len("Subject: ")+75 { // RFC 2047 2: a word has 75 at most
			t.Fatalf("several encoded words on a line: %q", line)
		}
	}
	m := open(t, text)
	var fields []string
	for name, values := range m.header {
		for range values {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	want := slices.Clone(wantFields)
	for i, f := range want {
		if f == NoticeField {
			want[i] = "X-O2n-Notice" // as net/mail writes it
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Fatalf("fields: %s", diff)
	}
	return m
}

const hostile = "x\r\nBcc: victim@bank.example\r\n\r\n.\r\nMAIL FROM:<>\x1b[31m\u202egnp.exe\u200b =?utf-8?Q?=0D=0AEvil?= {{.Host}} <script>\x00\xff"

func hostileEvent(what, s string) Event {
	return Event{What: what, Text: s,
		Block: state.Block{ID: s, Subject: "account:" + s, Rule: s, Reason: s, By: s, Account: "alice@client-a.example", Customer: s,
			Evidence: []byte(`[{"rule":"x","fact":"header From","got":"a\r\nBcc: x@y\u202e\u001b[0m","want":"b"}]`), Decisions: []string{s}, LiftedBy: s, Note: s},
		Request: state.Request{ID: s, Block: s, Subject: s, Account: "alice@client-a.example", Happened: s, Done: s, AnsweredBy: s, Answer: s},
	}
}

func TestNothingIsInjected(t *testing.T) {
	mta := newMTA(t)
	h := start(t, memory.New(), "mx1", Settings{Operator: []string{"ops@isp.example"}, Customer: true, SMTP: mta.address, Language: "en+fr", Digest: time.Hour})
	for _, what := range All() {
		e := hostileEvent(what, hostile)
		if what == Lift {
			e.Request = state.Request{} // else its answer says it
		}
		h.Notify(t.Context(), t0, e)
		h.Notify(t.Context(), t0, e) // one for the digest
	}
	h.settleAt(t, t0.Add(time.Hour))
	got := mta.got()
	if want := len(All()) + 2*3 + 1; len(got) != want {
		t.Fatalf("%d mails; want %d", len(got), want)
	}
	for _, d := range got {
		m := checkMail(t, d.text)
		if len(d.to) != 1 || d.to[0] != "ops@isp.example" && d.to[0] != "alice@client-a.example" {
			t.Errorf("to %q", d.to)
		}
		for _, text := range []string{m.title, m.body} {
			wantNone(t, text, "\x1b", "\u202e", "\u200b", "\x00", "\nBcc", "\n.\n", "\nEvil")
		}
	}
}

func FuzzMail(f *testing.F) {
	f.Add(hostile)
	f.Add(strings.Repeat("é", 2000))
	f.Add("?= =?")
	f.Add("x ")
	f.Fuzz(func(t *testing.T, s string) {
		h := start(t, memory.New(), "mx1", Settings{})
		for _, what := range All() {
			e := hostileEvent(what, s).bounded(t0)
			for _, kind := range []string{"operator", "customer"} {
				l, err := render("en+fr", kind, h.view(e))
				if err != nil {
					t.Fatal(err)
				}
				m := checkMail(t, string(compose(t0, "1", "N", "a@b.example", []string{"ops@isp.example"}, l)))
				if strings.TrimRight(m.body, "\n") != strings.TrimRight(l.body, "\n") {
					t.Fatalf("body\n%q\nwas\n%q", m.body, l.body)
				}
				if want := strings.ReplaceAll(l.title, "=?", "= ?"); m.title != want {
					t.Fatalf("title %q was %q", m.title, want)
				}
			}
		}
	})
}
