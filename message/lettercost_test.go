package message

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// lettersOfChance are letters of so many octets, each of its own words in lines of mail: no
// word is foreseen, as it is where one letter is read again and again.
func lettersOfChance(n, size int) []string {
	random := rand.New(rand.NewPCG(1, 2))
	onsets := strings.Fields("b c d f g h j l m n p r s t v br ch cl cr dr fl gr pl pr qu st tr")
	rhymes := strings.Fields("a e i o u ai an ar au en er eur ie in ir oi on or ou ul eme ette ier tion")
	vocabulary := make([]string, 5000)
	for i := range vocabulary {
		for range 1 + random.IntN(3) {
			vocabulary[i] += onsets[random.IntN(len(onsets))] + rhymes[random.IntN(len(rhymes))]
		}
	}
	letters := make([]string, n)
	for i := range letters {
		var b strings.Builder
		b.WriteString("See https://www.example.org/1 for more.\r\n")
		for line := 0; b.Len() < size; {
			word := vocabulary[random.IntN(len(vocabulary))]
			end := " "
			if line += len(word) + 1; line > 64 {
				line, end = 0, "\r\n"
			}
			b.WriteString(word + end)
		}
		letters[i] = b.String()
	}
	return letters
}

// BenchmarkLetter is what the parts of reading a letter cost: its header, its body, folding
// the text, and the sketch of it.
func BenchmarkLetter(b *testing.B) {
	letters := lettersOfChance(128, 3600)
	whole, bodies, folded := make([][]byte, len(letters)), make([]Body, len(letters)), make([]Folded, len(letters))
	for i, l := range letters {
		whole[i] = []byte(l)
		bodies[i] = ReadBody(typical, whole[i])
		folded[i] = FoldLines(bodies[i].Text)
	}
	var f Folded
	for _, part := range []struct {
		name string
		read func(i int)
	}{
		{"header", func(int) { Read(typical) }},
		{"body", func(i int) { ReadBody(typical, whole[i]) }},
		{"fold", func(i int) { f.Fold(bodies[i].Text) }},
		{"sketch", func(i int) {
			if _, ok := (Letter{Subject: letters[i][45:90], Text: bodies[i].Text, Folded: &folded[i], Links: bodies[i].Links}).Sketch(); !ok {
				b.Fatal("no sketch")
			}
		}},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			processorTimed(b, func() {
				part.read(i % len(letters))
				i++
			})
		})
	}
}
