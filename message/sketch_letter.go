package message

import (
	"bytes"
	"math/bits"
	"sync"
	"unicode"
	"unicode/utf8"
)

// letterReader takes the terms out of a letter, line by line. What follows a sign-off
// or is quoted goes apart: an employee's signature and disclaimer are longer than many
// of his letters, and the same in all of them.
type letterReader struct {
	letterState
	// seen counts the words met, each in the two lowest bits beside a part of its hash:
	// the second "parcel" is a term of its own, the fourth none any more. Of two words
	// in one place the later one counts from one again, which adds no term.
	seen [1 << seenBits]uint16
}

type letterState struct {
	text       []byte   // folded, and padded
	others     []uint64 // a bit for each byte of text that is none from a to z
	marks      marks    // of addresses in it
	when       when
	head, tail []term
	values     []term // numbers and names of the head

	met    int    // appointments counted
	nth    int    // word of the letter
	count  int    // words of this line
	first  uint64 // word of the line
	second uint64
	formal int  // words of the line that French letters end with
	naming int  // words to come that may be the name of who is greeted
	legal  bool // the line speaks of confidentiality

	glyph    rune // the last ideograph
	glyphEnd int  // where it ended

	inTail   bool // all that follows is tail
	awaiting bool // "Bob wrote:" was said, and nothing after it yet
	thanked  bool // the line before was "Thanks": a name after that makes it the end
}

const (
	seenBits  = 12
	maxSeen   = 3  // times that one word counts; fits two bits
	maxNaming = 5  // words: "Dear Mrs Anna Maria Smith"
	maxValues = 28 // percent of the head's words: a price list is the same with other prices
	maxMet    = 8  // appointments: more are a programme
	maxEnding = 5  // words of a line that a letter may end with
	minHead   = 6  // words that a head counts for at least where it bounds its tail
)

// letterReaders are large, and all of what they had read is forgotten.
var letterReaders = sync.Pool{New: func() any { return new(letterReader) }}

func newLetterReader() *letterReader {
	r := letterReaders.Get().(*letterReader)
	r.letterState = letterState{others: r.others[:0], head: r.head[:0], tail: r.tail[:0], values: r.values[:0]}
	r.seen = [1 << seenBits]uint16{}
	return r
}

// free gives the reader back. What it told must not be used any more.
func (r *letterReader) free() {
	r.text, r.marks = nil, marks{}
	letterReaders.Put(r)
}

// readSubject reads the Subject, which is one line.
func (r *letterReader) readSubject(s string) {
	f := FoldLines(s)
	r.setText(&f)
	end := len(f.Text())
	r.line(end-len(withoutReply(f.Text())), end)
}

// readText reads the lines after the Subject.
func (r *letterReader) readText(f *Folded) {
	r.setText(f)
	r.inTail, r.awaiting, r.thanked = false, false, false
	r.when = when{}
	from := 0
	for _, end := range f.ends {
		r.line(from, end)
		from = end + 1
	}
}

// line reads one line of the letter.
func (r *letterReader) line(from, end int) {
	if from == end {
		return
	}
	s := r.text[from:end]
	quoted := s[0] == '>'
	r.inTail = r.inTail || r.awaiting && !quoted // quoted without marks
	r.awaiting = introduces(s)
	words, values := len(r.head), len(r.values)
	r.readLine(from, end)
	r.inTail = r.inTail || r.endsHere(s)
	r.thanked = 0 < r.count && r.count <= 2 && knownWords.of(r.first)&aThanks != 0
	if r.inTail || quoted || r.awaiting {
		r.tail = append(append(r.tail, r.head[words:]...), r.values[values:]...)
		r.head, r.values = r.head[:words], r.values[:values]
	}
}

// endsHere says of the line just read that the letter proper ends with it or before it.
func (r *letterReader) endsHere(s []byte) bool {
	return string(s) == "--" || r.signsOff() || r.thanked && r.count <= 3 || isForward(s) || r.legal && isDisclaimer(s)
}

// signsOff says whether the line is "Kind regards" or the like, of five words at most,
// or "Je vous prie d'agréer, Madame, l'expression de mes salutations".
func (r *letterReader) signsOff() bool {
	short := 0 < r.count && r.count <= maxEnding
	return short && (knownWords.of(r.first)&aSignOff != 0 || r.count > 1 && knownWords.of(r.first+r.second)&aSignOff != 0) || r.formal >= 2
}

// readLine reads a line but for the mail addresses and URLs in it: those differ for
// each recipient, and the hosts among them count by themselves.
func (r *letterReader) readLine(from, end int) {
	r.count, r.naming, r.formal, r.legal = 0, 0, 0, false
	for mark := r.marks.next(from); mark < end; mark = r.marks.next(from) {
		r.read(from, from+bytes.LastIndexByte(r.text[from:mark], ' ')+1)
		from = mark + bytes.IndexByte(r.text[mark:], ' ') // one stands behind each line
	}
	r.read(from, end)
}

// read reads what has no addresses in it. A blank follows it.
func (r *letterReader) read(i, end int) {
	s := r.text
	for i < end {
		n := r.letters(i)
		h := hashEight(wordSeed, eight(s[i:]), n)
		if n >= 8 {
			h, n = hashMore(h, s[i:])
		}
		next := s[i+n]
		if next >= '0' && continues(s[i+n:]) {
			i = r.readOdd(i)
			continue
		}
		if n > 0 {
			r.word(h, s[i:i+n])
			i += n
		}
		switch {
		case next >= utf8.RuneSelf:
			i = r.sign(i)
			continue
		case next == ',' || next == '!' || next == ':':
			r.naming = 0
		}
		i++
	}
}

