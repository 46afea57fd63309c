package notify

import (
	"slices"
	"strings"
	"testing"

	"o2n-milter/state/memory"
)

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
