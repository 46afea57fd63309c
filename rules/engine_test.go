package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
	"o2n-milter/state"
)

func TestBlockActive(t *testing.T) {
	b := newBench(t, nil)
	block := state.Block{ID: "B1", Subject: "account:alice@client-a.example", Rule: "manual", Since: start, Until: start.Add(time.Hour), By: "root"}
	if err := b.store.AddBlock(context.Background(), block); err != nil {
		t.Fatal(err)
	}
	v := b.decide(t, with("From: boss@bank.example"))
	check(t, v, Reject, "block.active",
		"block.active: account:alice@client-a.example is blocked until 2026-11-23T11:00:00Z", "identity.header_from: boss@bank.example")
	if want := "550 5.7.1 Sending is blocked for this account, see https://help.example/sending-rules [block.active " + v.ID + "]"; v.Reply() != want {
		t.Errorf("got %s", v.Reply())
	}
	b.at = start.Add(time.Hour - 1)
	check(t, b.decide(t, mail()), Reject, "block.active")
	b.at = start.Add(time.Hour)
	check(t, b.decide(t, mail()), Accept, "none")
	b.at = start
	if _, err := b.store.LiftBlock(context.Background(), "B1", start, "root", ""); err != nil {
		t.Fatal(err)
	}
	check(t, b.decide(t, mail()), Accept, "none")
}

func TestBlocksOfEverySubject(t *testing.T) {
	for _, subject := range []string{"customer:C-1001", "ip:192.0.2.7", "domain:remote.example"} {
		b := newBench(t, nil)
		if err := b.store.AddBlock(context.Background(), state.Block{ID: "B1", Subject: subject, Since: start}); err != nil {
			t.Fatal(err)
		}
		check(t, b.decide(t, mail()), Reject, "block.active")
	}
	b := newBench(t, nil)
	script, err := ParseSubject("script:Cron@web1.example/Mailer.php")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.AddBlock(context.Background(), state.Block{ID: "B1", Subject: script, Since: start}); err != nil {
		t.Fatal(err)
	}
	check(t, b.decide(t, local("cron@web1.example", "From: x@web1.example")), Accept, "none")
	check(t, b.decide(t, local("cron@web1.example", "From: x@web1.example", "X-PHP-Originating-Script: 0:MAILER.php")), Reject, "block.active")
}

func TestActions(t *testing.T) {
	forged := with("From: boss@bank.example")
	for action, code := range map[Action]int{Off: 250, Shadow: 250, Tag: 250, Quarantine: 250, Tempfail: 451, Reject: 550} {
		b := newBench(t, func(s *Settings) { s.Actions["identity.header_from"] = action })
		v := b.decide(t, forged)
		want, rule := action, "identity.header_from"
		if action <= Shadow {
			want, rule = Accept, "none"
		}
		check(t, v, want, rule)
		if v.Code != code || len(v.Evidence) != map[bool]int{true: 0, false: 1}[action == Off] {
			t.Errorf("%s: code %d, evidence %q", action, v.Code, found(v))
		}
	}
}

func TestTooComplex(t *testing.T) {
	m := mail()
	m.Excess = []string{"more than 1 MiB of header"}
	v := newBench(t, nil).decide(t, m)
	check(t, v, Tempfail, "message.too_complex", "message.too_complex: more than 1 MiB of header")
	cut := with("Subject: the From field did not fit")
	cut.Excess = m.Excess
	check(t, newBench(t, nil).decide(t, cut), Tempfail, "message.too_complex", "message.too_complex: more than 1 MiB of header")
	odd := mail("Cc: " + strings.Repeat("bob@remote.example; ", 7000))
	check(t, newBench(t, nil).decide(t, odd), Tempfail, "message.too_complex", "message.too_complex: more than 128 KiB of addresses that are not plainly written")
	shadow := newBench(t, func(s *Settings) { s.Actions["message.too_complex"] = Shadow })
	author := with("From: " + strings.Repeat("alice@client-a.example; ", 6000))
	check(t, shadow.decide(t, author), Reject, "identity.malformed")
	check(t, shadow.decide(t, cut), Reject, "identity.malformed")
	if v.Code != 451 || v.Enhanced != "4.3.0" {
		t.Errorf("%s", v.Reply())
	}
}

