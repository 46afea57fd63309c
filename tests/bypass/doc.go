// Package bypass looks for ways round the rules on who writes, to how many, and with
// what way out: mail that a spammer who has read the source would try, made by chance
// from what forgers use, and judged by the engine with the shipped rules.
//
// What a mail says is worked out a second time here, by means that share nothing with
// package message: a scanner that knows no grammar, Go's net/mail, Python's email and, for
// what is seen of a letter, Chromium. A mail that passes and that one of them takes for
// somebody else's, or for a letter without a way out, is a hole. It is made as small as
// it can be before it is shown.
//
// Windows and campaigns have their spammer too: he has accounts, programs of the host,
// addresses and a clock of his own, and books beside the engine say what he got through.
package bypass
