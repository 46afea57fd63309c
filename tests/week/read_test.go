//go:build mta

package week

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/tests/mta"
)

// shadowed is "status --shadow --json", as RULE SUBJECT -> messages.
func (p *place) shadowed(t *testing.T) map[string]int {
	t.Helper()
	var status struct {
		Shadow []struct {
			Rule, Subject string
			Count         int
		}
	}
	p.asked(t, &status, "status", "--shadow")
	counts := map[string]int{}
	for _, s := range status.Shadow {
		counts[s.Rule+" "+s.Subject] = s.Count
	}
	return counts
}

// changed is what a replay says of the new rules, as SUBJECT: ACTION RULE -> messages,
// and whom they block.
func (p *place) changed(t *testing.T, args ...string) (counts map[string]int, blocked []string) {
	t.Helper()
	var res struct {
		Messages int
		Changed  []struct {
			Subject, From, To string
			ToAction          string `json:"to_action"`
			Count             int
		}
		NewBlocks []struct{ Subject string } `json:"new_blocks"`
	}
	p.asked(t, &res, append([]string{"replay"}, args...)...)
	counts = map[string]int{}
	for _, c := range res.Changed {
		if c.From != "none" {
			t.Errorf("%+v; want all to have passed", c)
		}
		counts[c.Subject+": "+c.ToAction+" "+c.To] = c.Count
	}
	for _, b := range res.NewBlocks {
		blocked = append(blocked, b.Subject)
	}
	slices.Sort(blocked) // they are told by the second, several come in one
	return counts, blocked
}

// verdicts are ACTION RULE by Message-ID.
type verdicts map[string]string

// replayed is what a replay says of each message; by the new rules, if there are any.
func (p *place) replayed(t *testing.T, args ...string) verdicts {
	t.Helper()
	out, _ := p.quietly(t, 0, append([]string{"replay", "--each", "--json"}, args...)...)
	said := verdicts{}
	for line := range strings.Lines(out) {
		var j struct {
			MessageID string `json:"message_id"`
			Action    string
			Rule      string
			NewAction string `json:"new_action"`
			NewRule   string `json:"new_rule"`
		}
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if j.NewAction != "" {
			j.Action, j.Rule = j.NewAction, j.NewRule
		}
		if said[j.MessageID] != "" {
			t.Errorf("%s is there twice", j.MessageID)
		}
		said[j.MessageID] = j.Action + " " + j.Rule
	}
	return said
}

// decided is what the daemon has decided since then on each of n messages: by history
// and explain. ids are those of the decisions.
func (p *place) decided(t *testing.T, since time.Time, n int) (is verdicts, ids map[string]string) {
	t.Helper()
	var list struct {
		Decisions []struct{ ID, Action, Rule string }
	}
	mta.Poll(t, "all decisions are kept", func() bool {
		p.asked(t, &list, "history", "--since", since.Format(time.RFC3339Nano), "--limit", "10000")
		return len(list.Decisions) >= n
	})
	is, ids = verdicts{}, map[string]string{}
	for _, d := range list.Decisions {
		var e struct {
			Facts struct {
				MessageID string `json:"message_id"`
			}
		}
		p.asked(t, &e, "explain", d.ID)
		is[e.Facts.MessageID], ids[e.Facts.MessageID] = d.Action+" "+d.Rule, d.ID
	}
	if len(is) != n || len(list.Decisions) != n {
		t.Fatalf("%d decisions on %d messages; want %d", len(list.Decisions), len(is), n)
	}
	return is, ids
}

// same wants no difference, not one.
func same(t *testing.T, what string, want, got verdicts) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
	t.Logf("%s: %d of %d messages alike", what, alike(want, got), len(want))
}

func alike(a, b verdicts) int {
	n := 0
	for id, v := range a {
		if b[id] == v {
			n++
		}
	}
	return n
}

// boxes keeps what the sink got in a mailbox for each kind of door, as an archive would:
// logins.mbox, sendmail.mbox and one for each client.
func (p *place) boxes(t *testing.T, letters []letter) {
	t.Helper()
	got := p.sink.All()
	files := map[string]*bytes.Buffer{}
	for i, l := range letters { // they came one after the other
		name := box(l)
		if files[name] == nil {
			files[name] = &bytes.Buffer{}
		}
		d := got[i]
		if !bytes.Contains(d.Data, []byte("Message-ID: <"+l.id+">")) {
			t.Fatalf("%s is not the letter number %d at the sink:\n%s", l.id, i+1, d.Data)
		}
		fmt.Fprintf(files[name], "From %s %s\nReturn-Path: <%s>\n", d.From, d.At.UTC().Format(time.ANSIC), d.From)
		for line := range bytes.Lines(bytes.ReplaceAll(d.Data, []byte("\r\n"), []byte("\n"))) {
			if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) { // mboxrd
				files[name].WriteByte('>')
			}
			files[name].Write(line)
		}
		files[name].WriteByte('\n')
	}
	for name, content := range files {
		p.write(t, filepath.Join("sink", name+".mbox"), content.String())
	}
}

// box is the mailbox that a letter is in, and withBox how to replay it.
func box(l letter) string {
	if l.door != byHand && strings.Contains(l.door, "@") {
		return "logins"
	}
	return l.door
}

func withBox(name string) []string {
	args := []string{filepath.Join("sink", name+".mbox")}
	switch name {
	case "logins":
		return args // the Return-Path is taken for the login
	case byHand:
		return append(args, "--login", "", "--client", "127.0.0.1")
	}
	return append(args, "--login", "", "--client", name)
}
