package message

import "strings"

// introduces says whether a quotation follows: "Bob wrote:".
func introduces(s string) bool {
	if s[len(s)-1] != ':' {
		return false
	}
	s = strings.TrimRight(s[:len(s)-1], " \u00a0")
	for _, end := range []string{"wrote", "écrit", "schrieb", "scritto", "escribió"} {
		if strings.HasSuffix(s, end) {
			return true
		}
	}
	return false
}

// isForward says whether another message follows: "-----Original Message-----".
func isForward(s string) bool {
	if !strings.HasPrefix(s, "--") {
		return false
	}
	switch strings.ToLower(strings.Trim(s, "- ")) {
	case "original message", "forwarded message", "message d'origine", "message d’origine", "message original",
		"message transféré", "ursprüngliche nachricht", "messaggio originale", "mensaje original":
		return true
	}
	return false
}

// isDisclaimer says of a line that speaks of confidentiality whether it is long, in
// bytes, and about this mail.
func isDisclaimer(s string) bool {
	if len(s) < 60 {
		return false
	}
	s = strings.ToLower(s)
	return strings.Contains(s, "mail") || strings.Contains(s, "message") || strings.Contains(s, "courriel")
}

// withoutReply takes "Re:", "Fwd:", "TR:" and the like off the front of a Subject.
func withoutReply(s string) string {
	for {
		s = strings.TrimSpace(s)
		mark, rest, is := strings.Cut(s, ":")
		if !is {
			return s
		}
		switch strings.ToLower(strings.TrimSpace(mark)) {
		case "re", "fw", "fwd", "tr", "aw", "wg", "rif", "rv", "réf":
			s = rest
		default:
			return s
		}
	}
}

// phraseSet has the sums of the phrases' words, as the reader hashes them.
func phraseSet(phrases ...string) map[uint64]bool {
	set := map[uint64]bool{}
	for _, p := range phrases {
		set[hashWords(p)] = true
	}
	return set
}

func hashWords(s string) uint64 {
	var w wordHash
	sum := uint64(0)
	for word := range strings.FieldsSeq(s) {
		w.reset()
		for _, c := range word {
			w.add(foldRune(c))
		}
		sum += w.sum()
	}
	return sum
}

// wordSet is asked about every word, so it says no to most by a bit.
type wordSet struct {
	bits  uint64 // one for each word, by the first six bits of its hash
	words map[uint64]bool
}

func newWordSet(words ...string) wordSet {
	s := wordSet{words: phraseSet(words...)}
	for h := range s.words {
		s.bits |= 1 << (h >> 58)
	}
	return s
}

func (s *wordSet) has(h uint64) bool { return s.bits>>(h>>58)&1 != 0 && s.words[h] }

// What letters begin and end with. Words of one letter do not count: "bien à vous" is
// "bien vous".
var (
	greetings = phraseSet("bonjour", "bonsoir", "cher", "chère", "chers", "chères", "madame", "monsieur", "mesdames", "messieurs",
		"salut", "coucou", "hello", "hi", "hey", "dear", "good", "greetings", "hallo", "liebe", "lieber", "sehr", "guten", "hola",
		"estimado", "estimada", "ciao", "buongiorno", "gentile", "caro", "cara")
	signOffs = phraseSet("cordialement", "bien cordialement", "très cordialement", "salutations", "meilleures salutations",
		"sincères salutations", "amicalement", "bien amicalement", "bien vous", "bien toi", "respectueusement", "bonne journée",
		"bonne soirée", "belle journée", "bises", "bisous", "regards", "kind regards", "best regards", "warm regards", "best wishes",
		"sincerely", "yours sincerely", "yours faithfully", "yours truly", "sincerely yours", "avec mes", "mit freundlichen",
		"viele grüße", "freundliche grüße", "saludos", "un saludo", "cordiali saluti", "sent from", "envoyé de", "envoyé depuis",
		"get outlook", "télécharger outlook")
	thanks = phraseSet("thanks", "thank", "many", "cheers", "merci", "danke", "gracias", "grazie")

	formalWords = newWordSet("agréer", "croire", "expression", "assurance", "salutations", "sentiments", "considération", "hommages",
		"distinguées", "distingués", "respectueux", "dévoués")
	legalWords = newWordSet("confidentiel", "confidentiels", "confidentielle", "confidentielles", "confidentialité", "confidential",
		"confidentiality", "vertraulich", "riservato")
)
