//go:build mta

// Package week is an operator's first week with o2n-milter, told with a real Postfix:
// everything in shadow, stricter rules tried on the mail of the day, and the same mail
// under them. "go test -v" prints what he types and what he reads.
package week

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/tests/mta"
)

// accounts are those of the customers. Nobody has told us of bob's other domain.
const accounts = `
[account."` + alice + `"]
customer = "C-A"
plan = "careful"
domains = ["client-a.example"]
[account."` + info + `"]
customer = "C-A"
plan = "letters"
domains = ["client-a.example"]
[account."` + bob + `"]
customer = "C-B"
domains = ["client-b.example"]
[account."` + shop + `"]
customer = "C-B"
plan = "site"
addresses = ["` + shop + `"]
scripts = ["` + site + `"]
[account."` + claire + `"]
customer = "C-FR"
domains = ["client.fr"]
[account."` + relay + `"]
customer = "C-C"
plan = "server"
domains = ["client-c.example"]
ips = ["` + relayIP + `"]
`

// inShadow is what makes the first week the first week.
const inShadow = "[shadow]\nall = true\n"

// first is the configuration as the package brings it, with the customers' accounts.
func first(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../packaging/o2n-milter.toml")
	if err != nil {
		t.Fatal(err)
	}
	return edit(t, string(b), "#networks = []", `networks = ["198.51.100.0/24"]`, "#hosts = []", "hosts = [\""+mta.Host+"\"]") + accounts
}

