package rules

import (
	"strings"
	"testing"

	"o2n-milter/message"
)

// Ways to say it, as newsletters do.
func TestUnsubscribeIsSeen(t *testing.T) {
	page := func(s string) *Mail {
		return letterTo(1, "<html><body><p>Bonjour</p><p>"+s+"</p></body></html>", "Content-Type: text/html; charset=utf-8")
	}
	const link = `<a href="https://client-a.example/u/123">`
	for _, s := range []string{
		link + "Unsubscribe</a>", link + "UNSUBSCRIBE</a> from this list", "To unsubscribe, click " + link + "here</a>.",
		link + "Click here</a> to unsubscribe", "If you no longer wish to receive these mails, " + link + "let us know</a>",
		"Don\u2019t want to receive this any more? " + link + "Leave</a>", link + "Opt-out</a>", link + "Manage your subscription</a>",
		link + "Email preferences</a>", "To stop receiving these letters " + link + "click</a>", link + "un<b></b>sub<!-- x -->scribe</a>",
		"You can be removed from this list " + link + "here</a>", link + "Remove me</a>",
		link + "Se d\u00e9sabonner</a>", link + "Me d\u00e9sinscrire</a>", link + "D\u00c9SINSCRIPTION</a>", link + "de\u0301sabonnement</a>",
		"Pour ne plus recevoir nos lettres, " + link + "cliquez ici</a>", "Vous ne souhaitez plus recevoir nos offres\u00a0? " + link + "Cliquez</a>",
		"Si vous souhaitez vous d\u00e9sabonner, " + link + "suivez ce lien</a>", link + "G\u00e9rer mes abonnements</a>", link + "G\u00e9rer vos pr\u00e9f\u00e9rences</a>",
		"Pour exercer votre droit d\u2019opposition, \u00e9crivez \u00e0 <a href=\"mailto:stop@client-a.example\">stop@client-a.example</a>",
		"Pour vous d\u00e9sabonner, \u00e9crivez \u00e0 stop@client-a.example", "Unsubscribe: www.client-a.example/stop",
		`<a href="mailto:leave@client-a.example?subject=x">Unsubscribe</a>`,
		"R\u00e9pondez STOP \u00e0 ce message.", "Pour vous d\u00e9sinscrire, il suffit de r\u00e9pondre \u00e0 ce mail.",
		"To unsubscribe, please reply to this message.", "Reply with \u201cREMOVE\u201d in the subject line.", "Si vous ne voulez plus rien recevoir, r\u00e9pondez \u00ab stop \u00bb.",
	} {
		f := factsOf(page(s))
		if lack := lacksUnsubscribe(f); lack != "" {
			t.Errorf("%s: %s; text %q, links %v", s, lack, f.readText().Text(), f.readBody().Links)
		}
	}
	for _, s := range []string{
		link + "Nos cuisines</a>", "Ne manquez pas nos offres.", "Vous pouvez vous d\u00e9sabonner.", "Please do not reply to this mail. Non-stop flights!",
		"Merci de ne pas r\u00e9pondre. Stop aux id\u00e9es re\u00e7ues.", "We adopt outstanding ideas: " + link + "read</a>", "Please reply soon.",
		`To unsubscribe, <a href="https://">click</a>`, `Unsubscribe: <a href="mailto:nobody">here</a>`, `Unsubscribe: <a href="tel:+33123456789">here</a>`,
		"noreply: stop", "Ne r\u00e9pondez pas : stop.",
	} {
		if f := factsOf(page(s)); lacksUnsubscribe(f) == "" {
			t.Errorf("%s: taken for a way to unsubscribe; links %v", s, f.readBody().Links)
		}
	}
}

// In plain text the URL stands in a line of its own.
func TestUnsubscribeNextToTheURL(t *testing.T) {
	filler := strings.Repeat("Lorem ipsum dolor sit amet. ", 20)
	for body, want := range map[string]bool{
		"To unsubscribe from these letters, visit the following URL.\r\n\r\n  http://client-a.example/stop?id=1\r\n": true,
		"Pour vous d\u00e9sabonner :\r\n\r\nwww.client-a.example/stop\r\n":                                           true,
		"https://client-a.example/stop\r\nis where you unsubscribe.\r\n":                                             true,
		"You may unsubscribe.\r\n" + filler + "\r\nhttps://client-a.example/news\r\n":                                false,
		"https://client-a.example/news\r\n" + filler + "\r\nYou may unsubscribe.\r\n":                                false,
	} {
		f := factsOf(letterTo(1, body, "Content-Type: text/plain; charset=utf-8"))
		if got := lacksUnsubscribe(f) == ""; got != want {
			t.Errorf("%q: %v, links %v", body, got, f.readBody().Links)
		}
	}
}

// Who writes the words again and again gets no more than so many looks at them.
func TestPlacesAreBounded(t *testing.T) {
	for again, want := range map[int]bool{mostLooked - 1: true, mostLooked: false} {
		if got := answersStop([]byte(strings.Repeat("reply soon. ", again)+"reply stop."), newPhrases(nil)); got != want {
			t.Errorf("behind %d answers: %v", again, got)
		}
		p := newPhrases([]string{"unsubscribe"})
		if got := p.near([]byte(strings.Repeat("unsubscribe. ", again)+strings.Repeat("x ", 200)+"unsubscribe: www.x.example"), []string{"www.x.example"}); got != want {
			t.Errorf("behind %d phrases: %v", again, got)
		}
	}
}

