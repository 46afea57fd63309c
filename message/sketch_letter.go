package message

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
	"sync"
	"unicode/utf8"
)

// letterReader takes the terms out of a letter, line by line. What follows a sign-off
// or is quoted goes apart: an employee's signature and disclaimer are longer than many
// of his letters, and the same in all of them.
type letterReader struct {
	letterState
	split split // of text
	seen  seenWords

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
	r.seen = seenWords{}
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
	words := &r.split
	for i < end {
		for words.from(r.word) < i {
			r.word++
		}
		odd := min(r.nextOdd(i), end)
		stop := odd // a word that ends there has other characters, too
		if odd == end || !continues(r.text[odd:]) {
			stop++
		}
		for r.when.busy() && words.to(r.word) < stop {
			r.date(words.hashes[r.word])
			i = r.readWords(i, r.word+1, stop)
		}
		i = r.readWords(i, len(words.hashes), stop)
		next := min(odd, words.from(r.word))
		r.punctuate(i, next)
		if i = next; i < end {
			i = r.sign(i)
		}
	}
}

// readWords reads the words up to this one that end before stop, and says how far the text
// is read then, as i says it before.
func (r *letterReader) readWords(i, to, stop int) int {
	words, end := &r.split, r.word
	for end < to && words.to(end) < stop {
		end++
	}
	if end == r.word {
		return i
	}
	for r.word < end {
		if r.named > 0 {
			r.punctuate(i, words.from(r.word))
		} else {
			r.word += r.takeMany(words.hashes[r.word:end], words.sorts[r.word:end])
		}
		if r.word < end {
			i = words.to(r.word)
			r.take(words.hashes[r.word], words.sorts[r.word], false)
			r.word++
		}
	}
	r.when.word = words.hashes[end-1]
	return words.to(end - 1)
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
func (r *letterReader) takeOdd(h uint64, isValue bool) { r.take(h, counts, isValue) }

// take counts a word or value of the line.
func (r *letterReader) take(h uint64, sort wordSort, isValue bool) {
	if sort == countsNever {
		return
	}
	if known := knownWords.of(h); known != 0 {
		r.note(known)
	}
	met, times := r.seen.times(h)
	if sort == unspeakable && times == 0 {
		return
	}
	*met = metAgain(h, times)
	r.nth++
	r.open(h, r.nth)
	list := &r.head
	if isValue || r.nth <= r.named {
		list = &r.values
	}
	if t, isNew := newTerm(h, times); isNew > 0 {
		*list = append(*list, t)
	}
}

// takeMany counts words of the line, which are nobody's name, until it comes to one that take
// has to look at, and says how many it has counted.
func (r *letterReader) takeMany(hashes []uint64, sorts []wordSort) (n int) {
	end := len(r.head)
	head := slices.Grow(r.head, len(hashes))
	head = head[:cap(head)]
	sorts = sorts[:len(hashes)]
	for ; n < len(hashes) && sorts[n] == counts && !knownWords.maybe(hashes[n]); n++ {
		h := hashes[n]
		met, times := r.seen.times(h)
		*met = metAgain(h, times)
		t, isNew := newTerm(h, times)
		head[end] = t
		end += isNew // whether it is new would be guessed wrong as often as not
	}
	r.head = head[:end]
	for i, h := range hashes[:min(n, 2)] {
		r.open(h, r.nth+i+1)
	}
	r.nth += n
	return n
}

// open notes the words that the line begins with, of which this is the nth of the letter.
func (r *letterReader) open(h uint64, nth int) {
	switch nth - r.begin {
	case 1:
		r.first = h
	case 2:
		r.second = h
	}
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
