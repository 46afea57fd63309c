package rules

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// subjects makes Subjects that nobody has sent before: so many words of the language.
type subjects struct{ *rand.Rand }

func (s subjects) say(words int) string {
	list := make([]string, words)
	for i := range list {
		list[i] = subjectWords[s.IntN(len(subjectWords))]
	}
	return strings.Join(list, " ")
}

var subjectWords = strings.Fields(`alpha river stone garden window letter morning coffee train paper music winter summer bridge market doctor
	school kitchen mountain island harbour silver copper velvet lantern orchard meadow pigeon ticket saddle barrel candle mirror pepper rocket
	shadow tunnel violin walnut zipper button carpet dragon engine feather gravel hammer insect jacket kettle ladder magnet needle oyster
	pencil quartz ribbon salmon thread umbrella valley whistle yellow anchor basket cactus dinner eleven fabric guitar helmet ivory jungle
	kitten lemon marble nectar office parade rabbit sailor temple urgent wallet yogurt`)

// numbers are different ones.
func (s subjects) numbers(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(s.IntN(10_000))
	}
	return strings.Join(list, " ")
}

const (
	shortOffer = "Hi, please look at this offer we made only for you today: https://shop.example/a"
	tinyOffer  = "Hi, look: https://shop.example/a"
)

// What stands in the Subject makes no other letter of one that can be told without it.
func TestNoWayRoundBySubject(t *testing.T) {
	say := subjects{rand.New(rand.NewPCG(3, 4))}
	picture := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("picture", 400)))
	words := strings.Fields(offer)
	for name, letter := range map[string]func(n int) (subject, body string, fields []string){
		"twelve words":        func(int) (string, string, []string) { return say.say(12), offer, nil },
		"a hundred words":     func(int) (string, string, []string) { return say.say(100), offer, nil },
		"words of the letter": func(n int) (string, string, []string) { return strings.Join(words[n%9:n%9+8], " "), offer, nil },
		"numbers":             func(int) (string, string, []string) { return say.numbers(12), offer, nil },
		"appointments": func(n int) (string, string, []string) {
			return fmt.Sprintf("le %d mai à %d h", 1+n%28, 8+n%11), offer, nil
		},
		"few words, link":         func(int) (string, string, []string) { return say.say(6), shortOffer, nil },
		"hardly a word, link":     func(int) (string, string, []string) { return say.say(1), tinyOffer, nil },
		"hardly a word, long one": func(int) (string, string, []string) { return say.say(12), tinyOffer, nil },
		"nothing but a picture": func(int) (string, string, []string) {
			return say.say(12), picture, []string{"Content-Type: image/png", "Content-Transfer-Encoding: base64"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, func(s *Settings) { s.MaxDuplicates = 9 })
			for n := 1; n <= 20; n++ {
				subject, body, fields := letter(n)
				v := b.decide(t, letterTo(n, body, append(fields, "Subject: "+subject)...))
				if want := n == 20; (v.Action == Reject) != want {
					t.Fatalf("letter %d: %s by %q, campaign %+v", n, v.Action, v.Rule, v.Campaign)
				}
			}
		})
	}
}

// Short letters of people are told apart by their Subjects.
func TestSubjectsTellShortLettersApart(t *testing.T) {
	const signed = "\r\n-- \r\nCamille Berthier, Menuiseries Berthier et fils, 14 rue des Peupliers\r\nhttps://client-a.example/\r\n"
	say := subjects{rand.New(rand.NewPCG(5, 6))}
	for name, body := range map[string]string{
		"thanks":              "Ok, merci !",
		"thanks, signed":      "Ok, merci !" + signed,
		"a sentence":          "C'est noté pour jeudi.",
		"a sentence, signed":  "C'est noté pour jeudi, à bientôt." + signed,
		"nothing but the end": signed,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, func(s *Settings) { s.MaxDuplicates = 99 })
			for n := 1; n <= 60; n++ {
				if v := b.decide(t, letterTo(n, body, "Subject: Re: "+say.say(5))); v.Action != Accept {
					t.Fatalf("letter %d: %s by %q, campaign %+v", n, v.Action, v.Rule, v.Campaign)
				}
			}
		})
	}
}
