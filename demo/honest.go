package demo

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
)

// ordinaryMail is what is said of mail that is only counted.
const ordinaryMail = "ordinary mail"

// customersCount is how many accounts write ordinary mail, and lettersEach how much.
const (
	customersCount = 40
	lettersEach    = 4
	dayLength      = 55 * time.Second
)

// Words of ordinary mail. The accounts are made of trades and names, people they
// write to of names and domains.
var (
	trades    = []string{"bakery", "dentist", "florist", "joiner", "lawyer", "museum", "optician", "plumber", "roofer", "school"}
	names     = []string{"alma", "bruno", "clara", "david", "elsa", "felix", "greta", "hugo"}
	elsewhere = []string{"remote.example", "mail.example", "post.example", "inbox.example", "office.example"}
	openings  = []string{"Good morning", "Dear colleague", "Hello", "Good evening", "Dear all", "Hi"}
	matters   = []string{"the offer of last week", "your order", "the keys to the cellar", "our appointment", "the drawings for the stairs",
		"a bill from March", "the parking space", "two tickets", "the broken window", "your letter", "the minutes", "a new printer"}
	doings = []string{"I have looked at it and find nothing to add.", "Could you send me the figures again?", "It can be fetched from noon on.",
		"We have moved it to Thursday.", "My colleague takes care of it while I am away.", "The price has not changed.",
		"Please call me back when you have a minute.", "I have put a copy into your box.", "There is one question left.",
		"It took longer than we thought, sorry.", "Everything is ready.", "I would rather wait for the others."}
	closings = []string{"Regards", "Until tomorrow", "Thank you", "Many greetings", "Have a good day"}
)

// account of a customer of ours who only writes ordinary mail.
func account(i int) (login string) {
	return fmt.Sprintf("%s@%s%d.example", names[i%len(names)], trades[i%len(trades)], i/len(trades)+1)
}

// honest is the ordinary mail of the day, and what cron says.
func honest() []letter {
	r := rand.New(rand.NewPCG(2026, 1)) // seeded: the same day each time
	var list []letter
	for i := range customersCount {
		login := account(i)
		for range lettersEach {
			to := pick(r, names) + "@" + pick(r, elsewhere)
			list = append(list, letter{
				at: time.Duration(r.Int64N(int64(dayLength))), what: ordinaryMail, from: customer(i),
				login: login, sender: login, recipients: []string{to},
				text: mail(login, to, "About "+pick(r, matters), ordinary(r)),
			})
		}
	}
	for i := range 5 {
		root := "root@" + webServer
		list = append(list, letter{
			at: time.Duration(i+1) * 10 * time.Second, what: ordinaryMail, from: local(), sender: root, recipients: []string{"operator@provider.example"},
			text: mail(root, "operator@provider.example", "Cron: backup "+fmt.Sprint(i+1), fmt.Sprintf("%d files, %d MB\n", r.IntN(9000), r.IntN(900))),
		})
	}
	return list
}

// ordinary is a letter such as people write.
func ordinary(r *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s,\n\nthis is about %s. ", pick(r, openings), pick(r, matters))
	for range 2 + r.IntN(3) {
		b.WriteString(pick(r, doings) + " ")
	}
	fmt.Fprintf(&b, "\n\n%s,\n%s\n", pick(r, closings), pick(r, names))
	return b.String()
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// mail is a message of a header and a body.
func mail(from, to, subject, body string) string {
	return fmt.Sprintf("From: %s\nTo: %s\nSubject: %s\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n%s", from, to, subject, body)
}

// caller is the made-up address that a letter comes from.
type caller struct {
	netip.AddrPort
	letter *letter // which is being sent; set by the player
}

// Network is for net.Addr.
func (caller) Network() string { return "made-up" }

// customer is the n-th customer at home (RFC 5737).
func customer(n int) caller {
	return caller{AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 1)}), uint16(40000+n))}
}

// local is a program that gives its mail to sendmail(1): Postfix says port 0.
func local() caller {
	return caller{AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)}
}