// However much was found before, the evidence that decides is there.
func TestDecidingEvidenceIsKept(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.Actions["block.active"], s.MaxEnvelope = Shadow, 1000 })
	m := with("From: boss@bank.example")
	m.Recipients = nil
	for i := range 150 {
		d := fmt.Sprintf("d%d.example", i)
		m.Recipients = append(m.Recipients, Recipient{Address: "x@" + d})
		if err := b.store.AddBlock(context.Background(), state.Block{ID: d, Subject: "domain:" + d, Since: start}); err != nil {
			t.Fatal(err)
		}
	}
	v := b.decide(t, m)
	check(t, v, Reject, "identity.header_from")
	if last := v.Evidence[len(v.Evidence)-1]; len(v.Evidence) != mostRecorded+1 || last.Rule != "identity.header_from" {
		t.Errorf("%d pieces, the last is %s", len(v.Evidence), last.Rule)
	}
}

// An MTA that offers no quarantine gets the next best.
func TestNoQuarantineOffered(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.Actions["recipients.envelope"] = Quarantine })
	m := mail()
	m.CanHold, m.Recipients = false, rcpts(many(11, "x.example")...)
	v := b.decide(t, m)
	check(t, v, Tempfail, "recipients.envelope")
	if v.Code != 451 || v.Enhanced != "4.5.3" {
		t.Errorf("%s", v.Reply())
	}
	script := local("cron@web1.example", "From: root@web1.example")
	script.CanHold, script.Recipients = false, m.Recipients
	check(t, b.decide(t, script), Tempfail, "recipients.envelope")
}

func TestEveryRuleNeedsAnAction(t *testing.T) {
	for id := range defaults().Actions {
		set := defaults()
		delete(set.Actions, id)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s may be left out", id)
				}
			}()
			New(set, nil, nil, nil)
		}()
	}
}

func TestPanicked(t *testing.T) {
	v := Panicked(mail(), start, errors.New("no judge"))
	check(t, v, Tempfail, "internal.panic")
	if v.Reply() != "451 4.3.0 Internal error, please try again later. [internal.panic "+v.ID+"]" || v.Err == nil || !v.Judged {
		t.Errorf("%s, %v", v.Reply(), v.Err)
	}
	check(t, Panicked(local(""), start, nil), Quarantine, "internal.panic")
}

func TestStrongestActionDecides(t *testing.T) {
	b := newBench(t, func(s *Settings) {
		s.Actions["identity.header_from"] = Tempfail
		s.Actions["recipients.envelope"] = Reject
	})
	m := with("From: boss@bank.example")
	m.Recipients = rcpts(many(11, "x.example")...)
	check(t, b.decide(t, m), Reject, "recipients.envelope")
	b.turn("recipients.envelope", Tempfail)
	v := b.decide(t, m)
	check(t, v, Tempfail, "identity.header_from")
	if v.Code != 451 || v.Enhanced != "4.7.1" {
		t.Errorf("%s", v.Reply())
	}
}

// panicking is an account source with a fault of our own.
type panicking struct{ accounts.Source }

func TestPanicIsAVerdict(t *testing.T) {
	b := newBench(t, nil)
	b.accounts = panicking{} // a nil Source: every call panics
	v := b.Decide(context.Background(), mail())
	check(t, v, Tempfail, "internal.panic")
	if v.Code != 451 || v.Enhanced != "4.3.0" || v.Err == nil || !strings.Contains(v.Err.Error(), "submitter.go") {
		t.Errorf("%s, error %v", v.Reply(), v.Err)
	}
	check(t, b.Decide(context.Background(), local("x@web1.example")), Quarantine, "internal.panic")
}

// panickingStore panics in these calls.
type panickingStore struct {
	state.Store
	record, docs bool
}

func (s panickingStore) Record(ctx context.Context, d state.Decision) error {
	if s.record {
		panic("of ours")
	}
	return s.Store.Record(ctx, d)
}

func (s panickingStore) DocsOf(ctx context.Context, kind string, subjects []string) ([]state.Doc, error) {
	if s.docs {
		panic("of ours")
	}
	return s.Store.DocsOf(ctx, kind, subjects)
}

// What is charged, and whom it blocks, is told though the record of it panics.
func TestVerdictStandsWithoutItsRecord(t *testing.T) {
	b := newBench(t, func(s *Settings) {
		limits(perMinute(10, Tempfail))(s)
		blocking(s)
		s.Blocking.Strikes = 2
	})
	b.Engine.store = panickingStore{Store: b.store, record: true}
	for _, rule := range []string{"none", "identity.header_from"} { // which blocks
		m := mail()
		if rule != "none" {
			m = with("From: boss@bank.example")
		}
		v := b.Decide(t.Context(), m)
		if v.Rule != rule || v.Err == nil || !strings.Contains(v.Err.Error(), "of ours") {
			t.Errorf("%s %s, error %v; want %s", v.Action, v.Rule, v.Err, rule)
		}
		if rule != "none" && len(v.Blocked) != 1 {
			t.Errorf("blocked %v", v.Blocked)
		}
	}
}

