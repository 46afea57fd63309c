// Package milter turns the milter protocol into rules.Mail and a rules.Verdict
// into the MTA's answer. It is the only package that knows go-milter.
//
// It collects facts and asks; an "if" about policy belongs in rules.
//
// go-milter serves each connection, but sees no more of it than it gets right.
// Between the two stands conn, which frames, bounds and times the packets, and
// session, which takes macros, header and body for itself: the library forgets
// macros at the next stage, mixes the headers of two messages that no ABORT
// parts (Sendmail), shifts a field with an empty name, skips one with a NUL, and
// hangs up on commands it does not know. Its plain answers (accept, reject,
// tempfail) swap the session for a new one in mid-message, so none is given: mail
// passes by "continue" and is refused by a reply code, both at end of message; what there
// is no time for is refused at its first recipient (all of them are), and what comes in a
// session over the caps at MAIL (refuse.go).
//
// Under systemd a session outlives the process: what its connection brought lies on a
// shelf.Tape, from which the next process reads it anew. So the same packets must lead to
// the same number of answers, whatever the verdict (TapeFormat).
//
// Invariants: no message ends without a verdict; one session object lives as long
// as its connection; nothing is kept from one message to the next but what
// CONNECT said; every byte of memory a peer can make us hold has a bound.
package milter
