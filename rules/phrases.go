package rules

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"o2n-milter/message"
)

// UnsubscribePhrases are what an unsubscribe link or address says, or what is said
// around it, in English and French, where bulk.unsubscribe_phrases says nothing else.
var UnsubscribePhrases = []string{
	"unsubscrib", "un-subscrib", "opt out", "opt-out", "opting out", "stop receiving", "stop getting", "no longer receive",
	"no longer wish to", "no longer want to", "not wish to receive", "not want to receive", "don't want to receive",
	"rather not receive", "prefer not to receive", "remove me", "remove your", "removed from", "be removed",
	"removal instructions", "take me off", "taken off", "cancel your subscription", "cancel my subscription",
	"end your subscription", "manage your subscription", "manage my subscription", "manage subscription",
	"subscription settings", "subscription preferences", "email preferences", "e-mail preferences", "communication preferences",
	"manage your preferences", "update your preferences", "leave this list", "leave the list", "leave this mailing",
	"leave our mailing",

	"désabonn", "dés-abonn", "désinscri", "dés-inscri", "plus recevoir", "arrêter de recevoir", "cesser de recevoir",
	"annuler votre abonnement", "annuler mon abonnement", "annuler l'abonnement", "annuler votre inscription",
	"annuler mon inscription", "résilier votre abonnement", "résilier mon abonnement", "fin à votre abonnement",
	"fin à mon abonnement", "gérer votre abonnement", "gérer mon abonnement", "gérer vos abonnements", "gérer mes abonnements",
	"gérer vos préférences", "gérer mes préférences", "modifier vos préférences", "préférences de communication",
	"préférences de contact", "retirer de la liste", "retirer de cette liste", "retirer de notre liste", "être retiré de",
	"supprimer de la liste", "supprimer de notre liste", "quitter la liste", "quitter cette liste", "droit d'opposition",
	"vous opposer",
}

// ReasonPhrases are what says why somebody gets the mail, where bulk.reason_phrases
// says nothing else. Accents do not count in them: "adresse" stands for the participle,
// whose accent has Debian's checks take the word for misspelt English.
var ReasonPhrases = []string{
	"you are receiving", "you're receiving", "you receive this", "you received this", "you have received this",
	"you've received this", "you are getting this", "you're getting this", "you get this", "you got this", "why you received",
	"why am i receiving", "why am i getting", "why did i get", "why did i receive", "sent to you because", "sent because you",
	"sent to you as a", "you are subscribed", "you're subscribed", "you are currently subscribed", "you are registered",
	"you subscribed", "you have subscribed", "you signed up", "you have signed up", "you've signed up", "you opted in",
	"you have opted in", "you agreed to receive", "you have agreed to receive", "you asked to receive", "you asked us to",
	"you requested to receive", "you chose to receive", "because you are a", "because you're a", "because you have an account",
	"because you registered", "because you have registered", "because you requested", "because you asked", "because you bought",
	"because you purchased", "because you made a purchase", "because you attended", "as a subscriber", "as a member of",
	"as a customer of", "your subscription to",

	"vous recevez ce", "vous recevez le présent", "vous recevez notre", "vous recevez nos", "vous avez reçu ce",
	"message vous est adresse", "message vous est envoyé", "message vous a été envoyé", "message vous a été adresse",
	"mail vous est adresse", "mail vous est envoyé", "mail vous a été envoyé", "mail vous a été adresse",
	"courriel vous est adresse", "courriel vous est envoyé", "courriel vous a été envoyé", "courriel vous a été adresse",
	"lettre vous est adressee", "lettre vous est envoyée", "newsletter vous est adressee", "newsletter vous est envoyée",
	"pourquoi recevez-vous", "pourquoi vous recevez", "pourquoi je reçois", "pourquoi est-ce que je reçois",
	"vous êtes inscrit", "vous êtes abonné", "vous êtes client", "vous êtes membre", "vous êtes adhérent",
	"vous faites partie de", "en tant que client", "en tant que membre", "en tant qu'abonné", "en tant qu'adhérent",
	"en qualité de", "en votre qualité de", "vous avez accepté de recevoir", "vous avez demandé à recevoir",
	"vous avez souhaité recevoir", "vous avez choisi de recevoir", "vous avez souscrit", "vous avez consenti",
	"suite à votre inscription", "suite à votre abonnement", "suite à votre demande", "suite à votre achat",
	"votre inscription à", "votre abonnement à",
}

// phrases are folded texts by their first byte. A phrase is found where a word begins
// with it: "opt out" is not in "adopt outright".
type phrases struct {
	list    []string
	byFirst [256][]string
	pieces  *pieces
}

