package bypass

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// common are words that a reader thinks nothing of.
var common = strings.Fields(`river stone garden window morning coffee train paper music winter summer bridge market doctor school mountain island
	harbour silver copper velvet lantern orchard meadow pigeon ticket saddle barrel candle mirror pepper rocket shadow tunnel violin walnut
	button carpet dragon engine feather gravel hammer insect jacket kettle ladder magnet needle oyster pencil ribbon salmon thread umbrella
	valley whistle yellow anchor basket cactus dinner eleven fabric guitar helmet ivory jungle kitten lemon marble office parade rabbit
	sailor temple about after again because before between could every first found great house large learn never other place plant point
	right small sound spell still study their there these thing think three water where which world would write number people over under
	different sentence follow around another through picture animal father mother country answer always together example family`)

// say is so many of them.
func (g forge) say(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = common[g.IntN(len(common))]
	}
	return strings.Join(list, " ")
}

// gibberish is a word that nobody can speak.
func (g forge) gibberish() string {
	b := make([]byte, 8+g.IntN(5))
	for i := range b {
		b[i] = "bcdfghjklmnpqrstvwxz0123456789"[g.IntN(30)]
	}
	return string(b)
}

// invented is a word that could be one.
func (g forge) invented() string {
	var b strings.Builder
	for range 2 + g.IntN(2) {
		b.WriteByte("bdfgklmnprstv"[g.IntN(13)])
		b.WriteByte("aeiou"[g.IntN(5)])
	}
	return b.String()
}

// spun has one of three words in each of so many of a hundred places, which are always
// the same, as in a template with {one|two|three}.
func spun(percent int) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		return l.eachWord(func(at int, word string) string {
			if at*37%100 < percent {
				if n := g.IntN(3); n > 0 {
					return common[(at*3+n)%len(common)]
				}
			}
			return word
		})
	}
}

// strewn has so many words of chance between a hundred of its own.
func strewn(percent int, word func(forge) string) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		return l.eachWord(func(_ int, own string) string {
			if g.chance(percent) {
				return own + " " + word(g)
			}
			return own
		})
	}
}

func known(g forge) string { return g.say(1) }

// framed has so many words of chance, as paragraphs, before and behind the text.
func framed(before, behind int) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		l = l.clone()
		if before > 0 {
			l.paragraphs = slices.Insert(l.paragraphs, 0, g.say(before)+".")
		}
		if behind > 0 {
			l.paragraphs = append(l.paragraphs, g.say(behind)+".")
		}
		return l
	}
}

// titled has so many words of chance for its Subject.
func titled(words int) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		l.subject = g.say(words)
		return l
	}
}

// personal has a name, a link and an amount of each reader's own.
func personal(g forge, n int, l leaflet) leaflet {
	l = l.clone()
	l.paragraphs[0] = fmt.Sprintf("Dear %s %s, %s", g.one("Alice", "Bruno", "Camille", "Denis", "Elise", "Karim"), g.invented(), l.paragraphs[0])
	l.link += fmt.Sprintf("?u=%x", g.Uint64())
	l.paragraphs = append(l.paragraphs, fmt.Sprintf("Your number is %d, the amount is %d.%02d.", g.IntN(1e9), g.IntN(900), g.IntN(100)))
	return l
}

// parted puts something behind each letter.
func parted(between func(forge) string) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		return l.eachWord(func(_ int, word string) string {
			var b strings.Builder
			for _, r := range word {
				b.WriteString(string(r) + between(g))
			}
			return b.String()
		})
	}
}

// lookAlikes writes some letters with others that look the same.
func lookAlikes(g forge, _ int, l leaflet) leaflet {
	like := strings.NewReplacer("a", "\u0430", "e", "\u0435", "o", "\u043e", "c", "\u0441", "p", "\u0440", "x", "\u0445", "i", "\u0456")
	return l.eachWord(func(_ int, word string) string {
		if g.chance(40) {
			return like.Replace(word)
		}
		return word
	})
}

// named has another sender's name each time.
func named(g forge, _ int, l leaflet) leaflet {
	l.name = g.say(1 + g.IntN(3))
	return l
}

