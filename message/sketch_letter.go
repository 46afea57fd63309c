package message

import (
	"strings"
	"unicode/utf8"
)

// letterReader takes the terms out of a letter, line by line. What follows a sign-off
// or is quoted goes apart: an employee's signature and disclaimer are longer than many
// of his letters, and the same in all of them.
type letterReader struct {
	wordHash
	when       when
	head, tail []term
	values     []term // numbers and names of the head
	// seen counts the words met, each in the two lowest bits beside a part of its hash:
	// the second "parcel" is a term of its own, the fourth none any more. Of two words
	// in one place the later one counts from one again, which adds no term.
	seen [1 << 12]uint16

	met    int    // appointments counted
	nth    int    // word of the letter
	count  int    // words of this line
	first  uint64 // word of the line
	second uint64
	formal int  // words of the line that French letters end with
	naming int  // words to come that may be the name of who is greeted
	legal  bool // the line speaks of confidentiality
	before rune // an ideograph, 0 after anything else

	inTail   bool // all that follows is tail
	awaiting bool // "Bob wrote:" was said, and nothing after it yet
	thanked  bool // the line before was "Thanks": a name after that makes it the end
}

const (
	maxSeen   = 3  // times that one word counts; fits two bits
	maxNaming = 5  // words: "Dear Mrs Anna Maria Smith"
	maxValues = 28 // percent of the head's words: a price list is the same with other prices
	maxMet    = 8  // appointments: more are a programme
	minHead   = 6  // words that a head counts for at least where it bounds its tail
)

func newLetterReader(size int) *letterReader {
	r := &letterReader{head: make([]term, 0, 64+size/6), values: make([]term, 0, 32)} // some six octets to a word
	r.reset()
	return r
}

// startText says that the lines after the Subject begin.
func (r *letterReader) startText() {
	r.inTail, r.awaiting, r.thanked = false, false, false
	r.when = when{}
}

// line reads one line of the letter.
func (r *letterReader) line(s string) {
	s = strings.TrimSpace(s)
	if s == "" {
		return
	}
	quoted := s[0] == '>'
	r.inTail = r.inTail || r.awaiting && !quoted // quoted without marks
	r.awaiting = introduces(s)
	words, values := len(r.head), len(r.values)
	r.readLine(s)
	r.inTail = r.inTail || r.endsHere(s)
	r.thanked = 0 < r.count && r.count <= 2 && thanks[r.first]
	if r.inTail || quoted || r.awaiting {
		r.tail = append(append(r.tail, r.head[words:]...), r.values[values:]...)
		r.head, r.values = r.head[:words], r.values[:values]
	}
}

// endsHere says of the line just read that the letter proper ends with it or before it.
func (r *letterReader) endsHere(s string) bool {
	return s == "--" || r.signsOff() || r.thanked && r.count <= 3 || isForward(s) || r.legal && isDisclaimer(s)
}

// signsOff says whether the line is "Kind regards" or the like, of five words at most,
// or "Je vous prie d'agréer, Madame, l'expression de mes salutations".
func (r *letterReader) signsOff() bool {
	short := 0 < r.count && r.count <= 5
	return short && (signOffs[r.first] || r.count > 1 && signOffs[r.first+r.second]) || r.formal >= 2
}

func (r *letterReader) readLine(s string) {
	r.count, r.naming, r.formal, r.legal = 0, 0, 0, false
	if !holdsAddress(s) {
		r.read(s)
		return
	}
	for chunk := range strings.FieldsSeq(s) {
		if !holdsAddress(chunk) {
			r.read(chunk)
		}
	}
}

// holdsAddress says whether there is a mail address or URL in s: those differ for each
// recipient, and the hosts among them count by themselves.
func holdsAddress(s string) bool {
	return strings.Contains(s, "@") || strings.Contains(s, "://") || strings.Contains(s, "www.")
}

// read reads text without addresses in it.
func (r *letterReader) read(s string) {
	for i := 0; i < len(s); {
		if n := r.addLetters(s[i:]); n > 0 {
			i += n
			continue
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			wide, n := utf8.DecodeRuneInString(s[i:])
			r.readWide(wide)
			i += n
			continue
		}
		i++
		if '0' <= c && c <= '9' {
			r.addDigit(int(c - '0'))
		} else {
			r.flush(c)
		}
	}
	r.flush(' ')
}

// readWide reads a character beyond ASCII.
func (r *letterReader) readWide(c rune) {
	switch f := foldRune(c); {
	case f == unseen:
	case f == 0:
		r.flush(' ')
	case ideograph(f):
		before := r.before
		r.flush(' ')
		if before != 0 { // two of them are a word
			r.take(mix(uint64(before)<<32|uint64(f)), aWord)
		}
		r.before = f
	default:
		r.add(f)
	}
}

// flush ends a word, which this byte follows.
func (r *letterReader) flush(after byte) {
	r.before = 0
	if r.letters > 0 {
		r.endWord(after)
	}
	if after == ',' || after == '!' || after == ':' {
		r.naming = 0
	}
}

func (r *letterReader) endWord(after byte) {
	h, k := r.sum(), r.kind()
	switch {
	case r.digit:
		r.when.takeNumber(r.number, r.letter, r.rest, after, r.nth)
		r.meet()
	case r.when.busy():
		r.when.takeWord(h, r.nth)
		r.meet()
	default:
		r.when.word = h
	}
	if k != nothing {
		r.note(h)
		r.take(h, k)
	}
	r.reset()
}

// note looks for what a line of a disclaimer or of a French ending has.
func (r *letterReader) note(h uint64) {
	if legalWords.has(h) {
		r.legal = true
	}
	if formalWords.has(h) {
		r.formal++
	}
}

// meet counts an appointment that is complete.
func (r *letterReader) meet() {
	if a := r.when.appointment(); a != 0 && r.met < maxMet {
		r.met++
		r.head = appendHeavy(r.head, a, weightAppointment)
	}
}

// take counts a word or value of the line.
func (r *letterReader) take(h uint64, k tokenKind) {
	r.nth++
	r.count++
	switch r.count {
	case 1:
		r.first = h
		if greetings[h] {
			r.naming = maxNaming + 1 // and itself
		}
	case 2:
		r.second = h
	}
	r.naming--
	n := &r.seen[h%uint64(len(r.seen))]
	if word := uint16(h>>48) &^ 3; *n&^3 != word {
		*n = word
	}
	if *n&3 >= maxSeen {
		return
	}
	*n++
	t := term(mix(h + uint64(*n&3)*golden))
	if r.naming >= 0 || k == aValue {
		r.values = append(r.values, t)
	} else {
		r.head = append(r.head, t)
	}
}

// told joins what counts: of the tail no more than of the head, so that a letter under
// which the same things always stand is told by what is above them.
func (r *letterReader) told() []term {
	r.when.minutes = false
	r.meet()
	list := append(r.head, thinned(r.values, len(r.head)*maxValues/100, 0)...)
	if len(list) == 0 {
		return r.tail
	}
	return append(list, thinned(r.tail, max(len(list), minHead), 0)...)
}

// thinned is about n of the terms: the same ones in two letters of about the same size.
// What is thinned twice needs another salt, else the second time spares the survivors.
func thinned(list []term, n int, salt uint64) []term {
	if len(list) <= n {
		return list
	}
	below := ^uint64(0) / uint64(len(list)) * uint64(n)
	kept := list[:0]
	for _, t := range list {
		if mix(uint64(t)^salt) < below {
			kept = append(kept, t)
		}
	}
	return kept
}
