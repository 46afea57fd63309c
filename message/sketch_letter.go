package message

import (
	"bytes"
	"math"
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
	split split // of text
	// seen counts the words met, each in the two lowest bits beside a part of its hash:
	// the second "parcel" is a term of its own, the fourth none any more. Of two words
	// in one place the later one counts from one again, which adds no term.
	seen [1 << seenBits]uint16

	folded Folded // of the Subject, and of a text that was not there folded
}

type letterState struct {
	text       []byte // folded, and padded
	word       int    // of the split: those before it are read
	oddAt      int    // where an odd character stands, the first one where it was looked for last
	marks      marks  // of addresses in the text
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
	r.letterState = letterState{head: r.head[:0], tail: r.tail[:0], values: r.values[:0],
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

// setText sets the text that is read.
func (r *letterReader) setText(f *Folded) {
	r.text, r.marks = f.padded, newMarks(f.Text())
	r.split.of(f.padded)
	r.word, r.oddAt = 0, -1
}

// read reads what has no addresses in it. A blank follows it.
func (r *letterReader) read(i, end int) {
	words := r.split.words
	for i < end {
		for int(words[r.word].from) < i {
			r.word++
		}
		odd := min(r.nextOdd(i), end)
		stop := odd // a word that ends there has other characters, too
		if odd == end || !continues(r.text[odd:]) {
			stop++
		}
		for r.when.busy() && int(words[r.word].to) < stop {
			r.date(words[r.word].hash)
			i = r.readWords(i, r.word+1, stop)
		}
		i = r.readWords(i, len(words), stop)
		next := min(odd, int(words[r.word].from))
		r.punctuate(i, next)
		if i = next; i < end {
			i = r.sign(i)
		}
	}
}

// readWords reads the words up to this one that end before stop, and says where that is.
func (r *letterReader) readWords(i, to, stop int) int {
	n := r.take(r.split.words[r.word:to], i, stop, false)
	if n == 0 {
		return i
	}
	r.word += n
	last := &r.split.words[r.word-1]
	r.when.word = last.hash
	return int(last.to)
}

// nextOdd is where the first odd character at i or behind it stands. It never goes back
// in one text.
func (r *letterReader) nextOdd(i int) int {
	if r.oddAt >= i {
		return r.oddAt
	}
	odd := r.split.odd
	at := i / 64
	for some := odd[at] >> (uint(i) % 64) << (uint(i) % 64); ; some = odd[at] {
		if some != 0 {
			r.oddAt = at*64 + bits.TrailingZeros64(some)
			return r.oddAt
		}
		if at++; at == len(odd) {
			r.oddAt = math.MaxInt
			return r.oddAt
		}
	}
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

func isLatin(c byte) bool { return 'a' <= c && c <= 'z' }

// readOdd reads a word that is not made of the letters a to z alone, and says where
// it ends.
func (r *letterReader) readOdd(i int) int {
	w := oddWord{hash: fnvOffset}
	for {
		switch c := r.text[i]; {
		case isLatin(c):
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

// sign reads the odd character at i, or the letters before one, and what word they may
// begin, and says where that ends. Of the scripts that set no blanks, two characters are a word.
func (r *letterReader) sign(i int) int {
	if isLatin(r.text[i]) || continues(r.text[i:]) {
		return r.readOdd(i)
	}
	c, n := utf8.DecodeRune(r.text[i:])
	if ideograph(c) {
		if i > 0 && r.glyphEnd == i {
			r.takeOdd(mix(uint64(r.glyph)<<32|uint64(c)), false)
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
		r.takeOdd(h, true)
		return
	}
	if r.when.busy() {
		r.date(h)
	}
	r.when.word = h
	if 2 <= w.letters && w.letters <= maxWord {
		r.takeOdd(h, false)
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

// takeOdd counts a word or value of the line that is not made of letters a to z alone.
func (r *letterReader) takeOdd(h uint64, isValue bool) { r.take([]latin{{hash: h}}, 0, 1, isValue) }

// take counts the words or values of the line that end before stop, and says how many there
// are; i is how far the text is read.
func (r *letterReader) take(words []latin, i, stop int, isValue bool) (n int) {
	for n = range words {
		w := &words[n]
		if int(w.to) >= stop {
			return n
		}
		if r.named > 0 {
			r.punctuate(i, int(w.from))
			i = int(w.to)
		}
		if w.sort == countsNever {
			continue
		}
		h := w.hash
		if known := knownWords.of(h); known != 0 {
			r.note(known)
			i = int(w.to)
		}
		met := &r.seen[h>>seenBits%uint64(len(r.seen))]
		times := *met & 3
		if part := uint16(h) &^ 3; times == 0 || *met^times != part {
			if w.sort == unspeakable {
				continue
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
			continue
		}
		*met++
		t := term(mix(h + uint64(times+1)*golden))
		if isValue || r.nth <= r.named {
			r.values = append(r.values, t)
		} else {
			r.head = append(r.head, t)
		}
	}
	return len(words)
}

// punctuate ends the name of who is greeted where a sign of punctuation stands.
func (r *letterReader) punctuate(from, to int) {
	if r.named > 0 && bytes.ContainsAny(r.text[from:to], ",!:") {
		r.named = 0
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
