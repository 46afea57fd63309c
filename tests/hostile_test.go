package tests

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"o2n-milter/tests/mta"
)

// hostileDir holds forged and odd messages of account domain client.fr, with what a strict identity policy says of each.
const hostileDir = "../../shared/hostile"

// hostile is one row of EXPECTED.tsv.
type hostile struct {
	name, verdict, reason string
	text                  []byte
}

// disagreements are rows on which the sending rules decide otherwise, with the reason.
var disagreements = map[string]struct{ verdict, reason string }{
	"71-reply-to-list": {"reject", "a Reply-To outside the account is refused unless every recipient is the account's own or it is listed in reply_to"},
	"73-sender-other":  {"reject", "identity.sender refuses a Sender outside the account"},
}

// readHostile skips loudly when the messages are not there.
func readHostile(t *testing.T) []hostile {
	t.Helper()
	table, err := os.ReadFile(filepath.Join(hostileDir, "EXPECTED.tsv"))
	if err != nil {
		t.Skipf("SKIPPED: the hostile messages are missing: %v", err)
	}
	var rows []hostile
	for line := range strings.Lines(string(table)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) != 3 || f[0] == "name" || strings.HasPrefix(line, "#") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(hostileDir, f[0]+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, hostile{name: f[0], verdict: f[1], reason: f[2], text: text})
	}
	if len(rows) < 100 {
		t.Fatalf("%d hostile messages, want over 100", len(rows))
	}
	return rows
}

// checkHostile compares a reply with the row.
func checkHostile(t *testing.T, h hostile, r mta.Reply) {
	t.Helper()
	want := h.verdict
	if d, ok := disagreements[h.name]; ok {
		want = d.verdict
	}
	rule := ""
	if m := ruleAtEnd.FindStringSubmatch(r.Text); m != nil {
		rule = m[1]
	}
	switch {
	case want == "reject" && (r.Code != 550 || r.Enhanced != "5.7.1" || !strings.HasPrefix(rule, "identity.")):
		t.Errorf("got %q, want 550 5.7.1 [identity.*]: %s", r, h.reason)
	case want != "reject" && r.Code != 250:
		t.Errorf("got %q, want 250 (%s): %s", r, h.verdict, h.reason)
	}
}

const (
	hostileLogin = "alice@client.fr"
	hostileTOML  = `
[account."alice@client.fr"]
addresses = ["alice@client.fr"]
domains = ["client.fr"]
[bulk]
unsubscribe = "off" # the table knows nothing of it
`
)

func TestHostileInprocess(t *testing.T) {
	rows := readHostile(t)
	d := newInprocess(t, hostileTOML)
	for _, h := range rows {
		t.Run(h.name, func(t *testing.T) {
			d.Login(t, hostileLogin)
			// The wire ends lines with CRLF, and so does the last one.
			text := append(bytes.TrimSuffix(h.text, []byte("\r\n")), "\r\n"...)
			checkHostile(t, h, d.Send(t, &Message{Sender: hostileLogin, Rcpts: []Rcpt{{Addr: "victim@example.net"}}, Text: text}))
			d.quit()
		})
	}
}
