package customer

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

func TestEveryRuleHasWords(t *testing.T) {
	for _, id := range append(rules.IDs(), "manual") {
		for _, part := range []string{".name", ".what", ".fix"} {
			if !words.Has("rule." + id + part) {
				t.Errorf("no text rule.%s%s in en.go and fr.go", id, part)
			}
		}
	}
}

// TestEveryTextIsUsed: a key stands in a page or in the code, or a computed one begins so.
func TestEveryTextIsUsed(t *testing.T) {
	computed := regexp.MustCompile(`^(rule|subject|action|unit|self|volume|earlier|request|error|got|want|reason|held\.(more|to))\.`)
	var all strings.Builder
	for _, name := range []string{"page.html", "block.html", "held.html", "held.go", "customer.go", "ask.go", "sheet.go", "evidence.go"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(source)
	}
	for key := range english {
		if !strings.Contains(all.String(), `"`+key+`"`) && !computed.MatchString(key) {
			t.Errorf("nobody uses %q", key)
		}
	}
}

// TestPage: what must be there in each state and what must not, in English and French.
func TestPage(t *testing.T) {
	tests := []struct {
		name    string
		set     func(*world)
		account string // alice where empty
		scope   desk.Scope
		want    []string
		wantFR  []string
		not     []string
	}{
		{
			name: "nothing ever", scope: desk.ScopeFull,
			want: []string{
				"Sending status", "You can send mail", "Account: alice@client-a.example", "Messages", "0 of 10 used within 1 minute",
				"There is room now", "Recipients", "0 of 2,000 used within 1 day",
				"No message of yours was refused lately", "There were none",
			},
			wantFR: []string{"Vous pouvez envoyer du courrier", "0 sur 10 en 1 minute", "0 sur 2 000 en 1 jour", "Il n’y en a pas eu"},
			not:    []string{"Sending is blocked", "Ask for unblocking"},
		},
		{
			name: "an automatic block", scope: desk.ScopeFull,
			set: func(w *world) { w.block("B1AAAAAA", "account:"+alice, alice, w.forge(alice, "Your invoice")) },
			want: []string{
				"Sending is blocked", "ends by itself on 23 Nov 2026, 16:00 UTC (in 4 hours)", "Sending rule: Your own From address",
				"The From address must be yours", "this account", "Your invoice", "boss@bank.example", "How to fix it",
				"Enter your own address as the sender", "More about this rule", "Ask for unblocking", "What happened?",
				"What have you done about it?", "Has the password", "Unblock me now", "You can do this 2 more times within 30 days.",
				"Send the request", "B1AAAAAA", "0 messages accepted and 1 refused",
			},
			wantFR: []string{
				"L’envoi est bloqué", "le 23 nov. 2026, 16:00 UTC (dans 4 heures)", "Règle d’envoi : Votre propre adresse From", "Your invoice",
				"Que s’est-il passé ?", "Me débloquer maintenant", "Vous pouvez le faire encore 2 fois en 30 jours.",
			},
			not: []string{"You can send mail"},
		},
		{
			name: "the link of an SMTP reply", scope: desk.ScopeReply,
			set:  func(w *world) { w.block("B1AAAAAA", "account:"+alice, alice) },
			want: []string{"Send the request", "If you open this page from your customer area, you can unblock yourself at once.", "not kept any more"},
			not:  []string{"Unblock me now"},
		},
		{
			name: "an operator's block", scope: desk.ScopeFull,
			set: func(w *world) {
				w.blockByHand("account:"+alice, "manual", "Complaints about your newsletter.\nPlease call us.")
			},
			want: []string{
				"Blocked by your provider", "stays until your provider ends it", "When your provider ends it",
				"Complaints about your newsletter. Please call us.", "Send the request",
			},
			not: []string{"Unblock me now", "olivia", "More about this rule", "What was seen"},
		},
		{
			name: "two blocks, the later end counts", scope: desk.ScopeFull,
			set: func(w *world) {
				w.blockByHand("account:"+alice, "1h", "first")
				w.blockByHand("customer:C-1001", "2h", "second")
			},
			want: []string{"ends by itself on 23 Nov 2026, 14:00 UTC", "all accounts of your contract", "first", "second"},
		},
		{
			name: "a block of a program, by its name", scope: desk.ScopeFull,
			set: func(w *world) {
				w.block("B1AAAAAA", "script:www-data@web1.example/wp-mailer.php", alice)
			},
			want:   []string{"a program on your web space ( wp-mailer.php )"},
			wantFR: []string{"un programme de votre hébergement ( wp-mailer.php )"},
		},
		{
			name: "a block of the contract, seen by another account", account: amy, scope: desk.ScopeFull,
			set: func(w *world) {
				w.block("B1AAAAAA", "customer:C-1001", alice, w.forge(alice, "Alice's own mail"))
			},
			want: []string{"Sending is blocked", "all accounts of your contract"},
			not:  []string{"Alice's own mail", "boss@bank.example", "Unblock me now"},
		},
		{
			name: "a limit that is full", scope: desk.ScopeFull,
			set: func(w *world) {
				for range 11 {
					w.send(alice, 1, "From: "+alice, "Subject: Hello")
				}
			},
			want: []string{
				"You can send mail", "10 of 10 used within 1 minute", "Next free place: 23 Nov 2026, 12:01 UTC", "to be sent again later",
				"Sending limit. Found: Messages: 10 used, and this message wanted 1 more (allowed: at most 10 in 1 minute)",
				"10 messages accepted and 1 refused", "(shared by all accounts of your contract)", "40,000 of 1,000,000 used within 1 hour",
			},
			wantFR: []string{"Limite d’envoi. Constaté : Messages : 10 déjà comptés, et ce message en demandait 1 de plus (autorisé : 10 au plus en 1 minute)"},
		},
		{
			name: "everything that rules write", scope: desk.ScopeFull,
			set: func(w *world) {
				w.send(alice, 6, "From: "+alice, "From: "+alice, "To: a@x.example, b@x.example, c@x.example, d@x.example, a@x.example, b@x.example", "Subject: Many")
				w.send(alice, 1, "From: nobody", "Subject: No address")
				w.send(alice, 2500, "From: "+alice, "Subject: Far too many")
			},
			want: []string{
				"2 From fields", "One clear sender. Found: no address", "(allowed: at most 3)", "(allowed: at most 5)", "Nobody twice", "Few recipients for one message. Found: 6 (allowed: at most 5)",
			},
			wantFR: []string{"2 champs From", "aucune adresse", "(autorisé : 3 au plus)"},
			not:    []string{"exactly one From field"},
		},
		{
			name: "an earlier block", scope: desk.ScopeFull,
			set: func(w *world) {
				w.block("B1AAAAAA", "account:"+alice, alice)
				w.now = noon.Add(4 * time.Hour)
				b := w.blockByHand("account:"+alice, "4h", "by mistake")
				_, err := w.desk.LiftBlock(w.Context(), operator, desk.LiftBlock{Block: b.ID, Reason: "an inner note"})
				w.must(err)
			},
			want:   []string{"You can send mail", "B1AAAAAA", "its time was over", "Blocked by your provider", "ended early"},
			wantFR: []string{"expiré", "levé avant terme"},
			not:    []string{"olivia", "an inner note"},
		},
		{
			name: "an account that nobody knows", account: "stranger@elsewhere.example", scope: desk.ScopeFull,
			want: []string{"You can send mail", "stranger@elsewhere.example", "No limit applies"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			if test.set != nil {
				test.set(w)
			}
			if test.account == "" {
				test.account = alice
			}
			link := w.scoped(test.account, test.scope)
			en, fr := seen(t, w.get(link)), seen(t, w.get(link, "Accept-Language", "fr"))
			check := func(page string, want, not []string) {
				t.Helper()
				for _, s := range want {
					if !strings.Contains(page, fold(s)) {
						t.Errorf("the page lacks %q", s)
					}
				}
				for _, s := range not {
					if strings.Contains(page, fold(s)) {
						t.Errorf("the page holds %q", s)
					}
				}
				if t.Failed() {
					t.Fatal(page)
				}
			}
			check(en, test.want, test.not)
			check(fr, test.wantFR, nil)
			for _, english := range []string{"at most", " used", "no address", "From fields", "recipients"} {
				if strings.Contains(fr, english) {
					t.Errorf("the French page holds %q: %s", english, fr)
				}
			}
			if strings.Contains(en+fr, "[U+") || strings.Contains(en+fr, "%!") {
				t.Errorf("raw: %s", en+fr)
			}
		})
	}
}

