package desk

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// holders are everybody in newDesk's table, and somebody whom no source knows.
var holders = []string{aliceLogin, "bob@client-a.example", "carol@client-c.example", "dave@client-d.example", "eve@elsewhere.example"}

// blockedSubjects are all that could be shown to the wrong one, with who may see it.
var blockedSubjects = map[string][]string{
	"account:" + aliceLogin:                {aliceLogin},
	"account:bob@client-a.example":         {"bob@client-a.example"},
	"account:carol@client-c.example":       {"carol@client-c.example"},
	"account:dave@client-d.example":        {"dave@client-d.example"},
	"account:eve@elsewhere.example":        {"eve@elsewhere.example"},
	"customer:C-1":                         {aliceLogin, "bob@client-a.example"},
	"customer:C-2":                         {"carol@client-c.example"},
	"customer:c-1":                         {},
	"script:www-a@web1.example":            {aliceLogin},
	"script:www-a@web1.example/mailer.php": {aliceLogin},
	"script:www-c@web1.example/x/y.php":    {"carol@client-c.example"},
	"script:www-a@web1.example.org":        {},
	"script:ww":                            {},
	"ip:192.0.2.7":                         {},
	"host:web1.example":                    {},
	"domain:client-a.example":              {},
}

// Over all pairs of account and subject: who may not see a block neither sees nor
// asks for nor lifts it, and learns no id of its requests and decisions.
func TestNobodySeesAnothers(t *testing.T) {
	f := newDesk(t)
	f.judge.set.SelfUnblock = 1000
	requests := map[string]string{} // subject to request
	for subject, owners := range blockedSubjects {
		id := blockID(subject)
		dec := state.Decision{ID: "D" + id, At: start, Action: "reject", Rule: "identity.header_from", Subjects: []string{subject}}
		dec.Detail, _ = json.Marshal(rules.Detail{Subject: "secret of " + subject})
		b := f.automatic(t, id, subject, func(b *state.Block) {
			b.Decisions = []string{dec.ID}
			b.Evidence, _ = json.Marshal([]rules.Evidence{{Fact: "From", Got: "secret of " + subject}})
		})
		if len(owners) > 0 {
			b.Account, dec.Account = owners[0], owners[0]
			requests[subject] = f.ask(t, owners[0], id).ID
		}
		if err := f.Store.Record(t.Context(), dec); err != nil {
			t.Fatal(err)
		}
	}
	for subject, owners := range blockedSubjects {
		for _, account := range holders {
			f.mayOnly(t, account, subject, owners, requests[subject])
		}
	}
}

func blockID(subject string) string {
	return "B" + strings.NewReplacer("/", "-", ":", "-").Replace(subject)
}

// mayOnly checks one pair.
func (f *fixture) mayOnly(t *testing.T, account, subject string, owners []string, request string) {
	t.Helper()
	id := blockID(subject)
	owner, first := slices.Contains(owners, account), len(owners) > 0 && owners[0] == account
	v, err := f.Customer(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if sees := strings.Contains(string(raw), fmt.Sprintf("%q", id)); sees != owner {
		t.Errorf("%s sees %s: %v, want %v", account, id, sees, owner)
	}
	// What a customer's block was made of is another account's mail.
	for _, part := range []string{`"D` + id + `"`, request} {
		if sees := strings.Contains(string(raw), part); len(owners) > 0 && sees != first {
			t.Errorf("%s sees %s of %s: %v, want %v", account, part, subject, sees, first)
		}
	}
	if strings.Contains(string(raw), `"secret of `+subject+`"`) && !first {
		t.Errorf("%s reads the evidence of %s", account, subject)
	}
	before := f.everything(t)
	for _, self := range []bool{false, true} {
		_, err := f.Ask(t.Context(), alice, AskUnblock{Account: account, Scope: ScopeFull, Block: id, Happened: "x", Self: self && !owner})
		if owner {
			wants(t, err, ErrConflict, "open already")
		} else {
			wants(t, err, ErrNotFound, "no block")
		}
	}
	if f.everything(t) != before {
		t.Errorf("%s changed something about %s", account, subject)
	}
}

// An account's mail may be stopped by another's block: it is not told whose.
func TestAnothersBlockInEvidence(t *testing.T) {
	f := newDesk(t)
	f.automatic(t, "BBOB", "account:bob@client-a.example")
	own := f.automatic(t, "BOWN", "account:"+aliceLogin)
	detail, err := json.Marshal(rules.Detail{Evidence: []rules.Evidence{
		{Rule: "block.active", Fact: "block BBOB", Got: "account:bob@client-a.example is blocked"},
		{Rule: "block.active", Fact: "block " + own.ID, Got: "account:alice is blocked"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	dec := state.Decision{ID: "D1", At: start, Action: "reject", Rule: "block.active", Account: aliceLogin, Subjects: []string{"account:" + aliceLogin}, Detail: detail}
	if err := f.Store.Record(t.Context(), dec); err != nil {
		t.Fatal(err)
	}
	v, err := f.Customer(t.Context(), aliceLogin)
	if err != nil || len(v.Seen) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	ev := v.Seen[0].Evidence
	if ev[0].Fact != "block" || strings.Contains(ev[0].Got, "bob") || ev[1].Fact != "block BOWN" {
		t.Errorf("%+v", ev)
	}
}

func TestCustomer(t *testing.T) {
	f := newDesk(t)
	f.judge.windows["account:"+aliceLogin] = []rules.Window{{Limit: "minute", Used: 3, Max: 10}}
	f.judge.windows["customer:C-1"] = []rules.Window{{Limit: "day", Used: 7, Max: 90}}
	f.now = start.Add(-48 * time.Hour)
	was := f.block(t, "account:"+aliceLogin)
	f.now = start.Add(-time.Hour)
	first := f.automatic(t, "B1", "account:"+aliceLogin)
	f.now = start
	f.automatic(t, "B2", "customer:C-1", func(b *state.Block) { b.LiftedBy = "" })
	r := f.ask(t, aliceLogin, first.ID)
	if _, err := f.Deny(t.Context(), root, AnswerRequest{Request: r.ID, Text: "not yet"}); err != nil {
		t.Fatal(err)
	}
	v, err := f.Customer(t.Context(), strings.ToUpper(aliceLogin))
	if err != nil {
		t.Fatal(err)
	}
	if v.Account != aliceLogin || len(v.Blocks) != 2 || v.Blocks[0].ID != "B1" || v.Blocks[1].ID != "B2" || len(v.Earlier) != 1 || v.Earlier[0].ID != was.ID {
		t.Errorf("%+v", v)
	}
	if b := v.Blocks[0]; b.Request == nil || b.Request.Answer != "not yet" || b.Request.AnsweredBy != "" || !b.CanSelf || b.SelfLeft != 2 || b.By != "" {
		t.Errorf("%+v", b)
	}
	if v.Blocks[1].CanSelf || v.Blocks[1].Request != nil {
		t.Errorf("%+v", v.Blocks[1])
	}
	want := []UsageWindow{{Limit: "minute", Subject: "account:" + aliceLogin, Used: 3, Max: 10}, {Limit: "day", Subject: "customer:C-1", Used: 7, Max: 90}}
	if !slices.Equal(v.Limits, want) {
		t.Errorf("%+v", v.Limits)
	}
	if _, err := f.Customer(t.Context(), ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("no account: %v", err)
	}
	f.judge.err = errors.New("away")
	_, err = f.Customer(t.Context(), aliceLogin)
	wants(t, err, f.judge.err, "away")
}
