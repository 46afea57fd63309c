// Package dialogs talks to the filter as no honest client would, by chance: packets of the
// milter protocol in any order, cut anywhere, and SMTP sessions through a real Postfix and
// a real Sendmail, in the clear and under TLS. What the filter makes of them is held
// against models that share nothing with it: a message is judged with the login, the
// client, the envelope and the header of its own, never with those of another message or
// session; every end of a message has one answer; what passes is charged once, to whoever
// sent it.
//
// A dialog that shows a hole is made as small as it can be before it is shown.
package dialogs
