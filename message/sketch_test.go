package message

import (
	"fmt"
	"math/bits"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const parcel = `Bonjour Mme Durand,

Votre colis n° 84512 est en attente au centre de tri. Pour le recevoir, merci de payer
les frais de port de 1,99 € avant le 24 novembre 2026. Sans paiement de votre part, le
colis sera renvoyé à son expéditeur. Cliquez sur le bouton pour choisir votre créneau.
Vous pouvez aussi choisir un point de retrait près de chez vous, ouvert jusqu'au soir.

Cordialement,
Le service des livraisons
`

const disclaimer = `

Kind regards,
Anna Meyer, head of purchasing
Meyer Shelves Ltd, 14 Canal Road, Leeds
This email and any attachments are confidential and intended solely for the addressee. If you
are not the intended recipient, please delete it and tell the sender. Any use, copying or
disclosure is prohibited. We accept no liability for damage caused by viruses, nor for
changes made to this message after it was sent.
`

const company = `Menuiseries Berthier et fils, 14 zone artisanale des Peupliers, Fougères
Fenêtres, portes, volets, parquets et escaliers sur mesure depuis trois générations
Entreprise reconnue garante de l'environnement, assurance décennale, devis gratuit sous huitaine
Nouveau : visitez notre salle d'exposition du mardi au samedi, parking devant la porte
Pensez à la planète avant d'imprimer ce courriel, recyclons ensemble nos vieux papiers
`

const reminder = `Bonjour Mme Durand,

Nous vous rappelons votre rendez-vous avec le docteur Lemoine le mardi 24 novembre
à 14 h 30, au cabinet, 12 rue des Lilas. Merci d'apporter votre carte vitale et vos
derniers résultats. En cas d'empêchement, prévenez-nous la veille au 01 42 33 44 55.
`

const invoice = `Bonjour,

Veuillez trouver ci-joint notre facture, payable à 30 jours par virement bancaire.
Nous restons à votre disposition pour tout renseignement.

Cordialement,
Le service comptabilité
`

// changed replaces old by new in the text.
func changed(text string, oldnew ...string) Letter {
	return Letter{Subject: "Votre colis", Text: strings.NewReplacer(oldnew...).Replace(text)}
}

func toFile(digest uint64) Letter {
	return Letter{Subject: "Facture", Text: invoice, Files: []uint64{digest}}
}

// withPicture is the letter with a picture in its text.
func withPicture(l Letter, digest uint64) Letter {
	l.Pictures = []uint64{digest}
	return l
}

func toHost(text string, urls ...string) Letter {
	l := Letter{Subject: "Salut", Text: text}
	for _, u := range urls {
		l.Links = append(l.Links, Link{URL: u})
	}
	return l
}

func distance(t *testing.T, a, b Letter) int {
	t.Helper()
	x, okX := a.Sketch()
	y, okY := b.Sketch()
	if !okX || !okY {
		t.Fatalf("no sketch of %.80q or %.80q", a.Text, b.Text)
	}
	n := 0
	for i := range x {
		n += bits.OnesCount64(x[i] ^ y[i])
	}
	return n
}

// TestSketchDistance: what bulk varies for each recipient leaves letters alike, what
// honest people write does not.
func TestSketchDistance(t *testing.T) {
	first := changed(parcel)
	short := func(own string) Letter { return Letter{Subject: "Re: shelves", Text: own + disclaimer} }
	inFrench := func(text string) Letter { return Letter{Subject: "Re: volets", Text: "Bonjour,\n\n" + text} }
	tests := []struct {
		name        string
		a, b        Letter
		least, most int
	}{
		{"the same", first, first, 0, 0},
		{"case", first, Letter{Subject: "VOTRE Colis", Text: strings.ToUpper(parcel)}, 0, 0},
		{"white space", first, changed(parcel, " ", " \t ", "\n\n", "\n \n\n"), 0, 0},
		{"no-break spaces", first, changed(parcel, " ", "\u00a0"), 0, 0},
		{"lines filled anew", first, changed(parcel, "payer\nles", "payer les", " le\ncolis", "\nle colis"), 0, 0},
		{"accents", first, changed(parcel, "é", "e", "à", "a", "ê", "e"), 0, 0},
		{"decomposed accents", first, changed(parcel, "é", "e\u0301"), 0, 0},
		{"look-alikes", first, changed(parcel, "o", "о", "e", "е", "a", "α"), 0, 0},
		{"unseen characters", first, changed(parcel, "colis", "co\u200blis", "paiement", "paie\u00adment"), 0, 0},
		{"wide letters", first, changed(parcel, "colis", "ｃｏｌｉｓ"), 0, 0},
		{"answered", first, Letter{Subject: "RE: TR: Votre colis", Text: parcel}, 0, 0},
		{"digits", first, changed(parcel, "84512", "91734", "1,99", "3,49", "24", "27"), 1, Near / 2},
		{"salutation", first, changed(parcel, "Mme Durand", "Jean-Pierre Martin"), 1, Near / 2},
		{"address", first, changed(parcel, "Bonjour", "bob@remote.example Bonjour"), 0, 0},
		{"unspeakable words", first, changed(parcel, "colis", "colis xkqzwf", "port", "qzvbnt port", "soir", "soir aaxzqpfk"), 0, 0},
		{"URL in the text", first, changed(parcel, "bouton", "bouton https://x.example/a1b2c3"), 0, 0},
		{"a seventh more", first, changed(parcel, "choisir", "choisir maintenant demain lundi ensemble dehors", "soir", "soir bateau chanson orage"), 30, Near},
		{"another Subject", first, Letter{Subject: "Orchard velvet lantern harbour pebble ribbon saddle timber willow anchor blossom candle", Text: parcel}, 1, Near / 2},
		{"words of the text as Subject", first, Letter{Subject: "Paiement colis bouton retrait centre payer frais port plateau", Text: parcel}, 1, Near / 2},
		{"another appointment in the Subject", first, Letter{Subject: "Votre colis, mardi 24 novembre à 14 h 30, 25 novembre 9 h", Text: parcel}, 1, Near / 2},
		{"numbers as Subject", first, Letter{Subject: "81 44 95 12 57 3 69 41 77 14 90 11", Text: parcel}, 1, Near / 2},
		{"another Subject of a few words and a link", Letter{Subject: "alpha", Text: "Hi, look:", Links: []Link{{URL: "https://x.example/a"}}},
			Letter{Subject: "bravo", Text: "Hi, look:", Links: []Link{{URL: "https://x.example/a"}}}, 1, Near / 2},
		{"another Subject of a few words", Letter{Subject: "Les fenêtres du grenier", Text: "Jeudi convient, merci beaucoup."},
			Letter{Subject: "Le parquet de la chambre", Text: "Jeudi convient, merci beaucoup."}, Near + 1, 150},
		{"another Subject of a few words that are signed", Letter{Subject: "Les fenêtres du grenier", Text: "Jeudi convient.\n-- \n" + company, Links: []Link{{URL: "https://x.example/"}}},
			Letter{Subject: "Le parquet de la chambre", Text: "Jeudi convient.\n-- \n" + company, Links: []Link{{URL: "https://x.example/"}}}, 40, 150},

		{"another letter", first, Letter{Subject: "Minutes", Text: "The minutes of last week's meeting are below." + disclaimer}, 100, 156},
		{"signature and disclaimer alike", short("The blue ones are sold out until spring, shall we take the green?"),
			short("Friday is fine, our driver brings the ladder and both keys."), Near + 1, 140},
		{"signature after thanks alike", inFrench("Les bleus sont épuisés jusqu'au printemps, prenons-nous les verts ?\n\nMerci\nCamille\n" + company),
			inFrench("Vendredi convient, notre chauffeur apporte l'échelle et les clés.\n\nMerci\nCamille\n" + company), Near + 1, 140},
		{"formal ending alike", inFrench("Les bleus sont épuisés jusqu'au printemps, prenons-nous les verts ?\nJe vous prie d'agréer, Madame, mes salutations distinguées.\n" + company),
			inFrench("Vendredi convient, notre chauffeur apporte l'échelle et les clés.\nJe vous prie d'agréer, Madame, mes salutations distinguées.\n" + company), Near + 1, 140},
		{"no ending", inFrench("Les bleus sont épuisés jusqu'au printemps.\n" + company), inFrench("Vendredi convient, merci beaucoup.\n" + company), 0, Near},
		{"quotation alike", Letter{Subject: "Re: plan", Text: "Le devis est accepté, vous pouvez commander les portes.\n\nLe 3 mai, Jean a écrit :\n" + parcel},
			Letter{Subject: "Re: plan", Text: "Merci de rappeler le maçon avant midi, il manque une fenêtre.\n\nLe 3 mai, Jean a écrit :\n" + parcel}, Near + 1, 140},
		{"marked quotation alike", Letter{Subject: "Re: plan", Text: "Le devis est accepté, vous pouvez commander les portes.\n> " + strings.ReplaceAll(parcel, "\n", "\n> ")},
			Letter{Subject: "Re: plan", Text: "Merci de rappeler le maçon avant midi, il manque une fenêtre.\n> " + strings.ReplaceAll(parcel, "\n", "\n> ")}, Near + 1, 140},
		{"another appointment", Letter{Text: reminder}, Letter{Text: strings.NewReplacer("Mme Durand", "M. Petit", "mardi 24", "jeudi 26", "14 h 30", "9 h 15").Replace(reminder)}, Near - 4, 100},
		{"no appointment, other digits", Letter{Text: reminder}, Letter{Text: strings.NewReplacer("01 42 33 44 55", "02 99 11 22 33").Replace(reminder)}, 1, Near / 2},
		{"another file", toFile(1), toFile(2), Near + 1, 140},
		{"the same file", toFile(1), toFile(1), 0, 0},
		{"the same logo", withPicture(short("The blue ones are sold out until spring, shall we take the green?"), 1),
			withPicture(short("Friday is fine, our driver brings the ladder and both keys."), 1), Near + 20, 140},
		{"another picture in the text", withPicture(first, 1), withPicture(first, 2), 1, Near / 2},
		{"hardly more than a picture", withPicture(Letter{Text: "Regarde, Bob !"}, 1), withPicture(Letter{Text: "Pour toi, Anne !"}, 1), 1, Near},
		{"links of one place", toHost("Regarde ça !", "https://a1b2.offer.example/x?u=1"), toHost("Regarde ça !", "http://www.offer.example/y#2", "https://offer.example:8443/"), 0, 0},
		{"links of two places", toHost(parcel, "https://offer.example/"), toHost(parcel, "https://other.example/"), 1, Near},
		{"Chinese", Letter{Text: strings.Repeat("您的包裹正在等待配送请支付运费", 2)}, Letter{Text: strings.Repeat("您的包裹正在等待配送请支付运费", 2) + " 8821"}, 0, Near},
		{"other Chinese", Letter{Text: "您的包裹正在等待配送请支付运费"}, Letter{Text: "我们下周三下午在办公室开会讨论预算"}, 80, 170},
	}
	for _, tt := range tests {
		d := distance(t, tt.a, tt.b)
		t.Logf("%s: %d bits", tt.name, d)
		if d < tt.least || d > tt.most {
			t.Errorf("%s: %d bits, want %d to %d", tt.name, d, tt.least, tt.most)
		}
	}
}

// TestSketchOfLongLetters: of those only a part is looked at, and it is the same part.
func TestSketchOfLongLetters(t *testing.T) {
	syllables := strings.Fields("ba ce di fo gu ha le mi no pu ra se ti vo zu")
	letter := func(from, to int) Letter {
		var b strings.Builder
		for i := from; i < to; i++ {
			for n := i; n > 0; n /= len(syllables) {
				b.WriteString(syllables[n%len(syllables)])
			}
			b.WriteString("la ")
		}
		return Letter{Text: b.String()}
	}
	for _, tt := range []struct{ from, to, least, most int }{
		{0, 4000, 0, 0}, {0, 4100, 0, 20}, {400, 4400, 25, 60}, {2000, 6000, 90, 130},
	} {
		if d := distance(t, letter(0, 4000), letter(tt.from, tt.to)); d < tt.least || d > tt.most {
			t.Errorf("words 0 to 4000 and %d to %d: %d bits, want %d to %d", tt.from, tt.to, d, tt.least, tt.most)
		}
	}
}

// TestSketchIsNoneOfLittle: what does not tell a letter from others has no sketch.
func TestSketchIsNoneOfLittle(t *testing.T) {
	tests := []struct {
		name string
		l    Letter
		want bool
	}{
		{"nothing", Letter{}, false},
		{"seven words", Letter{Text: "alpha bravo charlie delta echo foxtrot golf"}, false},
		{"eight words", Letter{Text: "alpha bravo charlie delta echo foxtrot golf hotel"}, true},
		{"seven words, one in the Subject", Letter{Subject: "hotel", Text: "alpha bravo charlie delta echo foxtrot golf"}, true},
		{"numbers alone", Letter{Text: "1 2 3 4 5 6 7 8 9 10"}, false},
		{"thanks", Letter{Subject: "Re: plan", Text: "Merci !\n-- \nCamille"}, false},
		{"thanks and a file", Letter{Subject: "plan", Text: "Merci !", Files: []uint64{7}}, true},
		{"a link", toHost("", "https://offer.example/"), true},
		{"an address", toHost("clique", "mailto:bob@offer.example"), false},
	}
	for _, tt := range tests {
		if _, ok := tt.l.Sketch(); ok != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, ok, tt.want)
		}
	}
}