// setText sets the text that is read. Where its words end is found out at once, so that
// one word can be read before it is known where the one before it ends.
func (r *letterReader) setText(f *Folded) {
	r.text, r.marks = f.padded, newMarks(f.Text())
	r.others = r.others[:0]
	s := f.padded
	for ; len(s) >= 64; s = s[64:] {
		some := uint64(0)
		for i := 0; i < 64; i += 8 {
			some |= bitOf(otherThanLetters(eight(s[i:]))) << i
		}
		r.others = append(r.others, some)
	}
	some := ^uint64(0)
	for i, c := range s {
		if 'a' <= c && c <= 'z' {
			some &^= 1 << i
		}
	}
	r.others = append(r.others, some, ^uint64(0))
}

// letters is how many letters a to z stand at i and behind it; 64 are many.
func (r *letterReader) letters(i int) int {
	at, bit := i/64, uint(i)%64
	return bits.TrailingZeros64(r.others[at]>>bit | r.others[at+1]<<(64-bit))
}

// continues says whether a word goes on with the character that s begins with: a
// digit, or a letter beyond ASCII.
func continues(s []byte) bool {
	if s[0] < utf8.RuneSelf {
		return '0' <= s[0] && s[0] <= '9'
	}
	c, _ := utf8.DecodeRune(s)
	return !ideograph(c) && (isLetter(c) || unicode.IsDigit(c))
}

// readOdd reads a word that is not made of the letters a to z alone, and says where
// it ends.
func (r *letterReader) readOdd(i int) int {
	w := oddWord{hash: fnvOffset}
	for {
		switch c := r.text[i]; {
		case 'a' <= c && c <= 'z':
			w.addLetter(c)
			i++
		case !continues(r.text[i:]):
			r.endOdd(&w, c)
			return i
		case c < utf8.RuneSelf:
			w.addDigit(int(c - '0'))
			i++
		default:
			wide, n := utf8.DecodeRune(r.text[i:])
			if isLetter(wide) {
				w.addForeign(wide)
			} else {
				w.addDigit(0) // of another script: that it is a number is enough
			}
			i += n
		}
	}
}

// sign reads the character beyond ASCII at i that is no letter of a word, and says where
// it ends. Of the scripts that set no blanks, two characters are a word.
func (r *letterReader) sign(i int) int {
	c, n := utf8.DecodeRune(r.text[i:])
	if ideograph(c) {
		if i > 0 && r.glyphEnd == i {
			r.take(mix(uint64(r.glyph)<<32|uint64(c)), nil, false)
		}
		r.glyph, r.glyphEnd = c, i+n
	}
	return i + n
}

// word takes a word of the letters a to z.
func (r *letterReader) word(h uint64, letters []byte) {
	if r.when.busy() {
		r.date(h)
	}
	r.when.word = h
	if 2 <= len(letters) && len(letters) <= maxWord {
		r.take(h, letters, false)
	}
}

// endOdd takes another word, which this byte follows.
func (r *letterReader) endOdd(w *oddWord, after byte) {
	h := mix(w.hash)
	if w.digit {
		r.when.takeNumber(w.number, w.letter, w.rest, after, r.nth)
		r.meet()
		r.take(h, nil, true)
		return
	}
	if r.when.busy() {
		r.date(h)
	}
	r.when.word = h
	if 2 <= w.letters && w.letters <= maxWord {
		r.take(h, nil, false)
	}
}

// date looks at a word for what it says of an appointment.
func (r *letterReader) date(h uint64) {
	r.when.takeWord(h, r.nth)
	r.meet()
}

// meet counts an appointment that is complete.
func (r *letterReader) meet() {
	if a := r.when.appointment(); a != 0 && r.met < maxMet {
		r.met++
		r.head = appendHeavy(r.head, a, weightAppointment)
	}
}

// take counts a word or value of the line, which may be made of these letters.
func (r *letterReader) take(h uint64, letters []byte, isValue bool) {
	if known := knownWords.of(h); known != 0 {
		r.note(known)
	}
	met := &r.seen[h>>seenBits%uint64(len(r.seen))]
	if part := uint16(h) &^ 3; *met&3 == 0 || *met&^3 != part {
		if unspeakable(letters) {
			return
		}
		*met = part
	}
	r.nth++
	if r.count++; r.count <= 2 {
		r.begin(h)
	}
	r.naming--
	if *met&3 == maxSeen {
		return
	}
	*met++
	t := term(mix(h + uint64(*met&3)*golden))
	if isValue || r.naming >= 0 {
		r.values = append(r.values, t)
	} else {
		r.head = append(r.head, t)
	}
}

// note takes what a line of a disclaimer or of a French ending has.
func (r *letterReader) note(known knownWord) {
	if known&aLegalWord != 0 {
		r.legal = true
	}
	if known&aFormalWord != 0 {
		r.formal++
	}
	if known&aGreeting != 0 && r.count == 0 {
		r.naming = maxNaming + 1 // and itself
	}
}

// begin takes the two words that a line begins with.
func (r *letterReader) begin(h uint64) {
	if r.count == 1 {
		r.first = h
	} else {
		r.second = h
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
