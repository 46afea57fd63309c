package main

import (
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"unicode"
)

// mutation is what a sender of bulk does to a letter so that no two are the same.
type mutation struct {
	name  string
	apply func(r *rand.Rand, l letter) letter
}

var mutations = []mutation{
	{"digits", digits},
	{"case", cases},
	{"white space", blanks},
	{"hash-busting words", busting},
	{"tag noise", tagNoise},
	{"charset, encoding", recoded},
	{"links, salutation", personal},
	{"10 % random text", inserted},
}

// extras are beyond the eight kinds that are promised.
var extras = []mutation{
	{"digits and 10 % random text", func(r *rand.Rand, l letter) letter { return digits(r, inserted(r, l)) }},
	{"digits, hash-busting words, links", func(r *rand.Rand, l letter) letter { return personal(r, busting(r, digits(r, l))) }},
	{"all at once", func(r *rand.Rand, l letter) letter {
		for _, m := range mutations {
			l = m.apply(r, l)
		}
		return l
	}},
	{"another Subject of 12 random words", otherSubject},
	{"another Subject, 10 % random text", func(r *rand.Rand, l letter) letter { return otherSubject(r, inserted(r, l)) }},
	{"another sender's name", func(r *rand.Rand, l letter) letter {
		l.sender = randomText(r, 2)
		return l
	}},
	{"look-alike letters", lookAlikes},
	{"20 % random text", func(r *rand.Rand, l letter) letter { return inserted(r, inserted(r, l)) }},
	{"one random file", func(r *rand.Rand, l letter) letter {
		l.files = []string{fmt.Sprintf("%%PDF-1.4 %d", r.Uint64())}
		return l
	}},
	{"random first lines, then a sign-off", func(r *rand.Rand, l letter) letter {
		l.text = randomText(r, 12) + "\nCordialement,\n" + l.text
		return l
	}},
}

// eachLine changes the words of the letter, neither its links' targets nor where
// the salutation is.
func (l letter) eachLine(change func(string) string) letter {
	lines := strings.Split(l.text, "\n")
	for i, line := range lines {
		words, target, isLink := cutLink(line)
		switch {
		case line == "@":
		case isLink:
			lines[i] = "-> " + change(words) + " | " + target
		default:
			lines[i] = change(line)
		}
	}
	l.text = strings.Join(lines, "\n")
	return l
}

func digits(r *rand.Rand, l letter) letter {
	other := func(s string) string {
		return strings.Map(func(c rune) rune {
			if '0' <= c && c <= '9' {
				return '0' + rune(r.IntN(10))
			}
			return c
		}, s)
	}
	l.subject = other(l.subject)
	return l.eachLine(other)
}

func cases(r *rand.Rand, l letter) letter {
	style := r.IntN(4)
	change := func(s string) string {
		switch style {
		case 0:
			return strings.ToUpper(s)
		case 1:
			return strings.ToLower(s)
		}
		return strings.Map(func(c rune) rune {
			if r.IntN(4) == 0 {
				return unicode.ToUpper(c)
			}
			return c
		}, s)
	}
	l.subject, l.greeting = change(l.subject), change(l.greeting)
	return l.eachLine(change)
}

func blanks(r *rand.Rand, l letter) letter {
	kinds := []string{"  ", "\t", "   ", "\u00a0", " \n", "\n"}
	change := func(s string) string {
		words := strings.Split(s, " ")
		for i := range len(words) - 1 {
			if words[i] += " "; r.IntN(3) == 0 {
				words[i] = strings.TrimSpace(words[i]) + kinds[r.IntN(len(kinds))]
			}
		}
		return strings.Join(words, "")
	}
	lines := strings.Split(l.text, "\n")
	for i, line := range lines {
		if _, _, isLink := cutLink(line); !isLink && line != "@" {
			lines[i] = change(line)
		}
	}
	l.text = strings.Join(lines, strings.Repeat("\n", 1+r.IntN(3)))
	return l
}

// busting adds a word that means nothing for each twenty, to the Subject, and last.
func busting(r *rand.Rand, l letter) letter {
	n := len(strings.Fields(l.text)) / 20
	l = l.strew(r, n, hashWord)
	l.subject += " " + hashWord(r)
	l.text += "\n" + hashWord(r) + " " + hashWord(r)
	return l
}

func hashWord(r *rand.Rand) string {
	const letters, all = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz0123456789"
	from := letters
	if r.IntN(2) == 0 {
		from = all
	}
	word := make([]byte, 5+r.IntN(8))
	for i := range word {
		word[i] = from[r.IntN(len(from))]
	}
	return string(word)
}

// strew puts n words between the words of the letter.
func (l letter) strew(r *rand.Rand, n int, word func(*rand.Rand) string) letter {
	all := len(strings.Fields(l.text))
	return l.eachLine(func(s string) string {
		var out []string
		for _, w := range strings.Split(s, " ") {
			if out = append(out, w); r.IntN(all) < n {
				out = append(out, word(r))
			}
		}
		return strings.Join(out, " ")
	})
}

func tagNoise(r *rand.Rand, l letter) letter {
	if l.form == plain {
		l.form = htmlOnly
	}
	l.tags = r
	return l
}

