//go:build mta

package week

import (
	"fmt"
	"strings"

	"o2n-milter/tests/mta"
)

// Who sends. What is theirs is in accounts.
const (
	alice   = "alice@client-a.example"
	info    = "info@client-a.example"
	bob     = "bob@client-b.example"
	claire  = "alice@client.fr"
	mallory = "mallory@unlisted.example" // no account names him: he has his own domain
	shop    = "shop@client-b.example"    // a site on the server itself
	relay   = "relay@client-c.example"   // a web server without login
	cron    = "root@" + mta.Host
	site    = "www-data@" + mta.Host

	relayIP = "198.51.100.7"
	otherIP = "198.51.100.9" // another one, of no account
)

// A letter comes in by a door: a login, sendmail(1), or a client without login.
const byHand = "sendmail"

// letter is one message of the day.
type letter struct {
	id      string // its Message-ID, by which it is found again
	door    string // a login, byHand, or a client's address
	sender  string // MAIL FROM
	rcpts   []string
	from    string   // header From; empty: sender
	to      []string // header To; empty: rcpts
	subject string
	body    string
	script  string // X-PHP-Originating-Script
	after   string // it comes well after this letter; empty: at once
	// boxed is what a replay of the sink's mailbox makes of it where that cannot know
	// better; empty: what becomes of it in life.
	boxed string
}

func (l letter) text() []byte {
	from, to := l.from, l.to
	if from == "" {
		from = l.sender
	}
	if to == nil {
		to = l.rcpts
	}
	header := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s>\r\n", from, strings.Join(to, ", "), l.subject, l.id)
	if l.script != "" {
		header += "X-PHP-Originating-Script: 33:" + l.script + "\r\n"
	}
	return []byte(header + "\r\n" + strings.ReplaceAll(l.body, "\n", "\r\n") + "\r\n")
}

// many are n recipients.
func many(n int, name, domain string) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%s%d@%s", name, i+1, domain))
	}
	return list
}

// chat are things that people write to each other, no two alike.
var chat = []string{
	"Lunch on Thursday would suit me, the place by the canal opens at noon. Shall I ask Petra too?",
	"The drawings of the stairs came back; the second landing is four centimetres too low, please see page three.",
	"Thank you for the seedlings. The tomatoes stand on the balcony already, the beans wait for warmer nights.",
	"Our train leaves at 7:12 from platform nine, so let us meet below the clock and share the coffee.",
	"I have moved the invoice of March to the new folder and paid the one from the printer yesterday.",
	"Grandmother asks whether you still have the recipe with plums; hers was lost when they moved.",
	"The dentist had to put me off until Monday, can you take the children to music on that afternoon?",
	"Attached in a moment: minutes of the board. Two votes against the roof, five in favour, nobody absent.",
	"Your bicycle is ready. The chain was worn, the brake pads too, all together it comes to forty-six.",
	"We liked the flat, but the street is loud at night and the cellar is damp. We keep looking.",
	"Please send the measurements of the window once more, the carpenter trusts neither of our numbers.",
	"The choir sings on the fourteenth at eight; parking is behind the school, the side door is open.",
	"I found your umbrella under the piano. It can stay here until it rains, or I bring it on Friday.",
	"The customs form wants the weight in kilograms and the value without tax, sign at the bottom left.",
	"Nobody answered at the workshop, I tried twice; perhaps they close early during the harvest.",
	"His talk was good, though too long by half. The slides on rivers were worth the whole evening.",
}

const newsletter = `Dear %s,

spring has come to our garden centre, and with it four hundred kinds of roses, all of them
grown in our own fields without peat. Until the end of the month every second rose bush costs
half its price, and whoever buys five gets the delivery for nothing. Our gardeners show on
Saturday how to prune, water and feed them, with cake and cider for everybody who comes.
The new catalogue lies at the counter; it has ninety pages and three recipes for rose jelly.
`

const invitation = `Bonjour %s,

notre atelier de reliure ouvre ses portes le samedi vingt juin, de dix heures a dix-huit heures.
Vous y verrez les presses, les cuirs et les papiers marbres, et chacun pourra coudre un petit
carnet avec nos deux apprenties. Un verre de cidre sera servi dans la cour, sous le tilleul.
Nous serions heureux de vous y retrouver avec vos enfants et vos amis, sans inscription.
`

// day is a writer of the day's mail.
type day struct {
	letters []letter
	chats   int
}

// add numbers a letter.
func (d *day) add(l letter) letter {
	l.id = fmt.Sprintf("%03d@week.example", len(d.letters)+1)
	if l.body == "" {
		l.body = chat[d.chats%len(chat)]
		d.chats++
	}
	if l.subject == "" {
		l.subject = strings.Join(strings.Fields(l.body)[:3], " ")
	}
	d.letters = append(d.letters, l)
	return l
}

