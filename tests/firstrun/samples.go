package main

import (
	"fmt"
	"strings"
)

// sample is one message and how often it is sent.
type sample struct {
	what, want    string // want stands in the answer
	login, sender string
	rcpts         []string
	header        string
	times         int // 0: once
	local         bool
}

const alice, bob = "alice@client-a.example", "bob@client-b.example"

func header(lines ...string) string { return strings.Join(lines, "\n") }

func people(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("p%d@remote.example", i+1)
	}
	return list
}

// samples are refused one rule after the other; alice's abuse is enough for a block,
// bob's is not.
var samples = []sample{
	{what: "an ordinary mail", want: "passes", login: alice, sender: alice, rcpts: people(1),
		header: header("From: Alice <"+alice+">", "To: p1@remote.example", "Subject: hello")},
	{what: "From: of a bank", want: "identity.header_from", login: alice, sender: alice, rcpts: people(1),
		header: header("From: Your Bank <service@bank.example>", "To: p1@remote.example", "Subject: verify")},
	{what: "two From fields", want: "identity.malformed", login: alice, sender: alice, rcpts: people(1),
		header: header("From: "+alice, "From: service@bank.example", "To: p1@remote.example")},
	{what: "Reply-To: a stranger", want: "identity.reply_to", login: alice, sender: alice, rcpts: people(1),
		header: header("From: "+alice, "Reply-To: thief@bank.example", "To: p1@remote.example")},
	{what: "contact form to its owner", want: "passes", login: alice, sender: alice, rcpts: []string{alice},
		header: header("From: "+alice, "Reply-To: visitor@web.example", "To: "+alice)},
	{what: "Sender: a stranger", want: "identity.sender", login: alice, sender: alice, rcpts: people(1),
		header: header("From: "+alice, "Sender: thief@bank.example", "To: p1@remote.example")},
	{what: "an ordinary mail, after so much", want: "block.active", login: alice, sender: alice, rcpts: people(1),
		header: header("From: "+alice, "To: p1@remote.example", "Subject: hello again")},
	{what: "11 recipients in To", want: "recipients.visible", login: bob, sender: bob, rcpts: people(10),
		header: header("From: "+bob, "To: "+strings.Join(people(11), ", "))},
	{what: "11 hidden recipients", want: "recipients.envelope", login: bob, sender: bob, rcpts: people(11),
		header: header("From: "+bob, "To: undisclosed-recipients:;")},
	{what: "one address three times", want: "recipients.duplicate", login: bob, sender: bob, rcpts: people(1),
		header: header("From: "+bob, "To: p1@remote.example, P1@remote.example, p1+x@remote.example")},
	{what: "11 mails in a minute", want: "limit.minute", login: bob, sender: bob, rcpts: people(1), times: 11,
		header: header("From: "+bob, "To: p1@remote.example", "Subject: again")},
	{what: "a script forging a bank", want: "identity.header_from", sender: "www-data@web1.example", rcpts: people(1), local: true,
		header: header("From: service@bank.example", "To: p1@remote.example")},
	{what: "a script as itself", want: "passes", sender: "www-data@web1.example", rcpts: people(1), local: true,
		header: header("From: www-data@web1.example", "To: p1@remote.example")},
	{what: "a newsletter that nobody can leave", want: "bulk.unsubscribe", sender: "www-data@web1.example", rcpts: people(1), local: true,
		header: header("From: www-data@web1.example", "To: p1@remote.example", "List-Id: <news.web1.example>", "Subject: News")},
	{what: "mail from outside", want: "passes", sender: "x@elsewhere.example", rcpts: []string{alice},
		header: header("From: x@elsewhere.example", "To: "+alice)},
}
