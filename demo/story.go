package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// letter is one message of the made-up day.
type letter struct {
	at   time.Duration // since the day began
	what string        // in words
	from caller
	// login is empty for what a program of the web server gives to sendmail(1).
	login, sender string
	recipients    []string
	text          string // header and body, lines parted by \n
}

// The people of the stories.
const (
	webServer = "web1.example" // where the customers' sites run
	voyage    = "contact@voyage.example"
	voyageWWW = "voyage@" + webServer // as whom the site of voyage.example sends
	fleurs    = "shop@fleurs.example"
	fleursWWW = "fleurs@" + webServer
	mode      = "news@mode.example"
	garage    = "anna@garage.example"
	tennis    = "club@tennis.example"
	fournil   = "lea@fournil.example"
	agence    = "pierre@agence.example"
)

// bank is whom the forgers pretend to be.
const bank = "Your Bank <service@bank.example>"

// day is a day of a hosting provider in about a minute, in the order in which its
// mail is sent. The same each time.
func day() []letter {
	letters := slices.Concat(honest(), hijacked(), invoices(), newsletter(), singles(), impatient())
	slices.SortStableFunc(letters, func(a, b letter) int { return cmp.Compare(a.at, b.at) })
	return letters
}

// hijacked is a WordPress site with a hole. It advertises, faster than the limit of
// its account; then it forges a bank.
func hijacked() []letter {
	var list []letter
	send := func(at time.Duration, what, from, subject, text string) {
		n := len(list) + 1
		to := fmt.Sprintf("victim%d@%s", n, elsewhere[n%len(elsewhere)])
		list = append(list, letter{
			at: at, what: "hijacked site: " + what, from: local(), sender: voyageWWW, recipients: []string{to},
			text: "X-PHP-Originating-Script: 1007:wp-mailer.php\n" + mail(from, to, subject, fmt.Sprintf("%s?%d\n", text, 4711*n)),
		})
	}
	for i := range 14 {
		send(10*time.Second+time.Duration(i)*300*time.Millisecond, "advertising", "Voyage <"+voyage+">",
			"Your prize is waiting", "You have won. Claim it before noon: http://prize.example/")
	}
	for i := range 9 {
		send(15*time.Second+time.Duration(i)*1200*time.Millisecond, "forged bank", bank,
			"Confirm your account", "Your account is locked. Confirm it: http://bank.prize.example/")
	}
	return list
}

// invoices come of an honest shop's program, all at once.
func invoices() []letter {
	var list []letter
	for i := range 14 {
		to := fmt.Sprintf("client%d@%s", i+1, elsewhere[i%len(elsewhere)])
		list = append(list, letter{
			at: 3*time.Second + time.Duration(i)*200*time.Millisecond, what: "invoices of a shop's program", from: local(),
			sender: fleursWWW, recipients: []string{to},
			text: mail("Fleurs <"+fleurs+">", to, fmt.Sprintf("Invoice 2026-%d", 310+i),
				fmt.Sprintf("Dear customer,\n\nplease find below invoice 2026-%d over %d.50 EUR.\n\nFleurs\n", 310+i, 12+7*i)),
		})
	}
	return list
}

// newsletter goes to one reader after the other, until somebody adds what it lacks.
func newsletter() []letter {
	const news = "Spring is here, and with it our new collection: linen dresses, light coats and straw hats.\n" +
		"Come and see them in our shop in Lyon, or order by telephone. Until Sunday everything is a tenth off.\n"
	var list []letter
	for i := range 23 {
		what, text := "newsletter nobody can leave", news
		if i == 22 {
			what, text = "the newsletter, with a way to leave", news+"\nYou get this because you subscribed to it. Unsubscribe: https://mode.example/leave\n"
		}
		to := fmt.Sprintf("reader%d@%s", i+1, elsewhere[i%len(elsewhere)])
		list = append(list, letter{
			at: 28*time.Second + time.Duration(i)*300*time.Millisecond, what: what, from: customer(90),
			login: mode, sender: mode, recipients: []string{to},
			text: mail("Mode <"+mode+">", to, "The spring collection", "Dear reader,\n\n"+text),
		})
	}
	return list
}

// singles break one rule each, once.
func singles() []letter {
	var members []string
	for i := range 30 {
		members = append(members, fmt.Sprintf("member%d@%s", i+1, elsewhere[i%len(elsewhere)]))
	}
	friend, twice := "jo@remote.example", "marc@remote.example"
	return []letter{
		{
			at: 8 * time.Second, what: "From of a bank", from: customer(91), login: garage, sender: garage, recipients: []string{friend},
			text: mail(bank, friend, "Please verify", "We have noticed a problem with your card.\n"),
		},
		{
			at: 24 * time.Second, what: "one message to 30 people", from: customer(92), login: tennis, sender: tennis, recipients: members,
			text: mail("Tennis <"+tennis+">", strings.Join(members, ",\n\t"), "Tournament", "The tournament begins on Saturday at nine.\n"),
		},
		{
			at: 26 * time.Second, what: "one recipient three times", from: customer(93), login: fournil, sender: fournil, recipients: []string{twice},
			text: mail("Léa <"+fournil+">", "marc@remote.example, Marc@remote.example, marc+work@remote.example", "Bread", "Ten loaves for tomorrow, as always.\n"),
		},
	}
}

// impatient is a mail program that empties its outbox at once. It tries again by
// itself what it is told to.
func impatient() []letter {
	var list []letter
	for i := range 12 {
		to := fmt.Sprintf("lead%d@%s", i+1, elsewhere[i%len(elsewhere)])
		list = append(list, letter{
			at: 40*time.Second + time.Duration(i)*200*time.Millisecond, what: "twelve letters at once", from: customer(94),
			login: agence, sender: agence, recipients: []string{to},
			text: mail("Pierre <"+agence+">", to, "Your question", fmt.Sprintf("Good morning,\n\nthank you for your question of the %d. May. I call you back.\n\nPierre\n", i+2)),
		})
	}
	return list
}