// edit replaces text that is there once.
func edit(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if n := strings.Count(text, pairs[i]); n != 1 {
			t.Fatalf("%q stands there %d times; want once", pairs[i], n)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// stricter is what the operator would rather have: fewer at a time, no foreign names,
// room for the newsletter, alice and the web server slower, and bob's other address.
func stricter(t *testing.T) string {
	t.Helper()
	const limits = `[limit.burst]
subject = "account"
max = 1000
window = "3s"
plans = { careful = 3, site = 5 }

[limit.strangers]
subject = "account"
unit = "new_recipients"
max = 1000
window = "24h"
plans = { server = 1 }

`
	return edit(t, first(t), `#display_name = "shadow"`, `display_name = "reject"`, `#max_visible = 10`, `max_visible = 5`,
		"max = 10\nwindow = \"1m\"\n", "max = 5\nwindow = \"1m\"\n", "#plans = { pro = 60 }", "plans = { letters = 60, site = 60 }",
		"[limit.hour]\n", limits+"[limit.hour]\n", "\n[account.\""+bob+"\"]\n", "\n[account.\""+bob+"\"]\naddresses = [\"bob@bobs-shop.example\"]\n")
}

func TestFirstWeek(t *testing.T) {
	p := open(t, first(t), inShadow)
	letters := aDay()

	t.Log("== Monday. The rules as they are shipped, all in shadow: the day's mail comes, and all of it goes")
	p.o2n(t, 0, "configtest")
	monday := time.Now()
	p.monday(t, letters)
	is, _ := p.decided(t, monday, len(letters))
	p.boxes(t, letters)

	t.Log("== Whom would that have hit?")
	p.o2n(t, 0, "status", "--shadow")
	if diff := cmp.Diff(hit, p.shadowed(t)); diff != "" {
		t.Errorf("would have been hit (-want +got):\n%s", diff)
	}

	t.Log("== What is wrong with bob's shop? Its address is his, and nobody told us")
	p.o2n(t, 0, "history", "account:"+bob, "--found", "identity.header_from")
	var found struct{ Decisions []struct{ ID string } }
	if p.asked(t, &found, "history", "account:"+bob, "--found", "identity.header_from"); len(found.Decisions) != 3 {
		t.Fatalf("found in %d of his messages; want 3", len(found.Decisions))
	}
	out, _ := p.o2n(t, 0, "explain", found.Decisions[0].ID)
	wantText(t, out, "identity.header_from", "bob@bobs-shop.example", "(shadow: it stops nothing)")

	t.Log("== Stricter rules, with his address, and claire exempted from one of them, tried on Monday's decisions")
	p.o2n(t, 0, "exempt", "add", "account:"+claire, "--rule", "recipients.visible", "--for", "30d", "--reason", "the board has seven members")
	p.write(t, "new/stricter.toml", stricter(t))
	p.o2n(t, 0, "configtest", "new/stricter.toml")
	out, talk := p.o2n(t, 0, "replay", "--since", "1d", "--rules", "new/stricter.toml")
	wantText(t, out, "CHANGED FOR", "BLOCKED BY NEW RULES")
	wantText(t, talk, "a record has what rules found in the text, not the mail")
	counts, blocked := p.changed(t, "--since", "1d", "--rules", "new/stricter.toml")
	if diff := cmp.Diff(becomes, counts) + cmp.Diff(blocks, blocked); diff != "" {
		t.Errorf("changed, and blocked (-want +got):\n%s", diff)
	}
	said := p.replayed(t, "--since", "1d", "--rules", "new/stricter.toml")
	same(t, "Monday as it was, judged anew", is, p.replayed(t, "--since", "1d"))

	t.Log("== The same tried on the mail that the sink has kept, which knows neither logins nor exemptions")
	boxed := verdicts{}
	for _, name := range []string{"logins", byHand, relayIP, otherIP} {
		args := append([]string{"--rules", "new/stricter.toml"}, withBox(name)...)
		p.o2n(t, 0, append([]string{"replay"}, args...)...)
		for id, v := range p.replayed(t, args...) {
			boxed[id] = v
		}
	}

	t.Log("== Tuesday. The stricter rules in force, and the same mail once more")
	// The newsletter and the invitation are those of Monday: thirty people have had it.
	// The replay began with none, so must we; a new letter would.
	for _, customer := range []string{"C-A", "C-FR"} {
		p.o2n(t, 0, "reset", "customer:"+customer, "--reason", "Monday's letters, sent once more, are to be new ones")
	}
	p.write(t, "conf.d/1.toml", stricter(t))
	p.write(t, "conf.d/2.toml", "[shadow]\nall = false\n")
	p.o2n(t, 0, "configtest")
	p.reload(t)
	p.sink.Clear()
	tuesday := time.Now()
	replies := p.send(t, letters, nil)
	p.o2n(t, 0, "held", "list", "--all")
	is, ids := p.decided(t, tuesday, len(letters))
	same(t, "the replay of Monday's decisions, and Tuesday", said, is)
	same(t, "the replay of the sink's mail, as far as it can know, and Tuesday", boxed, inBox(letters, is))
	same(t, "Tuesday's decisions, judged anew by their own rules", is, p.replayed(t, "--since", tuesday.Format(time.RFC3339Nano)))
	p.checkReplies(t, letters, replies, is, ids)
	out, _ = p.o2n(t, 0, "block", "list")
	wantText(t, out, "5 messages refused as abuse", "3 messages refused as abuse")
	p.o2n(t, 0, "status")
}

// hit is whom the shipped rules would have hit on Monday, and in how many messages.
var hit = map[string]int{
	"identity.header_from account:" + bob:     3,
	"identity.header_from account:" + shop:    3,
	"identity.header_from account:" + mallory: 3,
	"identity.header_from ip:" + otherIP:      3,
	"identity.envelope_from account:" + relay: 1,
	"identity.display_name account:" + alice:  1,
	"recipients.visible account:" + claire:    1,
	"recipients.envelope account:" + claire:   1,
	"recipients.duplicate account:" + claire:  1,
	"limit.minute account:" + shop:            16, // of 26 orders
	"limit.minute account:" + info:            9,  // the 11th to the 19th reader
	"limit.minute account:" + claire:          11, // the 10th to the 19th guest, and the binder
	"bulk.unsubscribe account:" + info:        11, // the 20th to the 30th reader
	"bulk.unsubscribe account:" + claire:      3,  // the 20th to the 22nd guest
	// Two rules that are in shadow as they are shipped.
	"bulk.one_click account:" + info:   11,
	"bulk.one_click account:" + claire: 3,
	"bulk.reason account:" + info:      11,
	"bulk.reason account:" + claire:    3,
}

// becomes is what the stricter rules change: all else passes as before.
var becomes = map[string]int{
	"account:" + alice + ": tempfail limit.burst":          1, // the 4th letter of the morning
	"account:" + alice + ": reject identity.display_name":  1,
	"account:" + alice + ": reject recipients.visible":     1, // to seven
	"account:" + bob + ": tempfail limit.minute":           1, // his shop is his, so it counts: his 6th
	"account:" + claire + ": reject recipients.envelope":   1, // to fourteen
	"account:" + claire + ": reject recipients.duplicate":  1,
	"account:" + claire + ": tempfail limit.minute":        19, // behind the board and four guests; no campaign comes of it
	"account:" + info + ": reject bulk.unsubscribe":        5,  // the 20th to the 24th reader, each of whom strikes
	"account:" + info + ": reject block.active":            6,
	"account:" + shop + ": reject identity.header_from":    3,  // the form, which strikes; orders go on
	"account:" + shop + ": quarantine limit.burst":         21, // five in three seconds: the last one waits behind those that leave
	"account:" + relay + ": tempfail limit.strangers":      1,
	"account:" + relay + ": reject identity.envelope_from": 1,
	"account:" + mallory + ": reject identity.header_from": 3,
	"account:" + mallory + ": reject block.active":         2,
	"ip:" + otherIP + ": reject identity.header_from":      3,
	"ip:" + otherIP + ": reject block.active":              1,
}

// blocks are whom the stricter rules block.
var blocks = []string{"account:" + info, "account:" + mallory, "ip:" + otherIP, "script:" + site + "/form.php"}

// inBox is what the sink's mailboxes can know of what became of letters.
func inBox(letters []letter, is verdicts) verdicts {
	list := verdicts{}
	for _, l := range letters {
		id := "<" + l.id + ">"
		if list[id] = is[id]; l.boxed != "" {
			list[id] = l.boxed
		}
	}
	return list
}

// wantText wants each of these in what a command has printed.
func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in what it says", part)
		}
	}
}