func TestDecisionIsRecorded(t *testing.T) {
	b := newBench(t, limits(perMinute(10, Tempfail)))
	m := with("From: boss@bank.example", "Subject: =?utf-8?q?R=C3=A9union?=", "Message-ID: <1@client-a.example>")
	m.ClientName = "home.example"
	v := b.decide(t, m)
	d, err := b.store.Decision(context.Background(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	var detail Detail
	if err := json.Unmarshal(d.Detail, &detail); err != nil {
		t.Fatal(err)
	}
	d.Detail = nil
	want := state.Decision{ID: v.ID, At: start, Action: "reject", Rule: "identity.header_from", Account: "alice@client-a.example",
		Client: "192.0.2.7", From: "alice@client-a.example", Rcpts: 1, Subjects: v.Subjects, To: []string{"bob@remote.example"}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	wantDetail := Detail{
		Reply: v.Reply(), QueueID: "Q1", ClientName: "home.example", Login: "alice@client-a.example", Host: "mx.example", Authors: []string{"boss@bank.example"},
		MessageID: "<1@client-a.example>", Subject: "Réunion", Size: 1000,
		Evidence: v.Evidence, Charges: []Charge{{"minute", "account:alice@client-a.example", Messages, 1}},
	}
	if diff := cmp.Diff(wantDetail, detail); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
	null := mail()
	null.Sender = ""
	v = b.decide(t, null)
	if d, err := b.store.Decision(context.Background(), v.ID); err != nil || d.From != "" {
		t.Errorf("the null sender is recorded as %q, %v", d.From, err)
	}
	inbound := mail()
	inbound.Login = ""
	v = b.decide(t, inbound)
	if _, err := b.store.Decision(context.Background(), v.ID); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("inbound mail is recorded: %v", err)
	}
}

var replyForm = regexp.MustCompile(`^[45]\d\d [45]\.\d\.\d [ -~]+ \[[a-z_]+\.[a-z_]+ [0-9A-Z]{8}\]$`)

func TestEveryReply(t *testing.T) {
	long := "https://" + strings.Repeat("h", 108) + ".fr/" // the longest that configuration allows
	for _, language := range []string{"en", "fr", "en+fr"} {
		b := newBench(t, func(s *Settings) { s.Language, s.HelpURL = language, long })
		for id, r := range replies {
			p := params{max: 1 << 62, window: 366 * 24 * time.Hour, seconds: 1 << 40, unit: Messages}
			rule := id
			if strings.HasPrefix(id, "limit.") {
				rule, p.unit, p.alone = "limit.minute", Unit(strings.TrimPrefix(id, "limit.")), id == "limit.alone"
			}
			for _, action := range []Action{Tempfail, Reject} {
				code, enhanced, text := b.reply(action, rule, "7K3QF2M9", p)
				v := Verdict{Code: code, Enhanced: enhanced, Text: text}
				got := v.Reply()
				if len(got) > mostReply || !replyForm.MatchString(got) || strings.Contains(got, "{") || !strings.HasSuffix(enhanced, "."+r.detail) {
					t.Errorf("%s %s %s: %d octets: %s", language, rule, action, len(got), got)
				}
				if code/100 != int(enhanced[0]-'0') {
					t.Errorf("%s: classes differ: %s", id, got)
				}
			}
		}
	}
}

func TestEveryRuleHasAReply(t *testing.T) {
	for _, r := range ruleOrder {
		if _, ok := replies[r.id]; !ok {
			t.Errorf("%s has no reply", r.id)
		}
	}
	for id := range defaults().Actions {
		if _, ok := replies[id]; !ok {
			t.Errorf("%s has no reply", id)
		}
	}
}

func TestReplyLanguages(t *testing.T) {
	for language, want := range map[string]string{
		"en":    "The recipient list holds duplicates, please remove them.",
		"fr":    "La liste de destinataires contient des doublons, retirez-les.",
		"en+fr": "The recipient list holds duplicates, please remove them. / La liste de destinataires contient des doublons, retirez-les.",
	} {
		b := newBench(t, func(s *Settings) { s.Language, s.HelpURL = language, "" })
		if _, _, text := b.reply(Reject, "recipients.duplicate", "7K3QF2M9", params{}); text != want+" [recipients.duplicate 7K3QF2M9]" {
			t.Errorf("%s: %s", language, text)
		}
	}
	if got := plainASCII("Vérifiez l'en-tête, ça déjà œ"); got != "Verifiez l'en-tete, ca deja ?" {
		t.Errorf("got %q", got)
	}
}

func TestNewIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 10000 {
		id := NewID()
		if len(id) != 8 || seen[id] || strings.ContainsAny(id, "ILOU") {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}
