package rules

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"o2n-milter/accounts"
	"o2n-milter/state"
)

// Ways round the means of a campaign, none of which lets the twentieth recipient have
// the letter. Each says how letter number n is sent.
func TestNoWayRoundUnsubscribe(t *testing.T) {
	html := func(n int, way string) *Mail {
		return letterTo(n, "<html><body><p>"+offer+"</p><p>"+way+"</p></body></html>", "Content-Type: text/html")
	}
	hidden := func(way string) func(int) *Mail { return func(n int) *Mail { return html(n, way) } }
	for name, letter := range map[string]func(n int) *Mail{
		"another client each time": func(n int) *Mail {
			m := plainOffer(n)
			m.Client = m.Client.Next()
			return m
		},
		"several at once": func(n int) *Mail {
			m := plainOffer(n)
			m.Recipients = append(m.Recipients, Recipient{Address: "reader1@remote1.example"})
			return m
		},
		"spellings of who has it already": func(n int) *Mail {
			m := plainOffer(n)
			m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("READER1+%d@remote1.example", n)})
			return m
		},
		"forged thread, two recipients": func(n int) *Mail {
			m := letterTo(n, offer, fmt.Sprintf("In-Reply-To: <1@remote%d.example>", n%7))
			m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("more%d@remote.example", n)})
			return m
		},
		"thread of somebody else": func(n int) *Mail {
			return letterTo(n, offer, "Subject: Re: hello", "In-Reply-To: <1@elsewhere.example>")
		},
		"own thread":              func(n int) *Mail { return letterTo(n, offer, "References: <1@client-a.example>") },
		"automatic, but no reply": func(n int) *Mail { return letterTo(n, offer, "Auto-Submitted: auto-generated") },
		"not automatic at all":    func(n int) *Mail { return letterTo(n, offer, "Auto-Submitted: no") },
		"published calendar": func(n int) *Mail {
			return letterTo(n, "--b\r\nContent-Type: text/plain\r\n\r\n"+offer+"\r\n--b\r\nContent-Type: text/calendar; method=PUBLISH\r\n\r\n"+
				"BEGIN:VCALENDAR\r\nMETHOD:PUBLISH\r\nEND:VCALENDAR\r\n--b--\r\n", "Content-Type: multipart/mixed; boundary=b")
		},
		"behind a comment without end": func(n int) *Mail {
			return letterTo(n, "<!--"+strings.Repeat("x", MaxBody-4), "Content-Type: text/html")
		},
		"link to nowhere":       hidden(`<a href="#">Se desabonner</a>`),
		"link to a script":      hidden(`<a href="javascript:void(0)">Se desabonner</a>`),
		"link without a target": hidden(`<a>Se desabonner</a>`),
		"hidden link":           hidden(`<a style="display:none" href="https://client-a.example/stop">Se desabonner</a>`),
		"link of no size":       hidden(`<span style="font-size:0"><a href="https://client-a.example/stop">Se desabonner</a></span>`),
		"white on white":        hidden(`<a style="color:#fff" href="https://client-a.example/stop">Se desabonner</a>`),
		"in a comment":          hidden(`<!-- <a href="https://client-a.example/stop">Se desabonner</a> -->`),
		"words without a link":  hidden(`Vous pouvez vous desabonner.`),
		"another link":          hidden(`<a href="https://client-a.example/cuisines">Nos cuisines</a>`),
		"no answer wanted":      hidden(`Merci de ne pas repondre a ce message. Pour ne plus recevoir nos lettres, rien a faire.`),
		"in the plain part only": func(n int) *Mail {
			return letterTo(n, "--b\r\nContent-Type: text/plain\r\n\r\nUnsubscribe: https://client-a.example/stop\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>"+
				offer+"</p>\r\n--b--\r\n", "Content-Type: multipart/alternative; boundary=b")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, func(s *Settings) { s.MaxDuplicates = 9 })
			rule := ""
			for n := 1; n <= 40 && rule == ""; n++ {
				if v := b.decide(t, letter(n)); v.Action > Tag {
					rule = v.Rule
					if v.Campaign.Recipients < 20 || n > 20 {
						t.Errorf("refused at message %d, %d recipients", n, v.Campaign.Recipients)
					}
				}
			}
			if rule != "bulk.unsubscribe" {
				t.Errorf("stopped by %q", rule)
			}
		})
	}
}

// Mail without anything in it is no letter, unless it goes on behind what is looked at.
func TestNothingInWhatIsLookedAt(t *testing.T) {
	for size, want := range map[int]bool{0: false, MaxBody - 1: false, MaxBody: true} {
		v := newBulkBench(t, nil).decide(t, letterTo(1, strings.Repeat("\n", size)))
		if v.Action != Accept || (v.Campaign != nil) != want {
			t.Errorf("%d octets: %s by %s, campaign %v", size, v.Action, v.Rule, v.Campaign)
		}
	}
}

// What only says http is refused from the first message on: it declares itself bulk.
func TestUnsubscribeFieldThatIsNone(t *testing.T) {
	for _, value := range []string{"<http://client-a.example/stop>", "https://client-a.example/stop", "<mailto:>", "<>", "", "<tel:+33123456789>"} {
		v := newBulkBench(t, nil).decide(t, letterTo(1, offer, "List-Unsubscribe: "+value))
		check(t, v, Reject, "bulk.unsubscribe")
		if !strings.HasPrefix(v.Evidence[0].Got, "List-Unsubscribe: ") {
			t.Errorf("%q: got %s", value, v.Evidence[0].Got)
		}
	}
}