// fold makes blanks of one kind, as text does.
func fold(s string) string { return strings.Join(strings.Fields(s), " ") }

// TestBlockOfTheRules shows what rules make of three forged messages.
func TestBlockOfTheRules(t *testing.T) {
	w := newWorld(t, func(s *rules.Settings) {
		s.Blocking = rules.Blocking{
			Automatic: rules.Reject, Strikes: 5, Within: time.Hour, Durations: []time.Duration{time.Hour}, Remember: 24 * time.Hour,
			MaxPerHour: 10, MaxShare: 100, CustomerAfter: 9, IPAfter: 9,
		}
	})
	for _, subject := range []string{"first", "second", "third", "fourth"} {
		w.forge(alice, subject)
	}
	en, fr := seen(t, w.get(w.link(alice))), seen(t, w.get(w.link(alice), "Accept-Language", "fr"))
	for _, want := range []string{
		"Sending is blocked", "on 23 Nov 2026, 13:00 UTC", "Too many of your messages had to be refused within 1 hour.", "Unblock me now",
		"first", "second", "third", "No sending while blocked",
	} {
		if !strings.Contains(en, want) {
			t.Errorf("the page lacks %q: %s", want, en)
		}
	}
	if strings.Contains(en+fr, "strikes") || !strings.Contains(fr, "Trop de vos messages ont dû être refusés en 1 heure.") {
		t.Error(fr)
	}
}

