package rules

import (
	"fmt"
	"testing"
)

// Honest mail that looks much like bulk and is none: far more of it than makes a
// campaign passes, and nothing is held against it.
func TestHonestMailIsNoBulk(t *testing.T) {
	const thanks = "Merci pour votre message. Nous l'avons bien recu et nous vous repondrons des que possible, en general sous deux jours ouvres.\r\n"
	for name, letter := range map[string]func(n int) *Mail{
		"answers": func(n int) *Mail {
			return letterTo(n, thanks, "Subject: Re: devis", fmt.Sprintf("In-Reply-To: <q%d@mail.remote%d.example>", n, n%7))
		},
		"answers to mail of a provider": func(n int) *Mail {
			return letterTo(n, thanks, "References: <old@client-a.example> <PA4PR0123@PA4PR0123.eurprd01.prod.outlook.com>")
		},
		"vacation": func(n int) *Mail {
			m := letterTo(n, "Je suis absente jusqu'au 5 decembre. En cas d'urgence, ecrivez a accueil@client-a.example.\r\n",
				"Auto-Submitted: auto-replied", "Precedence: bulk", "Subject: Absente")
			m.Sender = ""
			return m
		},
		"vacation that only has no sender": func(n int) *Mail {
			m := letterTo(n, thanks, "Precedence: bulk")
			m.Sender = ""
			return m
		},
		"old vacation": func(n int) *Mail { return letterTo(n, thanks, "Precedence: auto_reply") },
		"invitation": func(n int) *Mail {
			m := letterTo(n, "--b\r\nContent-Type: text/plain\r\n\r\nReunion de chantier mardi a 14 h, salle du conseil.\r\n--b\r\n"+
				"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n--b--\r\n",
				"Content-Type: multipart/alternative; boundary=b")
			m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("guest%d@remote.example", n)})
			return m
		},
		"delivery reports": func(n int) *Mail {
			return letterTo(n, "--b\r\n\r\nYour message could not be delivered to one of its recipients. The mailbox is full; please try again later.\r\n--b\r\n"+
				"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; x@client-a.example\r\n--b--\r\n",
				"Content-Type: multipart/report; report-type=delivery-status; boundary=b")
		},
		"read receipts": func(n int) *Mail {
			return letterTo(n, "--b\r\n\r\nYour message was displayed. This is no guarantee that it was read or understood by anybody.\r\n--b\r\n"+
				"Content-Type: message/disposition-notification\r\n\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n--b--\r\n",
				"Content-Type: multipart/report; report-type=disposition-notification; boundary=b")
		},
		"news for the company's own": func(n int) *Mail {
			m := letterTo(n, offer, "List-Id: <staff.client-a.example>")
			m.Recipients = rcpts(fmt.Sprintf("staff%d@client-a.example", n))
			return m
		},
		"newsletter in good form": func(n int) *Mail {
			return letterTo(n, offer+why, "List-Id: <news.client-a.example>", "List-Unsubscribe: <mailto:stop@client-a.example>, <https://client-a.example/u>",
				"List-Unsubscribe-Post: List-Unsubscribe=One-Click")
		},
		"the same few, again and again": func(n int) *Mail { return letterTo(n%19, offer) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, bulkSet(map[string]Action{"one_click": Reject, "reason": Reject}))
			for n := 1; n <= 60; n++ {
				v := b.decide(t, letter(n))
				check(t, v, Accept, "none")
				if len(v.Evidence) > 0 {
					t.Fatalf("message %d: evidence %q", n, found(v))
				}
			}
		})
	}
}

// A copy to oneself, or to a colleague, makes no list of an answer.
func TestAnswerWithACopyToItsAuthor(t *testing.T) {
	b := newBulkBench(t, nil)
	for n := 1; n <= 40; n++ {
		m := letterTo(n, offer, fmt.Sprintf("In-Reply-To: <q@remote%d.example>", n%7))
		m.Recipients = append(m.Recipients, Recipient{Address: "alice@client-a.example"})
		check(t, b.decide(t, m), Accept, "none")
	}
}