// TestSketchIsTheSameEverywhere pins sketches: campaigns are counted by them across
// hosts, restarts and versions. Who changes these ends the campaigns being counted.
func TestSketchIsTheSameEverywhere(t *testing.T) {
	for name, tt := range map[string]struct {
		l    Letter
		want string
	}{
		"letter": {Letter{Subject: "Votre colis", Text: parcel}, "[38499aaca73c6616 c41340ccf1ec7413 43598f8984474f62 a66b2265dc5dd2a1]"},
		"files":  {Letter{Subject: "Facture", Text: invoice, Files: []uint64{1, 2}, Links: []Link{{URL: "https://www.shop.example.co.uk/a"}}}, "[2674988c1dd1a6fc 361aab8460c0ea1e 27eb00190243f420 6c1011ba759004da]"},
		"mixed":  {Letter{Subject: "Re: 您的包裹", Text: reminder + "Ваша посылка ждёт вас, оплатите доставку сегодня. 您的包裹正在等待。 １２３"}, "[a14c065720d0ab02 1071c03495b4d1e4 9510300e81219f13 65d93196a084be29]"},
	} {
		s, _ := tt.l.Sketch()
		if got := fmt.Sprintf("%016x", s); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func TestRegistered(t *testing.T) {
	for url, want := range map[string]string{
		"https://www.Shop.example/x": "shop.example", "http://a.b.shop.example:8080": "shop.example", "https://shop.example.co.uk/": "example.co.uk",
		"https://x.gouv.fr/": "gouv.fr", "//cdn.shop.example/p": "shop.example", "https://bob@evil.example/": "evil.example",
		"https://192.0.2.1/x": "192.0.2.1", "https://[2001:db8::1]:443/": "[2001:db8::1]", "mailto:bob@shop.example": "", "shop.example/x": "shop.example", "https://": "", "": "",
		"https://localhost/": "localhost", `https://evil.example\@good.example/`: "evil.example", "https://evil.example./": "evil.example",
	} {
		if got := registered(hostOf(url)); got != want {
			t.Errorf("%q: got %q, want %q", url, got, want)
		}
	}
}

func TestAppointments(t *testing.T) {
	for text, want := range map[string]int{
		"le mardi 24 novembre à 14 h 30": 1, "le 24 novembre 2026 à 9h": 1, "le 24/11/2026 à 14:30": 1, "24.11. um 14:30": 1, "on 24 November at 2:30 pm": 1,
		"November 24 at 2 pm": 1, "à 14h30 le 24 novembre": 1, "on 24 November at 12 am": 0, "on 24 November at 12 pm": 1, "on 24 November at 6 pm": 1, "on 24 November at 7 pm": 0, "on 24 November at 0 pm": 0,
		"on 24 November at 11 am": 1, "on 24 November at 6 am": 0, "le 24 novembre à\n8 heures": 1, "at 10:00 am on 5 May": 1,
		"le 32 novembre à 14 h": 0, "le 31 novembre à 14 h": 1, "le 0 novembre à 14 h": 0, "le 24/13 à 14 h": 0, "le 24/12 à 14 h": 1,
		"le 24 novembre à 6 h": 0, "le 24 novembre à 7 h": 1, "le 24 novembre à 20 h": 1, "le 24 novembre à 21 h": 0,
		"le 24 novembre à 14 h 31": 0, "le 24 novembre à 14 h 55": 1, "le 24 novembre à 14 h 60": 0, "le 24 novembre à 14h31": 0,
		"le 24 novembre": 0, "à 14 h 30": 0, "24 14 30": 0,
		"le 24 novembre un deux trois quatre cinq six sept huit 14 h": 0, "le 24 novembre un deux trois quatre cinq six 14 h": 1,
		"le 24 novembre à 14 h, ou le 25 novembre à 15 h": 2, strings.Repeat("24/11 14 h jour\n", maxMet+1): maxMet,
	} {
		r := newLetterReader()
		folded := FoldLines(text)
		r.readText(&folded)
		if len(r.met) != want {
			t.Errorf("%q: %d appointments, want %d", text, len(r.met), want)
		}
	}
}

// TestSketchIsLinear: five times the letter costs about five times the time.
func TestSketchIsLinear(t *testing.T) {
	for name, pattern := range map[string]string{
		"words": "word%d ", "lines": "a%d\n", "blank lines": "\n", "quotations": "> > >\n", "colons": "wrote:\n", "addresses": "a@b ", "URLs": "http://a ",
		"ideographs": "包裹", "marks": "e\u0301\u0301", "numbers": "1 24/11 14 h 30 ", "one word": "x", "one number": "1", "bad UTF-8": "\xff", "sign-offs": "Merci\n", "dashes": "--\n",
	} {
		t.Run(name, func(t *testing.T) {
			one, five := bestSketch(t, repeat(pattern, 50_000)), bestSketch(t, repeat(pattern, 250_000))
			t.Logf("50 kB %v, 250 kB %v", one, five)
			if five > 15*one+5*time.Millisecond {
				t.Errorf("50 kB took %v, five times that %v", one, five)
			}
		})
	}
}

func bestSketch(t *testing.T, text string) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := Letter{Subject: text[:min(len(text), 250)], Text: text}
	shortest := time.Hour
	for range 3 {
		begin := processorTime(t)
		l.Sketch()
		shortest = min(shortest, processorTime(t)-begin)
	}
	return shortest
}

// FuzzSketch: no letter is too odd, and case, blanks and marks of no width never count.
func FuzzSketch(f *testing.F) {
	f.Add("Votre colis", parcel, "https://a.example/")
	f.Add("Re: Re:", "--\n>\nwrote:\n-----Original Message-----\n14h 2/3 : 1.1 \xff 您的", "//")
	f.Add(":", reminder+disclaimer, `http://[::1]:x\@`)
	f.Fuzz(func(t *testing.T, subject, text, url string) {
		l := Letter{Subject: subject, Text: text, Links: []Link{{URL: url}}}
		s, ok := l.Sketch()
		if again, okAgain := l.Sketch(); again != s || okAgain != ok {
			t.Fatal("two sketches of one letter")
		}
		l.Text = strings.ReplaceAll(l.Text, "\n", " \n\n")
		if wide, _ := l.Sketch(); wide != s {
			t.Error("blank lines make another sketch")
		}
	})
}

func BenchmarkSketch(b *testing.B) {
	var varied strings.Builder
	for i := 0; varied.Len() < 64<<10; i++ {
		varied.WriteString(parcel[i%40:])
		varied.WriteString(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + "ouvelle ")
	}
	for _, size := range []int{500, 4 << 10, 64 << 10} {
		l := Letter{Subject: "Votre colis", Text: varied.String()[:size]}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			processorTimed(b, func() { l.Sketch() })
		})
	}
}

// processorTimed reports what a call costs in processor time.
func processorTimed(b *testing.B, call func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadTime(b)
	for b.Loop() {
		call()
	}
	b.ReportMetric(float64(threadTime(b)-begin)/float64(b.N), "cpu-ns/op")
}

// threadTime is the processor time of this thread in nanoseconds: a busy machine does
// not count.
func threadTime(b *testing.B) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		b.Fatal(err)
	}
	return now.Nano()
}