// monday sends the day's mail, all of which arrives.
func (p *place) monday(t *testing.T, letters []letter) {
	t.Helper()
	arrived := 0
	for i, r := range p.send(t, letters, func(l letter) {
		arrived++
		mta.Poll(t, l.id+" arrives", func() bool { return len(p.sink.All()) == arrived })
	}) {
		if r.Code >= 400 {
			t.Errorf("%s got %v, though all is in shadow", letters[i].id, r)
		}
	}
	t.Logf("%d of %d letters have arrived", arrived, len(letters))
}

// checkReplies wants of each letter what its decision is: the server's reply, and that it
// arrives, sooner or later, or not at all.
func (p *place) checkReplies(t *testing.T, letters []letter, replies []mta.Reply, is verdicts, ids map[string]string) {
	t.Helper()
	codes := map[string]int{"tempfail": 451, "reject": 550}
	var pass []string
	held := 0
	for i, l := range letters {
		id := "<" + l.id + ">"
		action, rule, _ := strings.Cut(is[id], " ")
		switch action {
		case "quarantine":
			held++
			fallthrough
		case "accept":
			pass = append(pass, l.id)
		}
		r := replies[i]
		if code := codes[action]; code == 0 && r.Code >= 400 || code != 0 && (r.Code != code || !strings.HasSuffix(r.Text, "["+rule+" "+ids[id]+"]")) {
			t.Errorf("%s: %s, and the reply is %v", l.id, is[id], r)
		}
	}
	var arrived map[string]int
	mta.Poll(t, "all that passed, and all that was held, has arrived", func() bool {
		arrived = p.arrived(letters)
		return len(arrived) >= len(pass)
	})
	for _, id := range pass {
		if arrived[id] != 1 {
			t.Errorf("%s passed, and arrived %d times", id, arrived[id])
		}
	}
	if len(arrived) != len(pass) {
		t.Errorf("%d letters arrived; want the %d that passed or were held", len(arrived), len(pass))
	}
	t.Logf("%d letters arrived, %d of them were held for a while, %d were refused", len(pass), held, len(letters)-len(pass))
}

// arrived is how often each letter is at the sink. Reports of the server's are none.
func (p *place) arrived(letters []letter) map[string]int {
	n := map[string]int{}
	for _, d := range p.sink.All() {
		for _, l := range letters {
			if d.From == l.sender && strings.Contains(string(d.Data), "Message-ID: <"+l.id+">") {
				n[l.id]++
			}
		}
	}
	return n
}