// aDay is the mail of a small server's day, in its order. What the limits make of it
// does not hang on moments: all of it is within the minute of their windows, bursts take
// a part of a second, and what comes after a burst that has met a window of three seconds
// does so in the middle of the third one.
func aDay() []letter {
	var d day
	var morning letter
	for _, friend := range many(4, "friend", "remote.example") {
		morning = d.add(letter{door: alice, sender: alice, rcpts: []string{friend}})
	}
	for _, friend := range many(3, "partner", "elsewhere.example") {
		d.add(letter{door: bob, sender: bob, rcpts: []string{friend}})
	}
	for _, buyer := range many(3, "buyer", "remote.example") { // his other address, of which nobody has told us
		d.add(letter{door: bob, sender: bob, from: "Bob's shop <bob@bobs-shop.example>", rcpts: []string{buyer}})
	}
	// She will be exempted from recipients.visible, of which no mailbox tells.
	d.add(letter{door: claire, sender: claire, rcpts: many(14, "member", "remote.example"), boxed: "reject recipients.visible"})
	d.add(letter{door: claire, sender: claire, rcpts: many(7, "board", "remote.example"), boxed: "reject recipients.visible"})
	d.add(letter{door: claire, sender: claire, rcpts: []string{"twin@remote.example"}, to: []string{"twin@remote.example", "Twin@remote.example", "twin@remote.example"}})
	d.add(letter{door: alice, sender: alice, from: `"boss@bank.example" <` + alice + ">", rcpts: []string{"friend1@remote.example"}})
	d.add(letter{door: alice, sender: alice, rcpts: many(7, "board", "elsewhere.example")})
	for i, reader := range many(30, "reader", "remote.example") {
		d.add(letter{door: info, sender: info, rcpts: []string{reader}, subject: "Roses", body: fmt.Sprintf(newsletter, []string{"Anna", "Bernd", "Chloe"}[i%3])})
	}
	for i, guest := range many(22, "guest", "remote.example") {
		boxed := ""
		if i == 4 { // in the place of the one to the board, which counted
			boxed = "accept none"
		}
		d.add(letter{door: claire, sender: claire, rcpts: []string{guest}, subject: "Portes ouvertes", body: fmt.Sprintf(invitation, []string{"Luc", "Marie"}[i%2]), boxed: boxed})
	}
	// No mailbox has the login, so this is somebody else's there.
	d.add(letter{door: claire, sender: "atelier@client.fr", rcpts: []string{"binder@remote.example"}, boxed: "accept none"})
	orders := d.site()
	d.clients()
	for _, friend := range many(3, "victim", "remote.example") {
		d.add(letter{door: mallory, sender: mallory, from: "boss@bank.example", rcpts: []string{friend}})
	}
	for _, friend := range many(2, "cousin", "remote.example") {
		d.add(letter{door: mallory, sender: mallory, rcpts: []string{friend}})
	}
	d.add(letter{door: alice, sender: alice, rcpts: []string{"friend5@remote.example"}, after: morning.id})
	d.add(letter{door: byHand, sender: site, from: shop, rcpts: []string{"orders@remote.example"}, script: "order.php", after: orders.id})
	return d.letters
}

// site is what programs of the server send: a shop with a form that is open to forgers,
// and a burst of orders, of which it gives the first.
func (d *day) site() (first letter) {
	d.add(letter{door: byHand, sender: cron, rcpts: []string{"admin@remote.example"}})
	for _, friend := range many(3, "prey", "remote.example") {
		d.add(letter{door: byHand, sender: site, from: "boss@bank.example", rcpts: []string{friend}, script: "form.php"})
	}
	for i := range 25 {
		order := d.add(letter{door: byHand, sender: site, from: shop, rcpts: []string{"orders@remote.example"}, script: "order.php",
			subject: fmt.Sprintf("Order %d", i+1), body: fmt.Sprintf("%d pairs of shoes, size %d", i%4+1, 36+i%9)})
		if i == 0 {
			first = order
		}
	}
	return first
}

// clients is what web servers send without login.
func (d *day) clients() {
	for _, buyer := range many(2, "client", "remote.example") {
		d.add(letter{door: relayIP, sender: relay, rcpts: []string{buyer}})
	}
	d.add(letter{door: relayIP, sender: "someone@bank.example", from: relay, rcpts: []string{"client3@remote.example"}})
	for _, friend := range many(3, "dupe", "remote.example") {
		d.add(letter{door: otherIP, sender: "web@client-b.example", from: "boss@bank.example", rcpts: []string{friend}})
	}
	d.add(letter{door: otherIP, sender: "web@client-b.example", rcpts: []string{"client4@remote.example"}})
}
