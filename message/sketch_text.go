package message

import (
	"strings"
	"unicode/utf8"
)

// letterReader takes the terms out of a letter, line by line. What follows a sign-off or is
// quoted goes apart: an employee's signature and disclaimer are longer than many of
// his letters, and the same in all of them.
type letterReader struct {
	wordHash
	head, tail []term
	// seen counts the words met, by a part of their hash: the second "parcel" is a term
	// of its own, the fourth none any more.
	seen [1 << 12]uint8

	before   rune // an ideograph, 0 after anything else
	naming   int  // words to come that may be the name of who is greeted
	count    int  // words of this line
	first    uint64
	second   uint64
	legal    bool // the line speaks of confidentiality
	inTail   bool // all that follows is tail
	awaiting bool // "Bob wrote:" was said, and nothing after it yet
}

// maxSeen is how often one word counts.
const maxSeen = 3

// maxNaming is in words: "Dear Mrs Anna Maria Smith".
const maxNaming = 5

// startText says that the lines after the Subject begin.
func (r *letterReader) startText() { r.inTail, r.awaiting = false, false }

// line reads one line of the letter.
func (r *letterReader) line(s string) {
	s = strings.TrimSpace(s)
	if s == "" {
		return
	}
	quoted := s[0] == '>'
	if r.awaiting && !quoted { // quoted without marks: the rest is
		r.inTail = true
	}
	r.awaiting = introduces(s)
	start := len(r.head)
	r.naming, r.count, r.legal = 0, 0, false
	for rest := s; rest != ""; {
		var chunk string
		chunk, rest = cutChunk(rest)
		r.chunk(chunk)
	}
	if !r.inTail {
		r.inTail = s == "--" || r.signsOff() || isForward(s) || r.legal && len(s) >= minLegal && speaksOfMail(s)
	}
	if r.inTail || quoted || r.awaiting {
		r.tail = append(r.tail, r.head[start:]...)
		r.head = r.head[:start]
	}
}

// cutChunk takes what stands before the next blank off s; addresses and URLs are
// whole chunks and say nothing here.
func cutChunk(s string) (chunk, rest string) {
	masked := false
	i := 0
	for ; i < len(s) && s[i] > ' '; i++ {
		masked = masked || s[i] == '@' || s[i] == ':' && strings.HasPrefix(s[i:], "://")
	}
	for rest = s[i:]; rest != "" && rest[0] <= ' '; {
		rest = rest[1:]
	}
	if masked || len(s) > 4 && s[:4] == "www." {
		return "", rest
	}
	return s[:i], rest
}

func (r *letterReader) chunk(s string) {
	for i := 0; i < len(s); {
		c, n := rune(s[i]), 1
		if c >= utf8.RuneSelf {
			c, n = utf8.DecodeRuneInString(s[i:])
		}
		i += n
		switch f := foldRune(c); {
		case f == unseen:
		case ideograph(f):
			r.pair(f)
		case f == 0:
			r.flush()
			if c == ',' || c == '!' || c == ':' || c == '.' && r.count > 2 {
				r.naming = 0
			}
		default:
			r.add(f)
		}
	}
	r.flush()
	r.before = 0
}

// pair takes an ideograph: with the one before it, it is a word.
func (r *letterReader) pair(c rune) {
	before := r.before
	r.flush()
	if before != 0 {
		r.take(mix(uint64(before)<<32|uint64(c)), aShort)
	}
	r.before = c
}

// flush ends a word.
func (r *letterReader) flush() {
	r.before = 0
	if r.letters == 0 {
		return
	}
	if h, k := r.end(); k != nothing {
		r.take(h, k)
	}
}

// take counts a word or value of the line.
func (r *letterReader) take(h uint64, k tokenKind) {
	r.legal = r.legal || legalWords[h]
	r.count++
	switch r.count {
	case 1:
		r.first = h
		if greetings[h] {
			r.naming = maxNaming
		}
	case 2:
		r.second = h
	}
	weight := term(weightWord)
	switch {
	case k == aValue, r.naming > 0:
		weight = weightValue
	case k == aShort:
		weight = weightShort
	}
	r.naming--
	n := &r.seen[h%uint64(len(r.seen))]
	if *n >= maxSeen {
		return
	}
	*n++
	r.head = append(r.head, newTerm(mix(h+uint64(*n)*golden), weight))
}