// hidden has words of chance in an element that shows none of them.
func hidden(style string) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		l = l.clone()
		l.html = true
		l.paragraphs[0] += fmt.Sprintf("<span style='%s'>%s</span>", style, g.say(400))
		return l
	}
}

// tagged has attributes, comments and empty elements of chance.
func tagged(g forge, _ int, l leaflet) leaflet {
	l.html = true
	return l.eachWord(func(_ int, word string) string {
		switch g.IntN(5) {
		case 0:
			return fmt.Sprintf("<span class=%q data-x=%q>%s</span>", g.gibberish(), g.gibberish(), word)
		case 1:
			return word[:1] + "<!-- " + g.say(3) + " --><b></b>" + word[1:]
		case 2:
			return fmt.Sprintf("<font style='margin:%dpx' color='#0000%02x'>%s</font>", g.IntN(5), g.IntN(90), word)
		}
		return word
	})
}

// recoded is in another charset, encoding and kind of text.
func recoded(g forge, _ int, l leaflet) leaflet {
	l.charset = g.one("utf-8", "iso-8859-15", "utf-16be")
	l.encoding = g.one("base64", "quoted-printable", "8bit")
	if l.charset == "utf-16be" {
		l.encoding = "base64"
	}
	l.html = g.chance(50)
	return l
}

// shuffled has its paragraphs in another order.
func shuffled(g forge, _ int, l leaflet) leaflet {
	l = l.clone()
	g.Shuffle(len(l.paragraphs), func(i, j int) { l.paragraphs[i], l.paragraphs[j] = l.paragraphs[j], l.paragraphs[i] })
	return l
}

// picture is all of it in a picture, with noise in so many of its octets.
func picture(noise, words int) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		data := slices.Repeat([]byte("\x89PNG picture of a text"), 200)
		for range noise {
			data[g.IntN(len(data))] = byte(g.IntN(256))
		}
		l.paragraphs, l.link = []string{g.say(words)}, ""
		l.parts = []string{"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(data)}
		return l
	}
}

// translated is in one of so many languages, of which no two share a word.
func translated(languages int) func(forge, int, leaflet) leaflet {
	return func(_ forge, n int, l leaflet) leaflet {
		which := n % languages
		return l.eachWord(func(_ int, word string) string {
			return strings.Map(func(r rune) rune {
				if at := strings.IndexRune("aeiou", r); at >= 0 {
					return rune("aeiou"[(at+which)%5])
				}
				if at := strings.IndexRune("bdfgklmnprst", r); at >= 0 {
					return rune("bdfgklmnprst"[(at+which/5)%12])
				}
				return r
			}, word)
		})
	}
}

// leet has a digit in each word.
func leet(_ forge, _ int, l leaflet) leaflet {
	return l.eachWord(func(_ int, word string) string {
		return strings.NewReplacer("a", "4", "e", "3", "i", "1", "o", "0", "s", "5", "A", "4", "O", "0", "t", "7", "y", "9", "u", "6").Replace(word)
	})
}

// overhead is the text below words of chance and a sign-off, or as if it were quoted.
func overhead(words int, quoted bool) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		l = l.clone()
		if quoted {
			for i := range l.paragraphs {
				l.paragraphs[i] = "> " + l.paragraphs[i]
			}
		} else {
			l.paragraphs = slices.Insert(l.paragraphs, 0, "Best regards,")
		}
		l.html, l.paragraphs = false, slices.Insert(l.paragraphs, 0, g.say(words))
		return l
	}
}

// glued has no blank between words: a style sets them apart.
func glued(_ forge, _ int, l leaflet) leaflet {
	l = l.clone()
	l.html = true
	for i, p := range l.paragraphs {
		l.paragraphs[i] = "<span style='margin-right:.3em'>" + strings.Join(strings.Fields(p), "</span><span style='margin-right:.3em'>") + "</span>"
	}
	return l
}

// unlinked asks for an answer.
func unlinked(_ forge, _ int, l leaflet) leaflet {
	l.link = ""
	return l
}

// all does one after another.
func all(list ...func(forge, int, leaflet) leaflet) func(forge, int, leaflet) leaflet {
	return func(g forge, n int, l leaflet) leaflet {
		for _, write := range list {
			l = write(g, n, l)
		}
		return l
	}
}
