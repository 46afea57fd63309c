package message

// Sketch is what is left of a letter when all that bulk mail varies is taken out of
// it: two letters are as alike as few of its bits differ.
//
// Each thing that the letter says draws points, as many as its weight in the letter, and each
// point turns one bit round (Mitzenmacher, Pagh, Pham: Efficient Estimation for High
// Similarities using Odd Sketches, 2014). Of two letters that share the part s of
// what the one says that says more, some 128*(1-exp(4*s-4)) bits differ. The same letter
// has the same sketch on every host; a change of how it is made ends the campaigns that
// are counted then. docs/accuracy.md has what it was chosen among, and how often it is
// right.
type Sketch [4]uint64

// Letter is what a letter's sketch is made of.
type Letter struct {
	Subject string  // decoded
	Text    string  // Body.Text
	Folded  *Folded // what FoldLines makes of Text; nil where that is not there yet
	Links   []Link
	Files   []uint64

	Pictures []uint64 // Body.Pictures
}

// Near is how many bits the sketches of two messages of one campaign differ by at most:
// they share four fifths of what they say.
const Near = 70

// What counts for more than one word, in words; the figures of docs/accuracy.md hold
// for these.
const (
	weightHost        = 3  // a host that links lead to
	weightAppointment = 11 // a reminder says little else
	weightPictures    = 3  // those shown in the text: in most letters they are the firm's logo
	weightFiles       = 20 // all that is attached, as one: the letter with an invoice is the same each time
)

// enough is the least, in words, that tells a letter without link or file from others.
const enough = 8

// maxSubject is what a Subject weighs at most beside a letter that can be told without it,
// in percent of all the rest: nothing is easier to vary.
const maxSubject = 5

// Sketch of the letter; false when there is nothing in it to tell it by.
func (l Letter) Sketch() (Sketch, bool) {
	r := newLetterReader()
	defer r.free()
	text := l.Folded
	if text == nil {
		r.folded.Fold(l.Text)
		text = &r.folded
	}
	r.readText(text)
	r.readDisguised(text)
	r.readSubject(l.Subject)
	return l.weigh(r)
}

// term is something that a letter says, hashed.
type term uint64

// said are things of one kind that a letter says, and what each of them counts.
type said struct {
	terms []term
	each  uint64 // in parts of a unit
}

// unit is what a word counts, so that there are parts of it.
const unit = 1 << 16

func (s said) weight() uint64 { return uint64(len(s.terms)) * s.each }

// atMost are words that count so much together, at most.
func atMost(weight uint64, words []term) said {
	if n := uint64(len(words)); n*unit > weight {
		return said{words, weight / n}
	}
	return said{words, unit}
}

// weigh gives each thing that the letter says its weight. Of the tail no more counts
// than of the head, so that a letter under which the same things always stand is told by
// what is above them.
func (l *Letter) weigh(r *letterReader) (s Sketch, ok bool) {
	head, met := said{r.head, unit}, said{r.met, weightAppointment * unit}
	own := head.weight() + met.weight()
	values := atMost(own*maxValues/100, r.values)
	own += values.weight()
	subject := said{r.subject, unit}
	tail := atMost(max(own, minHead*unit), r.tail)
	if own+subject.weight() == 0 {
		tail = said{r.tail, unit}
	}
	words := own + tail.weight()

	r.hosts = appendHosts(r.hosts[:0], l.Links)
	hosts := said{r.hosts, weightHost * unit}
	files := said{whole(l.Files), weightFiles * unit}
	pictures := said{whole(l.Pictures), pictureWeight(words + subject.weight())}
	things := hosts.weight() + files.weight() + pictures.weight()
	if words+subject.weight() < enough*unit && things == 0 {
		return s, false
	}
	// Short letters of people differ in nothing but the Subject, above one signature.
	told := own >= enough*unit || len(l.Files) > 0 || things > 0 && len(r.tail) == 0
	if told {
		subject = atMost((words+things)*maxSubject/100, r.subject)
	}
	all := words + things + subject.weight()
	for _, kind := range [...]said{head, met, values, tail, hosts, files, pictures, subject} {
		s.draw(kind, all)
	}
	return s, true
}

// whole makes one thing of all that is attached, so that a logo in each of them
// does not make two invoices alike; the order does not count.
func whole(digests []uint64) []term {
	if len(digests) == 0 {
		return nil
	}
	all := uint64(0)
	for _, d := range digests {
		all += mix(d)
	}
	return []term{term(mix(all))}
}

// pictureWeight is what a letter's pictures count beside words of this weight: where
// these tell nothing, the pictures are the letter.
func pictureWeight(words uint64) uint64 {
	if words < enough*unit {
		return weightFiles * unit
	}
	return weightPictures * unit
}

// points are what all of a letter draws together, about: with fewer there is more of
// chance in a sketch, with more the bits are turned too often to tell how often.
const points = 256

// draw turns round the bits of one kind of things, as part of all that a letter says. Of the
// points that a thing could draw, it is the same ones in each letter, and the more of them
// the more it weighs there.
func (s *Sketch) draw(kind said, all uint64) {
	rate := points * kind.each << 32 / all // points to a thing, and 32 bits of parts of one
	whole, part := rate>>32, rate&(1<<32-1)
	for _, t := range kind.terms {
		for range whole {
			s.turn(t, 1)
			t = term(mix(uint64(t) + golden))
		}
		s.turn(t, (uint64(uint32(t))-part)>>63) // 1 where it is less; a branch would be guessed wrong as often as not
	}
}

// turn turns one bit round, or none where by is 0: the bit of the highest eight of the hash.
func (s *Sketch) turn(t term, by uint64) { s[t>>62] ^= by << (t >> 56 & 63) }

// golden is 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// mix makes every bit of h count for every bit of the answer (the finalizer of
// splitmix64; Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