// What cannot be followed may show anything or nothing.
func TestMeansOfBrokenMail(t *testing.T) {
	f := factsOf(letterTo(1, "--b\r\n\r\n"+why+wayOut, "Content-Type: text/plain", "Content-Type: text/html"))
	if f.readBody().Raw == "" || lacksUnsubscribe(f) == "" || lacksReason(f) == "" {
		t.Errorf("raw %q", f.readBody().Raw)
	}
}

func TestReasonIsSeen(t *testing.T) {
	for s, want := range map[string]bool{
		"You are receiving this email because you signed up on our site.":      true,
		"You\u2019re receiving this newsletter as a member.":                   true,
		"Why am I receiving this?":                                             true,
		"This letter was sent to you because you bought a kitchen from us.":    true,
		"Vous recevez ce message car vous \u00eates client.":                   true,
		"VOUS RECEVEZ CETTE LETTRE PARCE QUE VOUS \u00caTES ABONN\u00c9.":      true,
		"Vous avez re\u00e7u cet e-mail suite \u00e0 votre inscription.":       true,
		"Ce courriel vous est adress\u00e9 en votre qualit\u00e9 de membre.":   true,
		"Pourquoi recevez-vous cette lettre ?":                                 true,
		"En tant qu\u2019adh\u00e9rent de l\u2019association, vous avez droit": true,
		"Receive our letter every day, you deserve it.":                        false,
		"Nous recevons sur rendez-vous.":                                       false,
		"":                                                                     false,
	} {
		f := factsOf(letterTo(1, s, "Content-Type: text/plain; charset=utf-8"))
		if got := lacksReason(f) == ""; got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestOneClick(t *testing.T) {
	const (
		link   = "List-Unsubscribe: <https://client-a.example/u>"
		post   = "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
		signed = "DKIM-Signature: v=1; a=rsa-sha256; d=client-a.example; s=x; h=From:List-Unsubscribe: list-unsubscribe-post; bh=x; b=x"
	)
	for want, headers := range map[string][][]string{
		"":                                   {{link, post}, {link, post, signed}, {"List-Unsubscribe: <mailto:a@b.example>, <https://client-a.example/u>", post}},
		"no List-Unsubscribe with https":     {{}, {post}, {"List-Unsubscribe: <mailto:a@b.example>", post}, {"List-Unsubscribe: <http://client-a.example/u>", post}},
		"no sound List-Unsubscribe-Post":     {{link}, {link, post, post}, {link, post + " " + "x"}, {link, "List-Unsubscribe-Post: one-click"}},
		"no DKIM-Signature over both fields": {{link, post, strings.Replace(signed, ": list-unsubscribe-post", "", 1)}},
	} {
		for _, lines := range headers {
			if got := lacksOneClick(factsOf(letterTo(1, offer, lines...))); got != want {
				t.Errorf("%q: got %q, want %q", lines, got, want)
			}
		}
	}
}

// An operator's list takes the place of the whole one.
func TestOwnPhrases(t *testing.T) {
	b := newBulkBench(t, func(s *Settings) { s.Bulk.UnsubscribePhrases = []string{"Darse de baja", "  "} })
	check(t, b.decide(t, letterTo(1, offer+"DARSE DE BAJA: https://client-a.example/stop", "List-Id: <x>")), Accept, "none")
	check(t, b.decide(t, letterTo(1, offer+wayOut, "List-Id: <x>")), Reject, "bulk.unsubscribe")
}

// Whatever stands in a list is found in itself.
func TestPhrasesFindThemselves(t *testing.T) {
	for _, list := range [][]string{UnsubscribePhrases, ReasonPhrases} {
		p := newPhrases(list)
		for i, s := range list {
			if !p.in(folded("("+s+"x")) || newPhrases(append(list[:i:i], list[i+1:]...)).in(folded(s)) {
				t.Errorf("%q is not found, or there without need", s)
			}
		}
	}
}

func factsOf(m *Mail) *facts {
	words := newBulkWords(UnsubscribePhrases, ReasonPhrases)
	return &facts{mail: m, msg: message.Read(m.Header), words: &words}
}

func FuzzPhrases(f *testing.F) {
	f.Add("répondez STOP. unsubscribe", "unsubscribe")
	f.Add("ne", "reply")
	unsubscribe := newPhrases(UnsubscribePhrases)
	words := newBulkWords(UnsubscribePhrases, ReasonPhrases)
	f.Fuzz(func(t *testing.T, text, phrase string) {
		folded := folded(text)
		answersStop(folded, unsubscribe)
		unsubscribe.near(folded, []string{phrase})
		p := newPhrases([]string{phrase})
		if p.in(folded) && !strings.Contains(string(folded), strings.TrimSpace(message.Fold(phrase))) {
			t.Errorf("%q is not in %q", phrase, folded)
		}
		// A look at each word finds the same.
		for _, p := range []*phrases{p, unsubscribe, words.reason, answerWords} {
			for from := 0; from < len(folded); from += 1 + len(folded)/50 {
				if got, want := p.next(folded, from), p.nextPlainly(folded, from); got != want {
					t.Fatalf("%q from %d of %q: at %d, want %d", p.list, from, folded, got, want)
				}
			}
		}
		var says lists
		for i, p := range []*phrases{unsubscribe, words.reason, answerWords} {
			if p.nextPlainly(folded, 0) >= 0 {
				says |= 1 << i
			}
		}
		if got := words.any.lists(folded); got != says {
			t.Errorf("%q: lists %b, want %b", folded, got, says)
		}
	})
}

func BenchmarkPhrases(b *testing.B) {
	text := folded(strings.Repeat(offer, 16)) // 4 KB
	p := newPhrases(UnsubscribePhrases)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		p.in(text)
	}
}
