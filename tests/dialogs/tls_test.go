//go:build mta

package dialogs

import (
	"math/rand/v2"
	"slices"

	"o2n-milter/tests/mta"
)

// upgrade is STARTTLS, sometimes with what somebody on the way has put behind it, and
// mostly EHLO after it.
func upgrade(r *rand.Rand) []move {
	list := []move{say("STARTTLS")}
	if one(r, 3) {
		list = injected(pick(r, []string{alice, bob}), r.IntN(7))
	}
	if !one(r, 6) {
		list = append(list, say("EHLO client.example"))
	}
	return list
}

// injected are STARTTLS and so many commands of somebody else, who would like them to be
// taken as said under TLS, all in one packet.
func injected(who string, commands int) []move {
	list := []move{
		say("STARTTLS"), say("EHLO between.example"), say("AUTH PLAIN " + plain("", who, mta.Password)),
		say("MAIL FROM:<" + who + ">"), say("RCPT TO:<r4@remote.example>"), say("DATA"),
		{verb: toWrite, text: "Subject: " + marker + "\r\nFrom: " + who + "\r\n\r\n.\r\n"},
	}[:1+commands]
	for i := range commands {
		list[i].with = true
	}
	return list
}

// known are dialogs that are always tried: STARTTLS before and after the login, twice, in
// mid-message, and with commands behind it; and what was found by chance.
func known() (list [][]move) {
	hello := []move{{verb: toConnect, text: submission}, say("EHLO client.example")}
	again := []move{say("EHLO client.example")}
	tls := []move{say("STARTTLS")}
	login := []move{say("AUTH PLAIN " + plain("", alice, mta.Password))}
	mail := []move{say("MAIL FROM:<" + alice + ">"), say("RCPT TO:<r1@remote.example>")}
	text := []move{say("DATA"), {verb: toWrite, text: "Subject: " + marker + "\r\nFrom: " + alice + "\r\n\r\n.\r\n"}}
	for _, parts := range [][][]move{
		{tls, again, login, mail, text},
		{tls, login, mail, text},
		{login, tls, again, mail, text, login, mail, text},
		{tls, again, login, tls, mail, tls, text},
		{login, mail, tls, text, again, login, mail, text},
		{login, mail, tls, mail, text},
		{injected(bob, 6), again, login, mail, text},
		{login, injected(bob, 6), again, login, mail, text},
		{login, mail, injected(bob, 6), text},
		{injected(bob, 2), mail, text, login, mail, text},
		{login, injected(bob, 4), text},
		{login, mail, {{verb: toFinish, text: " " + marker + "\r\nFrom: " + alice + "\r\nSender: " + bob + "\r\n\r\n"}}},
	} {
		list = append(list, slices.Concat(append([][]move{hello}, parts...)...))
	}
	return list
}
