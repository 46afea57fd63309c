package message

import (
	"bytes"
	"unicode/utf8"
)

// Styles may hide a letter from us only, and show it to its readers: moved away and back
// by something else, written as no browser reads it, and so on without end. So a letter
// that hides much is looked at with what it hides, too; and one that hides most of itself
// is told by that alone, as what is truly hidden in it may differ each time.

// view is what a page takes of a text.
type view uint8

const (
	anySeen    view = iota // what any reader sees
	surelySeen             // what every reader sees
	allText                // what styles hide, too
)

// Hiding is how much of a letter's text styles hide.
type Hiding uint8

const (
	HidesLittle Hiding = iota // or nothing
	HidesMuch                 // with it, it may be another letter
	HidesMost                 // so much that nobody needs it, or nobody knows how much
)

// ReadAll is ReadBody for what styles hide, too, and without the undecoded body where the
// MIME structure could not be followed. Nobody may see it: it is for counting, and no way
// out.
func ReadAll(fields []Field, body []byte) Body { return readBody(fields, body, allText, nil) }

// shows says whether the page takes what looks so.
func (p *page) shows(l *looks, seen func(look) bool) bool {
	any, surely := l.ask(seen)
	p.doubt = p.doubt || any != surely
	switch p.of {
	case surelySeen:
		return surely
	case allText:
		return any || !l[wide].silent
	}
	return any
}

// hides counts text that is not shown, where it is a style that hides it.
func (p *page) hides(l *looks, text []byte) {
	if l[wide].silent {
		return
	}
	n := letters(text)
	p.hidden += n
	if l[usual].boxless && l[full].boxless && l[wide].boxless {
		p.boxless += n
	}
}

// letters is how many octets of the text are neither blank nor without width: with those
// honest letters fill up the line that a list of mails shows of them.
func letters(text []byte) (n int) {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if !isWhite(r) && !isJoining(r) && !isUnseen(r) {
			n += size
		}
		text = text[size:]
	}
	return n
}

// instead reads what may be shown in place of a text in which styles hide all, which then
// is what was hidden since there was so much: who sees that text is not shown this one.
func (p *page) instead(since int, read func()) {
	from, hidden := len(p.text), p.hidden
	read()
	if hidden > since {
		p.beside += len(p.text) - from
	}
}

// What is much and what is most, in octets and as parts of what is seen. Of two letters
// that hide at random less than a fifth of the same text, what is seen is alike enough,
// and so is all of it where a fourth or less is added that is truly hidden. Both together
// hide no more than a third, half of what is seen. Of 2,813 mails of others ten hide much or
// most, three of them honest: two hide much, and one is too intricate to tell.
//
// What is taken away altogether counts from mostHidden on, or where nothing is seen: it is
// what is put before a letter to be shown in a list of mails, the same in each of a shop's
// orders. With 86 octets of that in honest short letters up to 9 % more of them were refused.
const (
	wordOctets  = 5
	leastHidden = enough * wordOctets
	mostHidden  = 40 * wordOctets
	muchOfSeen  = 4
	mostOfSeen  = 2
)

// hiding judges what was hidden, when all is read.
func (p *page) hiding() Hiding {
	seen := len(bytes.TrimRight(p.text, "\n")) - p.beside
	much := p.hidden
	if p.boxless < mostHidden && seen > 0 {
		much -= p.boxless
	}
	switch {
	case p.tangled, p.hidden >= mostHidden && mostOfSeen*p.hidden > seen:
		return HidesMost
	case much >= leastHidden && muchOfSeen*much > seen:
		return HidesMuch
	}
	return HidesLittle
}
