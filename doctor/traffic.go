package doctor

import (
	"fmt"
	"time"
)

// Traffic is what came through one milter socket since the daemon was started.
type Traffic struct {
	On         string // the socket, "tcp:127.0.0.1:8895"
	Sessions   int64  // that said who connects
	Deaf       int64  // of these, whose MTA cannot be asked for macros
	CannotHold int64  // of these, whose MTA cannot put mail on hold
	Messages   int64  // that were answered
	Logins     int64  // of these, with a login
	Local      int64  // of clients on this host, webmail with its logins too
	Unjudged   int64  // from elsewhere without a login: inbound mail, rule none
	Again      int64  // that came once more after they had passed
	// Macros says how many of the messages had which macro, without braces.
	Macros map[string]int64
}

// few messages say nothing about what never comes.
const few = 20

// needed are the macros that something of ours goes by. Local submissions have no
// login, so that auth_authen is looked at apart.
var needed = []struct {
	name, why string
	level     Level
}{
	{"i", "no message has a queue id: nothing can be held or released, and log lines of the MTA cannot be matched", Fault},
	{"j", "the filter does not know which host it works for: script and host limits of several hosts count as one", Fault},
	{"mail_addr", "the sender is taken from the MAIL command as the client wrote it", Warning},
	{"rcpt_addr", "recipients are taken from the RCPT command as the client wrote them, before they are rewritten", Warning},
	{"client_addr", "the client is taken from the CONNECT packet: behind a proxy that may be the proxy", Note},
}

// CheckTraffic looks at what has come through since the daemon was started.
func CheckTraffic(sockets []Traffic, since, now time.Time) []Finding {
	r := &report{area: "traffic"}
	for _, t := range sockets {
		r.socket(t, now.Sub(since))
	}
	if len(sockets) == 0 {
		r.add(Note, "the daemon has no milter socket that it has told of", "nothing can be said of traffic", "")
	}
	r.add(Note, "what a milter after the filter refuses for good does not show here", "neither MTA tells a milter what a later one said; mail that is deferred there comes again, and is counted",
		"in the MTA's log (Postfix: \"milter-reject: END-OF-MESSAGE\") a refusal that does not end in our [RULE ID] is another milter's")
	return r.list
}

func (r *report) socket(t Traffic, span time.Duration) {
	where := fmt.Sprintf("%s, in %s", t.On, span.Round(time.Second))
	if t.Deaf > 0 {
		r.add(Warning, fmt.Sprintf("%s: %d of %d sessions were of an MTA that cannot be asked for macros", where, t.Deaf, t.Sessions),
			"the filter goes by what the MTA's own lists say", "Postfix: postconf -e 'milter_protocol = 6' && postfix reload")
	}
	if t.CannotHold > 0 {
		r.add(Warning, fmt.Sprintf("%s: %d of %d sessions were of an MTA that cannot put mail on hold", where, t.CannotHold, t.Sessions),
			"what a rule would hold is answered 451 instead", "")
	}
	if t.Messages < few {
		r.add(Note, fmt.Sprintf("%s: %d messages", where, t.Messages), fmt.Sprintf("too few to say what never comes; want %d", few), "")
		return
	}
	r.ok("%s: %d messages, %d with a login, %d from this host, %d inbound", where, t.Messages, t.Logins, t.Local, t.Unjudged)
	r.macros(where, t)
	r.logins(where, t)
	r.refusedLater(where, t)
}

// someAgain messages, and this share of all in percent, come again for reasons of their
// own: a connection that broke after the answer, a script with one Message-ID for all.
const (
	someAgain  = 5
	shareAgain = 1
)

// refusedLater goes by messages that come again after they have passed: something
// behind the filter has deferred them. What is refused for good there shows nowhere.
func (r *report) refusedLater(where string, t Traffic) {
	if t.Again < someAgain || t.Again*100 < t.Messages*shareAgain {
		return
	}
	r.add(Warning, fmt.Sprintf("%s: %d messages came again after they had passed, with the same Message-ID, sender and recipients", where, t.Again),
		"something behind the filter, a later milter perhaps, defers them: "+whyLater,
		"look in the MTA's log for what became of them, by qid= of our log lines; let the filter be the last milter")
}

func (r *report) macros(where string, t Traffic) {
	for _, m := range needed {
		if t.Macros[m.name] == 0 {
			r.add(m.level, fmt.Sprintf("%s: no message had the macro %s", where, m.name), m.why, "look at the MTA's lists of milter macros, and at milter_protocol")
		}
	}
}

// mostInbound is the share, in percent, of mail that passes unjudged over which a
// socket that also takes logins is worth a look: submission and inbound mail together.
const mostInbound = 50

func (r *report) logins(where string, t Traffic) {
	remote := t.Messages - t.Local
	switch {
	case t.Logins == 0 && remote >= few && t.Unjudged == remote:
		r.add(Warning, fmt.Sprintf("%s: none of %d messages from elsewhere had a login, all passed unjudged", where, remote),
			"either this socket only has inbound mail, or the macro {auth_authen} does not come",
			"if customers submit through it: look at smtpd_sasl_auth_enable (Postfix) or AuthMechanisms (Sendmail), and at milter_mail_macros; if not: take the filter off there")
	case t.Logins > 0 && t.Unjudged*100 > t.Messages*mostInbound:
		r.add(Note, fmt.Sprintf("%s: %d%% of the messages were inbound and passed unjudged", where, t.Unjudged*100/t.Messages),
			"each costs a decision; and a web server or relay that submits without login is among them unless accounts.networks lists it", "take the filter off where only inbound mail comes in")
	}
}