// newPhrases leaves out what is too short to mean anything; configured ones are not.
func newPhrases(list []string) *phrases {
	p := &phrases{}
	for _, s := range list {
		if s = strings.TrimSpace(message.Fold(s)); len(s) >= shortest && wordBytes[s[0]] {
			p.list = append(p.list, s)
			p.byFirst[s[0]] = append(p.byFirst[s[0]], s)
		}
	}
	p.pieces = newPieces(p.list)
	return p
}

// in says whether the folded text holds a phrase.
func (p *phrases) in(folded []byte) bool { return p.next(folded, 0) >= 0 }

// next is where the first phrase at or behind from begins; -1 for none.
func (p *phrases) next(folded []byte, from int) int {
	next := -1
	p.pieces.scan(folded, from, func(at int, _ lists) bool {
		next = p.nextPlainly(folded, max(from, at-p.pieces.reach))
		return true
	})
	return next
}

// nextPlainly looks at each word.
func (p *phrases) nextPlainly(folded []byte, from int) int {
	wasWord := from > 0 && wordBytes[folded[from-1]]
	for i := from; i < len(folded); i++ {
		c := folded[i]
		begins := !wasWord
		if wasWord = wordBytes[c]; !begins || !wasWord {
			continue
		}
		for _, phrase := range p.byFirst[c] {
			if beginsWith(folded[i:], phrase) {
				return i
			}
		}
	}
	return -1
}

func beginsWith(text []byte, phrase string) bool {
	return len(text) >= len(phrase) && string(text[:len(phrase)]) == phrase
}

// What stands so far before and behind a phrase is next to it, in bytes: in plain
// text a URL has a line of its own, behind the sentence that speaks of it.
const (
	nearBefore = 150
	nearBehind = 300
)

// mostLooked is at how many places of a phrase one looks around: a sender may write
// nothing else, and each costs.
const mostLooked = 50

// near says whether one of these texts stands next to a phrase.
func (p *phrases) near(folded []byte, texts []string) bool {
	at := p.next(folded, 0)
	for range mostLooked {
		if at < 0 || len(texts) == 0 {
			return false
		}
		around := folded[max(0, at-nearBefore):min(len(folded), at+nearBehind)]
		if slices.ContainsFunc(texts, func(s string) bool { return bytes.Contains(around, []byte(s)) }) {
			return true
		}
		at = p.next(folded, at+1)
	}
	return false
}

// wordBytes are those of letters and digits in folded text.
var wordBytes = func() (is [256]bool) {
	for c := range is {
		is[c] = c >= utf8.RuneSelf || '0' <= c && c <= '9' || 'a' <= c && c <= 'z'
	}
	return is
}()

// answerWords ask for an answer, stopWords are what it is to say.
var (
	answerWords = newPhrases([]string{"reply", "respond", "répond"})
	stopWords   = newPhrases([]string{"stop", "remove"})
)

// answersStop finds the invitation to answer in order to get no more: "répondez
// STOP", "to unsubscribe, reply to this mail". It asks no more of the reader than a
// link does, and the address is the author's, which the identity rules judge.
func answersStop(folded []byte, unsubscribe *phrases) bool {
	at := answerWords.next(folded, 0)
	for range mostLooked {
		if at < 0 {
			return false
		}
		sentence := sentenceAt(folded, at)
		if !refused(folded[:at]) && (stopWords.in(sentence) || unsubscribe.in(sentence)) {
			return true
		}
		at = answerWords.next(folded, at+1)
	}
	return false
}

// mostSentence is how far a sentence is looked at on either side of a word, in bytes.
const mostSentence = 160

// sentenceAt is the sentence around a place in folded text, which has no lines.
func sentenceAt(folded []byte, at int) []byte {
	const ends = ".!?;"
	before, after := folded[max(0, at-mostSentence):at], folded[at:min(len(folded), at+mostSentence)]
	before = before[bytes.LastIndexAny(before, ends)+1:]
	if end := bytes.IndexAny(after, ends); end >= 0 {
		after = after[:end]
	}
	return slices.Concat(before, after)
}

// refused says that the text before a word turns it round: "ne pas", "do not".
func refused(before []byte) bool {
	before = bytes.TrimRight(before, " -")
	for _, not := range []string{"not", "n't", "pas", " ne", "no", "never", "jamais"} {
		if bytes.HasSuffix(before, []byte(not)) {
			return true
		}
	}
	return string(before) == "ne"
}
