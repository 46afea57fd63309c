package rules

import (
	"strings"
	"testing"
)

func TestIdentity(t *testing.T) {
	withSender := func(m *Mail, sender string) *Mail { m.Sender = sender; return m }
	withRcpts := func(m *Mail, list ...string) *Mail { m.Recipients = rcpts(list...); return m }
	asLogin := func(m *Mail, login string) *Mail { m.Login = login; return m }
	for name, c := range map[string]struct {
		mail   *Mail
		action Action
		rule   string
	}{
		"honest":                        {mail(), Accept, "none"},
		"own address of another domain": {with("From: alice@freemail.example"), Accept, "none"},
		"own address, +extension":       {with("From: alice+x@freemail.example"), Accept, "none"},
		"own address, other case":       {with("From: Alice@FREEMAIL.example"), Accept, "none"},
		"other mailbox of that domain":  {with("From: eve@freemail.example"), Reject, "identity.header_from"},
		"any mailbox of own domain":     {with("From: sales@client-a.example"), Accept, "none"},
		"subdomain, relaxed":            {with("From: news@mail.client-a.example"), Accept, "none"},
		"foreign From":                  {with("From: boss@bank.example"), Reject, "identity.header_from"},
		"suffix is no alignment":        {with("From: boss@evilclient-a.example"), Reject, "identity.header_from"},
		"other customer's From":         {with("From: bob@client-b.example"), Reject, "identity.header_from"},
		"second mailbox foreign":        {with("From: alice@client-a.example, boss@bank.example"), Reject, "identity.header_from"},
		"two own mailboxes":             {with("From: alice@client-a.example, sales@client-a.example"), Accept, "none"},
		"two From fields":               {mail("From: boss@bank.example"), Reject, "identity.malformed"},
		"two own From fields":           {mail("From: alice@client-a.example"), Reject, "identity.malformed"},
		"no From field":                 {with("To: bob@remote.example"), Reject, "identity.malformed"},
		"empty From":                    {with("From: "), Reject, "identity.malformed"},
		"empty group":                   {with("From: x:;"), Reject, "identity.malformed"},
		"unparsable, own":               {with("From: Durand, Jean <alice@client-a.example>"), Accept, "none"},
		"unparsable, foreign":           {with("From: boss@bank.example <alice@client-a.example"), Reject, "identity.malformed"},
		"hidden in the local part":      {with(`From: "boss@bank.example"@client-a.example`), Reject, "identity.malformed"},

		"own Sender":                      {mail("Sender: sales@client-a.example"), Accept, "none"},
		"foreign Sender":                  {mail("Sender: boss@bank.example"), Reject, "identity.sender"},
		"second Sender foreign":           {mail("Sender: alice@client-a.example", "Sender: boss@bank.example"), Reject, "identity.sender"},
		"own Reply-To":                    {mail("Reply-To: sales@client-a.example"), Accept, "none"},
		"foreign Reply-To":                {mail("Reply-To: boss@bank.example"), Reject, "identity.reply_to"},
		"own and foreign Reply-To":        {mail("Reply-To: alice@client-a.example, boss@bank.example"), Reject, "identity.reply_to"},
		"listed Reply-To address":         {mail("Reply-To: desk@helpdesk.example"), Accept, "none"},
		"neighbour of a listed address":   {mail("Reply-To: other@helpdesk.example"), Reject, "identity.reply_to"},
		"listed Reply-To domain":          {mail("Reply-To: any@answers.example"), Accept, "none"},
		"contact form":                    {withRcpts(mail("Reply-To: visitor@web.example"), "sales@client-a.example"), Accept, "none"},
		"contact form with a copy abroad": {withRcpts(mail("Reply-To: visitor@web.example"), "sales@client-a.example", "x@remote.example"), Reject, "identity.reply_to"},

		"author in the obsolete form":     {with("From: ceo @ bank . fr, alice@client-a.example"), Reject, "identity.malformed"},
		"obsolete form with comments":     {with("From: ceo (x)@(y) bank(z).fr, alice@client-a.example"), Reject, "identity.malformed"},
		"obsolete form in angle brackets": {with("From: Boss <ceo @ bank . fr>, alice@client-a.example"), Reject, "identity.malformed"},
		"Reply-To in the obsolete form":   {mail("Reply-To: ceo @ bank . fr"), Reject, "identity.reply_to"},
		"Sender in the obsolete form":     {mail("Sender: ceo @bank .fr"), Reject, "identity.sender"},
		"wide dot after a blank":          {with("From: Boss ceo@client-a.example \uff0ebank.fr"), Reject, "identity.malformed"},
		"a word with a blank before one":  {with("From: =?u?Q?a =?=?utf-8?Q?ceo=40bank.fr?=; <alice@client-a.example>"), Reject, "identity.malformed"},
		"line break in From":              {with("From: ceo@bank.fr\v <alice@client-a.example>"), Reject, "identity.malformed"},
		"odd top-level domain":            {with("From: ceo@bank\ua4f8fr <alice@client-a.example>"), Reject, "identity.malformed"},
		"undotted author in <>":           {with("From: alice@client-a.example <ceo@bank>"), Reject, "identity.malformed"},
		"undotted author before the name": {with("From: <ceo@bank> alice@client-a.example"), Reject, "identity.malformed"},
		"undotted host in <>":             {with("From: alice@client-a.example <root@localhost>"), Reject, "identity.malformed"},
		"blanks around a dot":             {with("From: Alice @ Client . Paris <alice@client-a.example>"), Reject, "identity.malformed"},
		"undotted, but no name":           {with("From: billing@www; alice@client-a.example"), Reject, "identity.malformed"},
		"a name with a lone @":            {with("From: Alice @ Client Inc. <alice@client-a.example>"), Accept, "none"},
		"Reply-To out of view":            {mail("Reply-To: " + strings.Repeat(" ", 2500) + "alice@client-a.example"), Reject, "identity.reply_to"},
		"Sender out of view":              {mail("Sender: " + strings.Repeat(" ", 2500) + "alice@client-a.example"), Reject, "identity.sender"},
		"a name with an @ in it":          {with("From: Boutique@Home <alice@client-a.example>"), Accept, "none"},

		"null sender":                {withSender(mail(), ""), Accept, "none"},
		"null sender, foreign From":  {withSender(with("From: boss@bank.example"), ""), Reject, "identity.header_from"},
		"own envelope sender":        {withSender(mail(), "bounces@client-a.example"), Accept, "none"},
		"foreign envelope sender":    {withSender(mail(), "boss@bank.example"), Reject, "identity.envelope_from"},
		"envelope sender, no domain": {withSender(mail(), "alice"), Reject, "identity.envelope_from"},

		"foreign address as the name":     {with(`From: "boss@bank.example" <alice@client-a.example>`), Accept, "none"},
		"unknown login, own domain":       {withSender(asLogin(with("From: eve@new.example"), "eve@new.example"), "eve@new.example"), Accept, "none"},
		"unknown login, foreign From":     {withSender(asLogin(with("From: boss@bank.example"), "eve@new.example"), "eve@new.example"), Reject, "identity.header_from"},
		"unknown login without a realm":   {asLogin(mail(), "carol"), Reject, "accounts.unknown"},
		"listed login without a realm":    {withSender(asLogin(with("From: x@shop.example"), "Shop"), "x@shop.example"), Accept, "none"},
		"login in capitals is the same":   {asLogin(mail(), "ALICE@Client-A.example"), Accept, "none"},
		"strongest of several, in order":  {withSender(mail("Sender: boss@bank.example", "Reply-To: boss@bank.example"), "boss@bank.example"), Reject, "identity.sender"},
		"header field that none can read": {mail("X-Bad\x01: x"), Reject, "message.malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newBench(t, nil).decide(t, c.mail)
			check(t, v, c.action, c.rule)
		})
	}
}

