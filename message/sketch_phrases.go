package message

import "bytes"

// What is asked of lines here are questions about folded text.

// introduces says whether a quotation follows: "Bob wrote:".
func introduces(s []byte) bool {
	if s[len(s)-1] != ':' {
		return false
	}
	s = bytes.TrimRight(s[:len(s)-1], " ")
	for _, end := range []string{"wrote", "ecrit", "schrieb", "scritto", "escribio"} {
		if bytes.HasSuffix(s, []byte(end)) {
			return true
		}
	}
	return false
}

// isForward says whether another message follows: "-----Original Message-----".
func isForward(s []byte) bool {
	if len(s) < 2 || s[0] != '-' || s[1] != '-' {
		return false
	}
	switch string(bytes.Trim(s, "- ")) {
	case "original message", "forwarded message", "message d'origine", "message original", "message transfere",
		"ursprungliche nachricht", "messaggio originale", "mensaje original":
		return true
	}
	return false
}

// isDisclaimer says of a line that speaks of confidentiality whether it is long, in
// bytes, and about this mail.
func isDisclaimer(s []byte) bool {
	return len(s) >= 60 && (bytes.Contains(s, []byte("mail")) || bytes.Contains(s, []byte("message")) || bytes.Contains(s, []byte("courriel")))
}

// withoutReply takes "Re:", "Fwd:", "TR:" and the like off the front of a Subject.
func withoutReply(s []byte) []byte {
	for {
		mark, rest, is := bytes.Cut(s, []byte(":"))
		if !is {
			return s
		}
		switch string(bytes.TrimRight(mark, " ")) {
		case "re", "fw", "fwd", "tr", "aw", "wg", "rif", "rv", "ref":
			s = bytes.TrimLeft(rest, " ")
		default:
			return s
		}
	}
}

// hashWords is the sum of the hashes of the words, which have no letters but a to z
// once they are folded, as the reader makes them.
func hashWords(s string) uint64 {
	var p split
	f := FoldLines(s)
	p.of(f.padded)
	sum := uint64(0)
	for _, h := range p.hashes {
		sum += h
	}
	return sum
}

// wordSet is asked about every word, so it says no to most by a bit.
type wordSet[V comparable] struct {
	bits  [64]uint64 // one for each word, by the first twelve bits of its hash
	words map[uint64]V
}

func (s *wordSet[V]) add(h uint64, v V) {
	s.bits[h>>58] |= 1 << (h >> 52 & 63)
	s.words[h] = v
}

// maybe is true of each word that something is known of, and of few others.
func (s *wordSet[V]) maybe(h uint64) bool { return s.bits[h>>58]>>(h>>52&63)&1 != 0 }

// of is what is known of a word; the zero value for nothing.
func (s *wordSet[V]) of(h uint64) (v V) {
	if !s.maybe(h) {
		return v
	}
	return s.words[h]
}

// knownWord says what a letter begins or ends with this word, or two words, or is
// about.
type knownWord uint8

const (
	aGreeting knownWord = 1 << iota
	aSignOff
	aThanks
	aFormalWord // of French endings
	aLegalWord  // of disclaimers
)

// knownWords has words, and for two of them the sum of their hashes. Words of one
// letter do not count: "bien à vous" is "bien vous".
var knownWords = func() wordSet[knownWord] {
	set := wordSet[knownWord]{words: map[uint64]knownWord{}}
	for what, list := range map[knownWord][]string{
		aGreeting: {"bonjour", "bonsoir", "cher", "chère", "chers", "chères", "madame", "monsieur", "mesdames", "messieurs",
			"salut", "coucou", "hello", "hi", "hey", "dear", "good", "greetings", "hallo", "liebe", "lieber", "sehr", "guten", "hola",
			"estimado", "estimada", "ciao", "buongiorno", "gentile", "caro", "cara"},
		aSignOff: {"cordialement", "bien cordialement", "très cordialement", "salutations", "meilleures salutations",
			"sincères salutations", "amicalement", "bien amicalement", "bien vous", "bien toi", "respectueusement", "bonne journée",
			"bonne soirée", "belle journée", "bises", "bisous", "regards", "kind regards", "best regards", "warm regards", "best wishes",
			"sincerely", "yours sincerely", "yours faithfully", "yours truly", "sincerely yours", "avec mes", "mit freundlichen",
			"viele grüße", "freundliche grüße", "saludos", "un saludo", "cordiali saluti", "sent from", "envoyé de", "envoyé depuis",
			"get outlook", "télécharger outlook"},
		aThanks: {"thanks", "thank", "many", "cheers", "merci", "danke", "gracias", "grazie"},
		aFormalWord: {"agréer", "croire", "expression", "assurance", "salutations", "sentiments", "considération", "hommages",
			"distinguées", "distingués", "respectueux", "dévoués"},
		aLegalWord: {"confidentiel", "confidentiels", "confidentielle", "confidentielles", "confidentialité", "confidential",
			"confidentiality", "vertraulich", "riservato"},
	} {
		for _, words := range list {
			h := hashWords(words)
			set.add(h, set.words[h]|what)
		}
	}
	return set
}()