// noisy is text as HTML, with tags that show nothing where the letter wants them.
func (l letter) noisy(s string) string {
	if l.tags == nil {
		return html.EscapeString(s)
	}
	r := l.tags
	var b strings.Builder
	for _, c := range s {
		switch r.IntN(40) {
		case 0:
			b.WriteString("<b></b>")
		case 1:
			fmt.Fprintf(&b, "<!-- %s -->", hashWord(r))
		case 2:
			fmt.Fprintf(&b, "<span class=\"%s\"></span>", hashWord(r))
		case 3:
			fmt.Fprintf(&b, "<font color=\"#%02x2222\">%s</font>", r.IntN(64), html.EscapeString(string(c)))
			continue
		case 4:
			fmt.Fprintf(&b, "<span style=\"display:none\">%s %s</span>", hashWord(r), hashWord(r))
		case 5:
			fmt.Fprintf(&b, "&#%d;", c)
			continue
		}
		b.WriteString(html.EscapeString(string(c)))
	}
	return b.String()
}

func recoded(r *rand.Rand, l letter) letter {
	l.charset = []string{"utf-8", "iso-8859-1", "windows-1252", "iso-8859-15"}[r.IntN(4)]
	l.encoding = []string{"8bit", "quoted-printable", "base64"}[r.IntN(3)]
	return l
}

var firstNames = strings.Fields("Alice Bruno Camille Denis Elise Fatima Gilles Helen Ivan Julie Karim Louise Marc Nadia Olivier Paul Quentin Rose Samuel Tess Ulysse Vera William Xavier Yann Zoe")

func personal(r *rand.Rand, l letter) letter {
	name := firstNames[r.IntN(len(firstNames))]
	family := pseudoWord(r)
	family = strings.ToUpper(family[:1]) + family[1:]
	l.greeting = []string{l.greeting + " " + name, l.greeting + " M. " + family, l.greeting + " " + name + " " + family, name, l.greeting}[r.IntN(5)]
	lines := strings.Split(l.text, "\n")
	for i, line := range lines {
		if words, target, isLink := cutLink(line); isLink {
			lines[i] = "-> " + words + " | " + ownLink(r, target)
		}
	}
	l.text = strings.Join(lines, "\n") + "\n" + strings.ToLower(name+"."+family) + "@" + pseudoWord(r) + ".example"
	return l
}

// ownLink leads to the same place by a name of its own.
func ownLink(r *rand.Rand, target string) string {
	token := fmt.Sprintf("%x", r.Uint64())
	switch r.IntN(4) {
	case 0:
		return target + "?u=" + token
	case 1:
		return target + "/" + token + "/" + hashWord(r)
	case 2:
		scheme, host, _ := strings.Cut(target, "://")
		return scheme + "://" + token[:8] + "." + strings.TrimPrefix(host, "www.")
	}
	return target + "#" + token
}

// inserted adds a tenth of random text: between the words, first, or last.
func inserted(r *rand.Rand, l letter) letter {
	n := (len(strings.Fields(l.text)) + 9) / 10
	switch r.IntN(4) {
	case 0:
		l.text = randomText(r, n) + "\n" + l.text
	case 1:
		l.text += "\n" + randomText(r, n)
	default:
		l = l.strew(r, n, randomWord)
	}
	return l
}

func otherSubject(r *rand.Rand, l letter) letter {
	l.subject = randomText(r, 12)
	return l
}

func randomText(r *rand.Rand, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = randomWord(r)
	}
	return strings.Join(list, " ")
}

// randomWord is a word of the language, or one that could be.
func randomWord(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return dictionary[r.IntN(len(dictionary))]
	}
	return pseudoWord(r)
}

func pseudoWord(r *rand.Rand) string {
	const first, then = "bcdfghjlmnprstv", "aeiou"
	var b strings.Builder
	for range 2 + r.IntN(3) {
		b.WriteByte(first[r.IntN(len(first))])
		b.WriteByte(then[r.IntN(len(then))])
		if r.IntN(3) == 0 {
			b.WriteByte("nrslt"[r.IntN(5)])
		}
	}
	return b.String()
}

var dictionary = strings.Fields(`orage bateau fenêtre cuisine montagne chanson horloge violon papillon rivière lumière escalier chapeau
	fromage boulanger pendant toujours souvent plusieurs ancien tranquille marcher dormir courir regarder écouter construire
	oublier rêver traverser silence ombre hasard village clocher forêt sentier renard hirondelle moisson vendange orchard
	window thunder carpenter whistle meadow lantern copper gentle sudden narrow beneath across wander gather borrow
	remember whisper harbour pebble ribbon saddle timber velvet willow anchor blossom candle drizzle ember feather glimmer
	hollow island jumble kettle ladder marble needle oyster pepper quarrel rattle shadow thistle umbrella voyage walnut
	les des une pour dans avec sur par the and for with from that this was has not but they`)

var cyrillic = strings.NewReplacer("a", "а", "e", "е", "o", "о", "c", "с", "p", "р", "x", "х", "y", "у", "i", "і")

func lookAlikes(r *rand.Rand, l letter) letter {
	l.charset, l.encoding = "utf-8", "base64"
	return l.eachLine(func(s string) string {
		words := strings.Split(s, " ")
		for i := range words {
			if r.IntN(3) == 0 {
				words[i] = cyrillic.Replace(words[i])
			}
		}
		return strings.Join(words, " ")
	})
}