// minHead is the least, in half words, that the part before the sign-off counts for
// when it is said how much the rest may count.
const minHead = 20

// thinTail joins the tail to the head, as much of it as weighs half of the head.
func (r *letterReader) thinTail() []term {
	head, tail := weigh(r.head), weigh(r.tail)
	budget := max(head, minHead) / 2
	if head == 0 || tail <= budget {
		return append(r.head, r.tail...)
	}
	// The same terms in two letters of about the same size.
	below := ^uint64(0) / uint64(tail) * uint64(budget)
	for _, t := range r.tail {
		if mix(uint64(t)) < below {
			r.head = append(r.head, t)
		}
	}
	return r.head
}

// signsOff says whether the line is "Kind regards" or the like: of five words at most,
// but for French formulas.
func (r *letterReader) signsOff() bool {
	if r.count == 0 {
		return false
	}
	return r.count <= 5 && (signOffs[r.first] || r.count > 1 && signOffs[r.first+r.second]) ||
		r.count > 1 && formulas[r.first+r.second]
}

// introduces says whether a quotation follows: "Bob wrote:".
func introduces(s string) bool {
	if s[len(s)-1] != ':' {
		return false
	}
	s = strings.TrimRight(s[:len(s)-1], " \u00a0")
	for _, end := range []string{"wrote", "écrit", "schrieb", "scritto", "escribió", "a ecrit"} {
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
	s = strings.ToLower(strings.Trim(s, "- "))
	return s == "original message" || s == "message d'origine" || s == "message original" ||
		s == "forwarded message" || s == "message transféré" || s == "ursprüngliche nachricht"
}

// minLegal is how long a line of a disclaimer is at least, in bytes.
const minLegal = 60

func speaksOfMail(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "mail") || strings.Contains(s, "message") || strings.Contains(s, "courriel")
}

// withoutReply takes "Re:", "Fwd:", "TR:" and the like off the front of a Subject.
func withoutReply(s string) string {
	for {
		s = strings.TrimSpace(s)
		colon := strings.IndexByte(s, ':')
		if colon < 0 {
			return s
		}
		switch strings.ToLower(strings.TrimSpace(s[:colon])) {
		case "re", "fw", "fwd", "tr", "aw", "wg", "rif", "rv", "réf":
			s = s[colon+1:]
		default:
			return s
		}
	}
}

// hashWords is the sum of the words' hashes, as the reader makes them.
func hashWords(s string) uint64 {
	var w wordHash
	w.end()
	sum := uint64(0)
	for word := range strings.FieldsSeq(s) {
		for _, c := range word {
			w.add(foldRune(c))
		}
		h, _ := w.end()
		sum += h
	}
	return sum
}

func phraseSet(phrases ...string) map[uint64]bool {
	set := map[uint64]bool{}
	for _, p := range phrases {
		set[hashWords(p)] = true
	}
	return set
}

var (
	greetings = phraseSet("bonjour", "bonsoir", "cher", "chère", "chers", "chères", "madame", "monsieur", "mesdames", "messieurs",
		"salut", "coucou", "hello", "hi", "hey", "dear", "good", "greetings", "hallo", "liebe", "lieber", "sehr", "guten", "hola",
		"estimado", "estimada", "ciao", "buongiorno", "gentile", "caro", "cara")
	signOffs = phraseSet("cordialement", "bien cordialement", "très cordialement", "salutations", "meilleures salutations",
		"sincères salutations", "amicalement", "bien amicalement", "bien à", "respectueusement", "bonne journée", "bonne soirée",
		"belle journée", "bises", "bisous", "crdt", "cdlt", "regards", "kind regards", "best regards", "warm regards", "best wishes",
		"all the", "sincerely", "yours sincerely", "yours faithfully", "yours truly", "sincerely yours", "cheers", "thanks",
		"many thanks", "thank you", "merci", "avec mes", "mit freundlichen", "viele grüße", "freundliche grüße", "saludos",
		"un saludo", "cordiali saluti", "sent from", "envoyé de", "envoyé depuis", "get outlook", "télécharger outlook")
	formulas   = phraseSet("veuillez agréer", "veuillez recevoir", "veuillez croire", "veuillez accepter", "je vous prie")
	legalWords = phraseSet("confidentiel", "confidentiels", "confidentielle", "confidentielles", "confidential", "confidentiality", "confidentialité", "vertraulich", "riservato")
)
