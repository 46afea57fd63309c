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

	folded Folded // of the Subject, and of a text that was not there folded
}

type letterState struct {
	text       []byte   // folded, and padded
	others     []uint64 // a bit for each byte of text that is none from a to z
	marks      marks    // of addresses in it
	when       when
	head, tail []term
	values     []term // numbers and names of the head
	met        []term // appointments of the head
	subject    []term // all that the Subject says
	hosts      []term

	nth     int    // words read
	numbers int    // of them, and words with digits
	begin   int    // those before this line
	first   uint64 // word of the line
	second  uint64
	formal  int  // words of the line that French letters end with
	named   int  // up to this word it may be the name of who is greeted
	legal   bool // the line speaks of confidentiality

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
	r.reset()
	return r
}

// reset forgets what was read.
func (r *letterReader) reset() {
	r.letterState = letterState{others: r.others[:0], head: r.head[:0], tail: r.tail[:0], values: r.values[:0],
		met: r.met[:0], subject: r.subject[:0], hosts: r.hosts[:0]}
	r.seen = [1 << seenBits]uint16{}
}

// free gives the reader back. What it told must not be used any more.
func (r *letterReader) free() {
	r.text, r.marks = nil, marks{}
	letterReaders.Put(r)
}

// readText reads the lines of the letter.
func (r *letterReader) readText(f *Folded) {
	r.setText(f)
	from := 0
	for _, end := range f.ends {
		r.line(from, end)
		from = end + 1
	}
	r.when.minutes = false
	r.meet()
}

// readSubject reads the Subject, which is one line, after the text: so what that says is
// the same under any Subject.
func (r *letterReader) readSubject(s string) {
	f := &r.folded
	f.Fold(s)
	r.setText(f)
	r.when = when{}
	words, values, met := len(r.head), len(r.values), len(r.met)
	end := len(f.Text())
	r.readLine(end-len(withoutReply(f.Text())), end)
	r.subject = r.moved(r.subject, words, values, met)
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
	words, values, met := len(r.head), len(r.values), len(r.met)
	r.readLine(from, end)
	r.inTail = r.inTail || r.endsHere(s)
	r.thanked = 0 < r.count() && r.count() <= 2 && knownWords.of(r.first)&aThanks != 0
	if r.inTail || quoted || r.awaiting {
		r.tail = r.moved(r.tail, words, values, met)
	}
}

// moved adds to the list what the head has behind so many words, values and appointments.
func (r *letterReader) moved(list []term, words, values, met int) []term {
	list = append(append(list, r.head[words:]...), r.values[values:]...)
	for _, t := range r.met[met:] {
		for i := range uint64(weightAppointment) {
			list = append(list, term(mix(uint64(t)+i*golden)))
		}
	}
	r.head, r.values, r.met = r.head[:words], r.values[:values], r.met[:met]
	return list
}

// endsHere says of the line just read that the letter proper ends with it or before it.
func (r *letterReader) endsHere(s []byte) bool {
	return string(s) == "--" || r.signsOff() || r.thanked && r.count() <= 3 || isForward(s) || r.legal && isDisclaimer(s)
}

// signsOff says whether the line is "Kind regards" or the like, of five words at most,
// or "Je vous prie d'agréer, Madame, l'expression de mes salutations".
func (r *letterReader) signsOff() bool {
	short := 0 < r.count() && r.count() <= maxEnding
	return short && (knownWords.of(r.first)&aSignOff != 0 || r.count() > 1 && knownWords.of(r.first+r.second)&aSignOff != 0) || r.formal >= 2
}

// count is of the words of the line, so far.
func (r *letterReader) count() int { return r.nth - r.begin }

// readLine reads a line but for the mail addresses and URLs in it: those differ for
// each recipient, and the hosts among them count by themselves.
func (r *letterReader) readLine(from, end int) {
	r.begin, r.named, r.formal, r.legal = r.nth, 0, 0, false
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
		if n == 0 {
			i = r.sign(i)
			continue
		}
		h := hashEight(wordSeed, eight(s[i:]), n)
		if n >= 8 {
			h, n = hashMore(h, s[i:])
		}
		next := s[i+n]
		if next >= '0' && continues(s[i+n:]) {
			i = r.readOdd(i)
			continue
		}
		if r.when.busy() {
			r.date(h)
		}
		r.when.word = h
		if 2 <= n && n <= maxWord {
			r.take(h, s[i:], n, false)
		}
		if i += n; next == ' ' {
			i++
		}
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

// sign reads the character at i that is no letter a to z, and what word it may begin, and
// says where that ends. Of the scripts that set no blanks, two characters are a word.
func (r *letterReader) sign(i int) int {
	if b := r.text[i]; b < utf8.RuneSelf {
		switch {
		case '0' <= b && b <= '9':
			return r.readOdd(i)
		case b == ',' || b == '!' || b == ':':
			r.named = 0
		}
		return i + 1
	}
	if continues(r.text[i:]) {
		return r.readOdd(i)
	}
	c, n := utf8.DecodeRune(r.text[i:])
	if ideograph(c) {
		if i > 0 && r.glyphEnd == i {
			r.take(mix(uint64(r.glyph)<<32|uint64(c)), nil, 0, false)
		}
		r.glyph, r.glyphEnd = c, i+n
	}
	return i + n
}

// endOdd takes another word, which this byte follows.
func (r *letterReader) endOdd(w *oddWord, after byte) {
	h := mix(w.hash)
	if w.digit {
		r.when.takeNumber(w.number, w.letter, w.rest, after, r.nth)
		r.meet()
		r.numbers++
		r.take(h, nil, 0, true)
		return
	}
	if r.when.busy() {
		r.date(h)
	}
	r.when.word = h
	if 2 <= w.letters && w.letters <= maxWord {
		r.take(h, nil, 0, false)
	}
}

// date looks at a word for what it says of an appointment.
func (r *letterReader) date(h uint64) {
	r.when.takeWord(h, r.nth)
	r.meet()
}

// meet counts an appointment that is complete.
func (r *letterReader) meet() {
	if a := r.when.appointment(); a != 0 && len(r.met) < maxMet {
		r.met = append(r.met, term(mix(a)))
	}
}

// take counts a word or value of the line, which may be made of the first n letters of s.
func (r *letterReader) take(h uint64, s []byte, n int, isValue bool) {
	if known := knownWords.of(h); known != 0 {
		r.note(known)
	}
	met := &r.seen[h>>seenBits%uint64(len(r.seen))]
	times := *met & 3
	if part := uint16(h) &^ 3; times == 0 || *met^times != part {
		if unspeakable(s, n) {
			return
		}
		*met, times = part, 0
	}
	r.nth++
	switch r.nth - r.begin {
	case 1:
		r.first = h
	case 2:
		r.second = h
	}
	if times == maxSeen {
		return
	}
	*met++
	t := term(mix(h + uint64(times+1)*golden))
	if isValue || r.nth <= r.named {
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
	if known&aGreeting != 0 && r.count() == 0 {
		r.named = r.nth + 1 + maxNaming // and itself
	}
}