func TestHelpLinks(t *testing.T) {
	for _, test := range []struct{ help, id, want string }{
		{"https://help.example/rules", "identity.header_from", "https://help.example/rules#identity.header_from"},
		{"https://help.example/rules#top", "limit.minute", "https://help.example/rules#limit.minute"},
		{"https://help.example/?a=b", "block.active", "https://help.example/?a=b#block.active"},
		{"", "block.active", ""},
		{"https://help.example/rules", "manual", ""},
	} {
		if got := helpFor(test.help, test.id); got != test.want {
			t.Errorf("%s %s: %q; want %q", test.help, test.id, got, test.want)
		}
	}
}

func TestAnswersStayAfterTheBlock(t *testing.T) {
	w := newWorld(t)
	w.blockByHand("account:"+alice, "4h", "why")
	const todo, done = "then ask for unblocking", "You have asked for unblocking"
	if page := seen(t, w.get(w.link(alice))); !strings.Contains(page, todo) || strings.Contains(page, done) {
		t.Error(page)
	}
	w.ask(w.link(alice))
	page := seen(t, w.get(w.link(alice)))
	if !strings.Contains(page, "Waiting for an answer") || strings.Contains(page, "Send the request") || strings.Contains(page, todo) || !strings.Contains(page, done) {
		t.Error(page)
	}
	_, err := w.desk.Approve(w.Context(), operator, desk.AnswerRequest{Request: w.requests()[0].ID, Text: "Please be careful."})
	w.must(err)
	for _, test := range []struct {
		account string
		after   time.Duration
		want    bool
	}{{alice, 0, true}, {amy, 0, false}, {bob, 0, false}, {alice, 30*24*time.Hour - time.Second, true}, {alice, 30 * 24 * time.Hour, false}} {
		w.now = noon.Add(test.after)
		page := seen(t, w.get(w.link(test.account)))
		if has := strings.Contains(page, "Please be careful."); has != test.want || strings.Contains(page, "olivia") {
			t.Errorf("%s after %v: %v; %s", test.account, test.after, has, page)
		}
	}
}

func TestDeniedMayAskAgain(t *testing.T) {
	w := newWorld(t)
	w.blockByHand("account:"+alice, "manual", "why")
	w.ask(w.link(alice))
	_, err := w.desk.Deny(w.Context(), operator, desk.AnswerRequest{Request: w.requests()[0].ID, Text: "The form is still open."})
	w.must(err)
	page := seen(t, w.get(w.link(alice)))
	for _, want := range []string{"Not granted", "The form is still open.", "Send the request", "My website was hacked."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q: %s", want, page)
		}
	}
}

func TestShadowIsNotHeldAgainstAnybody(t *testing.T) {
	found := findings(page.English, []rules.Evidence{
		{Rule: "identity.display_name", Got: "x", Shadow: true}, {Rule: "identity.sender", Got: "y"},
	})
	if len(found) != 1 || found[0].Got != "y" {
		t.Errorf("%v", found)
	}
}