// All marks of correspondence are the sender's to write: they buy max_campaign letters.
func TestMarksBuyNoVolume(t *testing.T) {
	for name, letter := range map[string]func(n int) *Mail{
		"answer":    func(n int) *Mail { return letterTo(n, offer, fmt.Sprintf("In-Reply-To: <x@mx.remote%d.example>", n%7)) },
		"provider":  func(n int) *Mail { return letterTo(n, offer, "References: <CAx@mail.gmail.com>") },
		"automatic": func(n int) *Mail { return letterTo(n, offer, "Auto-Submitted: auto-replied (vacation)") },
		"null sender": func(n int) *Mail {
			m := plainOffer(n)
			m.Sender = ""
			return m
		},
		"report": func(n int) *Mail {
			return letterTo(n, "--b\r\n\r\n"+offer+"\r\n--b--\r\n", "Content-Type: multipart/report; report-type=delivery-status; boundary=b")
		},
		"invitation": func(n int) *Mail {
			return letterTo(n, "--b\r\nContent-Type: text/plain\r\n\r\n"+offer+"\r\n--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n"+
				"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n--b--\r\n", "Content-Type: multipart/mixed; boundary=b")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, func(s *Settings) { s.Bulk.MaxCampaign = 50 })
			b.sendTo(t, 1, 50, letter)
			check(t, b.decide(t, letter(51)), Reject, "bulk.volume", "bulk.volume: 51 recipients")
		})
	}
}

// A script's envelope sender is its own word: its campaign is that of the domain's
// owner, and of one script only where the domain is this host's.
func TestCampaignSubjects(t *testing.T) {
	asHost := func(n int) *Mail { return local(fmt.Sprintf("web%d@web1.example", n), "From: x@web1.example") }
	for name, tt := range map[string]struct {
		m    *Mail
		want string
	}{
		"account of a customer": {mail(), "customer:C-1001"},
		"unlisted login":        {loginAs("x@unlisted.example"), "account:x@unlisted.example"},
		"script of an account":  {local("www-data@web1.example", "From: x@shop.example"), "customer:C-1003"},
		"invented sender":       {local("inv@client-b.example", "From: inv@client-b.example"), "customer:C-1002"},
		"null sender":           {local("", "From: bob@client-b.example"), "customer:C-1002"},
		"script of the host":    {asHost(1), "script:web1@web1.example"},
		"client of an account":  {network("198.51.100.7", "x@shop.example"), "customer:C-1003"},
		"client":                {network("198.51.100.8", "x@web1.example"), "ip:198.51.100.8"},
		"client for a domain":   {network("198.51.100.8", "x@client-b.example"), "customer:C-1002"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, nil)
			tt.m.Body, tt.m.Recipients = []byte(offer), rcpts("reader@remote.example")
			v := b.decide(t, tt.m)
			if v.Campaign == nil || v.Campaign.Subject != tt.want {
				t.Errorf("%s by %s; campaign %+v, want %s", v.Action, v.Rule, v.Campaign, tt.want)
			}
		})
	}
}

// Two accounts of one customer send one campaign together; two customers do not.
func TestCampaignOfACustomer(t *testing.T) {
	for customer, want := range map[string]Action{"C-1001": Reject, "C-1009": Accept} {
		table, clashes := accounts.NewTable(append([]*accounts.Account{{Login: "amy@client-z.example", Customer: customer}}, testAccounts...))
		if len(clashes) > 0 {
			t.Fatal(clashes)
		}
		b := newBulkBench(t, nil)
		b.Engine.accounts = table
		b.sendTo(t, 1, 19, plainOffer)
		m := loginAs("amy@client-z.example")
		m.Recipients, m.Body = rcpts("reader20@remote.example"), []byte(offer)
		m.Header = append(m.Header, fields("Subject: Portes ouvertes")...)
		if v := b.decide(t, m); v.Action != want {
			t.Errorf("%s: %s by %s, %+v", customer, v.Action, v.Rule, v.Campaign)
		}
	}
}

func loginAs(login string) *Mail {
	m := with("From: " + login)
	m.Login, m.Sender = login, login
	return m
}

// network is mail from a client of accounts.networks.
func network(client, sender string) *Mail {
	m := with("From: " + sender)
	m.Login, m.Client, m.Sender = "", netip.MustParseAddr(client), sender
	return m
}

// While the store is away nobody is counted, and what on_failure says is done.
func TestBulkWithoutStore(t *testing.T) {
	b := newBulkBench(t, nil)
	b.Engine.store = broken{Store: b.store, take: true}
	v := b.Decide(t.Context(), plainOffer(1))
	check(t, v, Tempfail, "store.unavailable")
	b.Engine.store = broken{Store: b.store, take: true, err: fmt.Errorf("x: %w", state.ErrUnavailable)}
	b.turn("bulk.pace", Tempfail)
	check(t, b.Decide(t.Context(), plainOffer(1)), Tempfail, "store.unavailable")
	check(t, b.Decide(t.Context(), letterTo(1, offer, "List-Id: <x>")), Reject, "bulk.unsubscribe")
}
