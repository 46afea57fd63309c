package notify

import (
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
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
			"from the script www-data@web1.example/mailer.php is blocked", "until it is lifted", "more mail was sent"[1:]}},
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

func TestNoMailToOddAddresses(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, s := range []string{
		"", "<>", "alice", "alice@", "@client-a.example", "MAILER-DAEMON@mx1.example", "alice@client-a.example\r\nBcc: x@y.example",
		"alice@client-a.example>\r\nRCPT TO:<x@y.example", "Alice <alice@client-a.example>", "alice@client-a.example,bob@client-a.example",
		`"alice"@client-a.example`, `"a b"@client-a.example`, "a b@client-a.example", "-oX@client-a.example", "|cmd@client-a.example",
		"/etc/passwd@client-a.example", "a!b@client-a.example", "a%b@client-a.example", "a..b@client-a.example", ".a@client-a.example",
		"alice@[192.0.2.1]", "@relay:alice@client-a.example", "älice@client-a.example", "alice@client-a.example\x00", "al\u202eice@client-a.example",
		long + "a@client-a.example", "a@" + strings.Repeat("b.", 126) + "c",
	} {
		if got, err := mailbox(s); err == nil {
			t.Errorf("%q was taken as %q", s, got)
		}
		h := start(t, memory.New(), "mx1", Settings{Customer: true})
		e := blockOf("account:" + s)
		h.Notify(t.Context(), t0, e)
		if left := h.left(t); len(left) != 0 {
			t.Errorf("%q gets mail", s)
		}
	}
	for s, want := range map[string]string{
		"alice@client-a.example": "alice@client-a.example", "o'brien+x@client-a.example": "o'brien+x@client-a.example",
		"root@localhost": "root@localhost", "a@bücher.example": "a@xn--bcher-kva.example", long + "@client-a.example": long + "@client-a.example",
	} {
		if got, err := mailbox(s); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", s, got, err, want)
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
		h.Notify(t.Context(), t0, hostileEvent(what, hostile))
		h.Notify(t.Context(), t0, hostileEvent(what, hostile)) // one for the digest
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

func TestTextsSayEverythingInEachLanguage(t *testing.T) {
	names := func(lang string) []string {
		var list []string
		for _, tmpl := range languages[lang].Templates() {
			list = append(list, tmpl.Name())
		}
		slices.Sort(list)
		return slices.DeleteFunc(list, func(s string) bool { return strings.HasSuffix(s, ".txt") })
	}
	if diff := cmp.Diff(names("en"), names("fr")); diff != "" {
		t.Error(diff)
	}
	h := start(t, memory.New(), "mx1", Settings{})
	for lang := range languages {
		titles := map[string]bool{}
		for _, what := range All() {
			l, err := render(lang, "operator", h.view(Event{What: what, At: t0}))
			if err != nil {
				t.Fatal(err)
			}
			titles[l.title] = true
			wantNone(t, l.body, "no value", "<nil>", "\n\n\n")
		}
		if len(titles) != len(All()) {
			t.Errorf("%s: titles %v", lang, titles)
		}
		whys := map[string]bool{}
		for _, family := range []string{"identity", "recipients", "limit", "bulk", "message", "manual"} {
			var b strings.Builder
			for _, name := range []string{"why", "fix"} {
				if err := languages[lang].ExecuteTemplate(&b, name, view{Family: family}); err != nil {
					t.Fatal(err)
				}
			}
			whys[b.String()] = true
		}
		if len(whys) != 6 {
			t.Errorf("%s: two families read the same", lang)
		}
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	one := `{"rule":"identity.header_from","fact":"f","got":"g","want":"w"}`
	for _, n := range []int{mostSeen - 1, mostSeen, mostSeen + 1} {
		e := blockOf(alice)
		e.Block.Evidence = []byte("[" + strings.Repeat(one+",", n-1) + one + "]")
		v := start(t, memory.New(), "mx1", Settings{}).view(e)
		if len(v.Evidence) != min(n, mostSeen) || v.MoreEvidence != max(0, n-mostSeen) {
			t.Errorf("of %d: %d and %d more", n, len(v.Evidence), v.MoreEvidence)
		}
	}
	e := blockOf(alice)
	e.Block.Evidence = []byte(`["` + strings.Repeat("<", mostEvidence/6+1) + `"]`) // six octets each
	if e.bounded(t0).Block.Evidence != nil {
		t.Error("evidence that grows too long is kept")
	}
	for _, bytes := range []int{mostEvidence - 1, mostEvidence, mostEvidence + 1} {
		e := blockOf(alice)
		e.Block.Evidence = []byte(`["` + strings.Repeat("x", bytes-4) + `"]`)
		if kept := e.bounded(t0).Block.Evidence != nil; kept != (bytes <= mostEvidence) {
			t.Errorf("%d octets of evidence: kept %v", bytes, kept)
		}
	}
	e.Block.Evidence = []byte(`{"no`)
	if e.bounded(t0).Block.Evidence != nil {
		t.Error("what is no JSON is kept: the notice could not be stored")
	}
}

// TestLargestEvent: what an event may hold at most fits into a doc.
func TestLargestEvent(t *testing.T) {
	store := memory.New()
	h := start(t, store, "mx1", Settings{Webhook: "https://hook.example/", WebhookKey: make([]byte, 16)})
	e := hostileEvent(Request, strings.Repeat("\x01", 5000)) // six octets each in JSON
	e.Block.Evidence = []byte(`["` + strings.Repeat("<", mostEvidence/6-1) + `"]`)
	e.Block.Decisions = slices.Repeat(e.Block.Decisions, 1000)
	h.Notify(t.Context(), t0, e)
	docs, err := store.Docs(t.Context(), noticeKind)
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d docs, %v: it was not stored; %s", len(docs), err, h.log)
	}
	if len(docs[0].Data) < mostEvent/2 {
		t.Errorf("only %d octets were kept", len(docs[0].Data))
	}
}

func TestCut(t *testing.T) {
	for s, want := range map[string]string{"abcd": "abcd", "abcde": "abcde", "abcdef": "ab...", "aéédd": "a...", "éé": "éé"} {
		if got := cut(s, 5); got != want {
			t.Errorf("%q: %q; want %q", s, got, want)
		}
	}
}

// door is a server that is not the SMTP of a library: talk has the connection.
func door(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			talk(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func TestServerFaults(t *testing.T) {
	say := func(first string) func(t *testing.T, f *fakeMTA) string {
		return func(t *testing.T, _ *fakeMTA) string {
			return door(t, func(c net.Conn) { io.WriteString(c, first); io.Copy(io.Discard, c) })
		}
	}
	refuse := func(set func(f *fakeMTA)) func(t *testing.T, f *fakeMTA) string {
		return func(_ *testing.T, f *fakeMTA) string { set(f); return f.address }
	}
	rcpt := func(code int) func(f *fakeMTA) {
		return func(f *fakeMTA) { f.rcptErr = func(string) error { return answer(code) } }
	}
	for name, tt := range map[string]struct {
		server func(t *testing.T, f *fakeMTA) string
		again  bool
		why    string
	}{
		"nobody listens": {func(t *testing.T, _ *fakeMTA) string { return closedPort(t) }, true, "refused"},
		"greeting 421":   {say("421 no\r\n"), true, "greeting: 421"},
		"greeting 554":   {say("554 no\r\n"), true, "greeting: 554"},
		"greeting without end": {func(t *testing.T, _ *fakeMTA) string {
			return door(t, func(c net.Conn) {
				for err := error(nil); err == nil; {
					_, err = io.WriteString(c, "220-for ever\r\n")
				}
			})
		}, true, "greeting"},
		"a line without end": {func(t *testing.T, _ *fakeMTA) string {
			return door(t, func(c net.Conn) {
				for err := error(nil); err == nil; {
					_, err = io.WriteString(c, strings.Repeat("2", 4096))
				}
			})
		}, true, "greeting"},
		"says nothing": {say(""), true, "not done within"},
		"then nothing": {say("220 mta.example\r\n"), true, "not done within"},
		"hangs up":     {func(t *testing.T, _ *fakeMTA) string { return door(t, func(net.Conn) {}) }, true, "EOF"},
		"MAIL 451":     {refuse(func(f *fakeMTA) { f.mailErr = func() error { return answer(451) } }), true, "MAIL: 451"},
		"MAIL 550":     {refuse(func(f *fakeMTA) { f.mailErr = func() error { return answer(550) } }), false, "MAIL: 550"},
		"RCPT 450":     {refuse(rcpt(450)), true, "RCPT: 450"},
		"RCPT 550":     {refuse(rcpt(550)), false, "RCPT: 550"},
		"message 451":  {refuse(func(f *fakeMTA) { f.dataErr = func() error { return answer(451) } }), true, "message: 451"},
		"message 550":  {refuse(func(f *fakeMTA) { f.dataErr = func() error { return answer(550) } }), false, "message: 550"},
	} {
		t.Run(name, func(t *testing.T) {
			mta := newMTA(t)
			address := tt.server(t, mta)
			h := start(t, memory.New(), "mx1", Settings{Operator: []string{"ops@isp.example"}, SMTP: address})
			quick := *h.set.Load()
			quick.Timeout = 200 * time.Millisecond
			h.set.Store(&quick)
			h.Notify(t.Context(), t0, blockOf(alice))
			next := h.settleAt(t, t0)
			if !strings.Contains(h.log.String(), tt.why) {
				t.Errorf("%q is not in the log: %s", tt.why, h.log)
			}
			if len(mta.got()) != 0 {
				t.Error("it was delivered all the same")
			}
			left := h.left(t)
			if again := len(left) == 1; again != tt.again {
				t.Fatalf("left: %+v", left)
			}
			count := h.Stats().Channels[toOperator]
			if tt.again && (!next.Equal(t0.Add(firstPause)) || count.Retried != 1) || !tt.again && count.Failed != 1 {
				t.Errorf("next %s, counted %+v", next, count)
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestOldServer knows HELO only.
func TestOldServer(t *testing.T) {
	heard := make(chan string, 100)
	address := door(t, func(c net.Conn) {
		io.WriteString(c, "220 old\r\n")
		r := make([]byte, 4096)
		for {
			n, err := c.Read(r)
			if err != nil {
				return
			}
			heard <- string(r[:n])
			switch {
			case strings.HasPrefix(string(r[:n]), "EHLO"):
				io.WriteString(c, "502 what?\r\n")
			case strings.HasPrefix(string(r[:n]), "DATA"):
				io.WriteString(c, "354 go\r\n")
			case strings.HasPrefix(string(r[:n]), "QUIT"):
				return
			default:
				io.WriteString(c, "250 ok\r\n")
			}
		}
	})
	h := start(t, memory.New(), "mx1.isp.example", Settings{Operator: []string{"ops@isp.example"}, SMTP: address})
	h.Notify(t.Context(), t0, Event{What: Ceiling})
	h.settleAt(t, t0)
	if len(h.left(t)) != 0 {
		t.Fatal(h.log)
	}
	if first, second := <-heard, <-heard; first != "EHLO mx1.isp.example\r\n" || second != "HELO mx1.isp.example\r\n" {
		t.Errorf("heard %q, %q", first, second)
	}
}

// TestSomeRecipientsRefused: an operator's address that is gone does not keep the
// others from being told, and the nonce is for those who are.
func TestSomeRecipientsRefused(t *testing.T) {
	for code, gone := range map[int]string{550: "left@isp.example", 450: "full@isp.example"} {
		mta := newMTA(t)
		mta.rcptErr = func(to string) error {
			if to == gone {
				return answer(code)
			}
			return nil
		}
		ops := []string{gone, "ops@isp.example"}
		h := start(t, memory.New(), "mx1", Settings{Operator: ops, SMTP: mta.address})
		h.Notify(t.Context(), t0, blockOf(alice))
		h.settleAt(t, t0)
		got := mta.got()
		if len(got) != 1 || !slices.Equal(got[0].to, ops[1:]) {
			t.Fatalf("%d: got %+v", code, got)
		}
		wantParts(t, h.log.String(), "some of its recipients", gone)
		if nonce := open(t, got[0].text).header.Get(NoticeField); !h.Ours(nonce, ops[1:]) {
			t.Errorf("%d: our mail is not known", code)
		}
	}
}

// TestOneMayBeTakenLater: none is taken now, one of them for good.
func TestOneMayBeTakenLater(t *testing.T) {
	for _, codes := range [][]int{{550, 450}, {450, 550}} {
		mta := newMTA(t)
		mta.rcptErr = func(to string) error {
			if to == "a@isp.example" {
				return answer(codes[0])
			}
			return answer(codes[1])
		}
		h := start(t, memory.New(), "mx1", Settings{Operator: []string{"a@isp.example", "b@isp.example"}, SMTP: mta.address})
		h.Notify(t.Context(), t0, blockOf(alice))
		h.settleAt(t, t0)
		if len(h.left(t)) != 1 {
			t.Errorf("%v: it was given up", codes)
		}
	}
}