func TestIdentityStrict(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.Strict = true })
	check(t, b.decide(t, mail()), Accept, "none")
	check(t, b.decide(t, with("From: news@mail.client-a.example")), Reject, "identity.header_from")
}

func TestPublicSuffixIsNobodysDomain(t *testing.T) {
	for _, c := range []struct {
		own, got string
		want     bool
	}{
		{"co.uk", "bank.co.uk", false},
		{"co.uk", "co.uk", true},
		{"alice.github.io", "bob.github.io", false},
		{"client-a.example", "client-a.example", true},
		{"mail.client-a.example", "client-a.example", true},
		{"client-a.example", "", false},
	} {
		if got := (&domainSet{list: []string{c.own}}).aligned(c.got, false); got != c.want {
			t.Errorf("aligned(%q, %q) = %v", c.own, c.got, got)
		}
	}
}

func TestDisplayNameIsShadowEvidence(t *testing.T) {
	v := newBench(t, nil).decide(t, with(`From: "boss@bank.example" <alice@client-a.example>`))
	check(t, v, Accept, "none", "identity.display_name: boss@bank.example (shadow)")
	b := newBench(t, func(s *Settings) { s.Actions["identity.display_name"] = Reject })
	check(t, b.decide(t, with(`From: "boss@bank.example" <alice@client-a.example>`)), Reject, "identity.display_name")
	check(t, b.decide(t, with(`From: "alice@client-a.example" <alice@client-a.example>`)), Accept, "none")
	for _, line := range []string{"Errors-To: boss@bank.example", "Author: boss@bank.example",
		`Reply-To: "boss@bank.example" <alice@client-a.example>`, `Sender: "boss@bank.example" <alice@client-a.example>`} {
		check(t, b.decide(t, mail(line)), Reject, "identity.display_name")
	}
}

func TestUnknownLoginRejected(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.UnknownReject = true })
	m := with("From: eve@new.example")
	m.Login, m.Sender = "eve@new.example", "eve@new.example"
	v := b.decide(t, m)
	check(t, v, Reject, "accounts.unknown")
	if v.Account != "eve@new.example" {
		t.Errorf("account %q", v.Account)
	}
	check(t, b.decide(t, mail()), Accept, "none")
}

func TestDefaultRealm(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.DefaultRealm = "client-a.example" })
	m := mail()
	m.Login = "Alice"
	v := b.decide(t, m)
	check(t, v, Accept, "none")
	if v.Account != "alice@client-a.example" {
		t.Errorf("account %q", v.Account)
	}
	m.Login = "carol" // in no source: her own domain is the realm
	check(t, b.decide(t, m), Accept, "none")
	m.Login = "shop" // listed as it is, so no realm is added
	check(t, b.decide(t, m), Reject, "identity.header_from")
}
