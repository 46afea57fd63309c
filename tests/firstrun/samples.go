package main

import (
	"fmt"
	"strings"
)

// sample is one message and how often it is sent.
type sample struct {
	what, login, sender string
	rcpts               []string
	header              string
	times               int // 0: once
	local               bool
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

var samples = []sample{
	{what: "an ordinary mail", login: alice, sender: alice, rcpts: people(1),
		header: header("From: Alice <"+alice+">", "To: p1@remote.example", "Subject: hello")},
	{what: "From: of a bank", login: alice, sender: alice, rcpts: people(1),
		header: header("From: Your Bank <service@bank.example>", "To: p1@remote.example", "Subject: verify")},
	{what: "two From fields", login: alice, sender: alice, rcpts: people(1),
		header: header("From: "+alice, "From: service@bank.example", "To: p1@remote.example")},
	{what: "Reply-To: a stranger", login: alice, sender: alice, rcpts: people(1),
		header: header("From: "+alice, "Reply-To: thief@bank.example", "To: p1@remote.example")},
	{what: "contact form to its owner", login: alice, sender: alice, rcpts: []string{alice},
		header: header("From: "+alice, "Reply-To: visitor@web.example", "To: "+alice)},
	{what: "11 recipients in To", login: alice, sender: alice, rcpts: people(10),
		header: header("From: "+alice, "To: "+strings.Join(people(11), ", "))},
	{what: "11 hidden recipients", login: alice, sender: alice, rcpts: people(11),
		header: header("From: "+alice, "To: undisclosed-recipients:;")},
	{what: "one address three times", login: alice, sender: alice, rcpts: people(1),
		header: header("From: "+alice, "To: p1@remote.example, P1@remote.example, p1+x@remote.example")},
	{what: "11 mails in a minute", login: bob, sender: bob, rcpts: people(1), times: 11,
		header: header("From: "+bob, "To: p1@remote.example", "Subject: again")},
	{what: "a script forging a bank", sender: "www-data@web1.example", rcpts: people(1), local: true,
		header: header("From: service@bank.example", "To: p1@remote.example")},
	{what: "a script as itself", sender: "www-data@web1.example", rcpts: people(1), local: true,
		header: header("From: www-data@web1.example", "To: p1@remote.example")},
	{what: "mail from outside", sender: "x@elsewhere.example", rcpts: []string{alice},
		header: header("From: x@elsewhere.example", "To: "+alice)},
}
