package bypass

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// forge makes headers from what forgers use.
type forge struct{ *rand.Rand }

func (g forge) one(list ...string) string { return list[g.IntN(len(list))] }
func (g forge) chance(percent int) bool   { return g.IntN(100) < percent }

// mail is a header and a line of text.
func (g forge) mail() []byte {
	fields := []string{g.field(g.fromName(), g.list())}
	for g.chance(45) {
		name := g.one("Sender", "Reply-To", "Resent-From", "Resent-Sender", "Return-Path", "Mail-Reply-To", "Errors-To", "Author",
			"Resent-Reply-To", "reply-to", "SENDER", "From", "X-From", "Disposition-Notification-To", "Mail-Followup-To")
		fields = append(fields, g.field(name, g.list()))
	}
	if g.chance(10) {
		fields = append(fields, g.one("Subject: x\r"+g.field("From", foreign), "X-Y: a\n\tFrom: "+foreign+"\r\n", "From "+foreign+" Mon\r\n", ">From "+foreign+"\r\n",
			"From : "+foreign+"\r\n", ": "+foreign+"\r\n", "no field at all\r\n", "From\x0b: "+foreign+"\r\n", "\ufeffFrom: "+foreign+"\r\n", "Fr\x00om: "+foreign+"\r\n"))
	}
	fields = append(fields, "To: "+victim+"\r\n")
	g.Shuffle(len(fields), func(i, k int) { fields[i], fields[k] = fields[k], fields[i] })
	header := strings.Join(fields, "")
	if g.chance(25) {
		header = g.noise(header)
	}
	return []byte(header + "\r\nhello\r\n")
}

func (g forge) fromName() string {
	if g.chance(80) {
		return "From"
	}
	return g.one("from", "FROM", "fRoM", "From ", "From\t", "From \t ", "From\r\n ")
}

func (g forge) field(name, value string) string {
	end := "\r\n"
	if g.chance(5) {
		end = g.one("\n", "\r\r\n", "\r\n \r\n", "\r\n\t\r\n")
	}
	return name + ":" + g.one(" ", " ", " ", "", "\t", "\r\n ", "  ") + value + end
}

// list is a value of an address field, honest in part at least.
func (g forge) list() string {
	parts := []string{g.mailbox(true)}
	for g.chance(30) {
		parts = append(parts, g.mailbox(g.chance(50)))
	}
	if g.chance(20) {
		g.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
	}
	value := strings.Join(parts, g.one(", ", ",", ";", " ", "\r\n ", ",,", ", ,", "\t", "\uff0c", "\u060c", "\x01", ",\r\n\t", ""))
	switch g.IntN(40) {
	case 0:
		return g.one("g", "undisclosed", `"g"`, foreign) + ": " + value + g.one(";", "", ";;", " ; ")
	case 1:
		return "a: b: " + value + ";;"
	case 2:
		return ""
	case 3:
		return strings.Repeat(g.one(" ", "\r\n ", "x ", "(", ","), 2000) + value
	}
	return value
}

// mailbox is an address as it may stand in a list.
func (g forge) mailbox(own bool) string {
	a := g.address(own)
	switch g.IntN(22) {
	case 0, 1, 2:
		return a
	case 3, 4:
		return "<" + a + ">"
	case 5, 6:
		return g.name() + " <" + a + ">"
	case 7:
		return `"` + g.name() + `" <` + a + ">"
	case 8:
		return a + " (" + g.name() + ")"
	case 9:
		return "(" + g.name() + ") " + a
	case 10:
		return "<" + g.one("@bank.example", "@bank.example,@x.example", "@client-a.example", "@") + ":" + a + ">"
	case 11:
		return g.word(g.name()) + " <" + a + ">"
	case 12:
		return g.word(a)
	case 13:
		return g.word(g.address(false)+g.one(",", "", " ", "\x00", "\r\n", "<", ">")) + " <" + a + ">"
	case 14:
		return a + g.one(" ", "", "\t", ".") + "<" + g.address(!own) + ">"
	case 15:
		return "<" + a + "><" + g.address(!own) + ">"
	case 16:
		return g.name() + " <" + a + g.one("", "> x", ">>", " >", ">(x)", "> "+foreign)
	case 17:
		return "'" + g.name() + "' <" + a + ">"
	case 18:
		return `"` + g.name() + " <" + a + ">"
	case 19:
		return g.name() + `\" <` + a + ">"
	case 20:
		return "<<" + a + ">>"
	}
	return g.name() + "<" + a + ">" + g.name()
}

// name is a display name, which may look like an address.
func (g forge) name() string {
	switch g.IntN(8) {
	case 0:
		return foreign
	case 1:
		return "Boss <" + foreign + ">"
	case 2:
		return g.address(false)
	case 3:
		return "Boutique@Home"
	case 4:
		return g.word("Boss <" + foreign + ">,")
	case 5:
		return "\u202e" + foreign + "\u202c"
	}
	return g.one("Alice", "Alice B.", "Soci\u00e9t\u00e9", "Soci\xe9t\xe9", "A, B", "Re: x", `a\"b`, "x(y)z", "", "=?", "a\x00b", "a;b")
}

// address is an addr-spec, plainly or oddly written.
func (g forge) address(own bool) string {
	local, domain := "alice", ownDomain
	if !own {
		local, domain = "ceo", "bank.example"
	}
	if g.chance(35) {
		local = g.local(local)
	}
	at := "@"
	if g.chance(12) {
		at = g.one(" @ ", "(x)@", "@(x)", "\uff20", "\ufe6b", `\@`, "@\r\n ", `"@"`, "=40", "%40", "@@", " at ", "&#64;", "@\u200b", "\U000e0040", "@ ")
	}
	if g.chance(35) {
		domain = g.domain(domain)
	}
	return local + at + domain
}

func (g forge) local(local string) string {
	return g.one(strings.ToUpper(local), local+"+x", `"`+local+`"`, `"`+local+`\ x"`, local+" . x", local+"(x)", `""`, local+"%bank.example", "bank.example!"+local,
		`"`+foreign+`"`, `"Boss <`+foreign+`>"`, foreign, g.word(local), g.word(foreign), "c\u00e9o", local+"\x00", local+"\u200b", local+"\u00ad", "", local+"..x",
		"."+local, local+".", `"`+local+"\r\n x\"", local+"\x7f", `"`+local, local+`"`, local+"\u3164x", "ceo\uff20bank.example", "ceo@bank\uff0eexample", local+"=bank.example",
		`a\`, `"a\`, "<"+local, local+"/x", local+"\xff")
}

func (g forge) domain(domain string) string {
	return g.one(strings.ToUpper(domain), domain+".", strings.ReplaceAll(domain, ".", "\u3002"), strings.ReplaceAll(domain, ".", "\uff0e"), strings.ReplaceAll(domain, ".", " . "),
		strings.ReplaceAll(domain, ".", "(x)."), strings.ReplaceAll(domain, ".", ".(x)"), strings.ReplaceAll(domain, ".", ".\r\n "), "["+domain+"]", "[192.0.2.1]", "[IPv6:2001:db8::1]",
		"b\u0430nk.example", "xn--bnk-7cd.example", domain+"\u00ad", "ba\u200bnk.example", domain+".bank.example", "evil"+domain, "bank.example."+domain, `"`+domain+`"`,
		domain+"(", domain+".(c).bank.example", domain+" .bank.example", domain+`".bank.example`, domain+"_x.bank.example", domain+"\x00.bank.example", domain+"\x01.bank.example",
		domain+`\.bank.example`, domain+"/.bank.example", domain+":25", domain+"%00", domain+"\u2024bank.example", domain+"\uff61bank.example", "-"+domain, domain+"..", domain+"@bank.example",
		"\u202e"+domain, domain+"?=", "=?utf-8?q?"+domain+"?=", g.word(domain), domain+"\xa0.bank.example", "CL\u0130ENT-A.example", "client-a.\u24d4xample", domain+"\uff0cbank.example")
}

// word is an encoded word of the text, whole or in two, sound or not.
func (g forge) word(text string) string {
	set := g.one("utf-8", "UTF-8", "iso-8859-1", "utf-8*en", "us-ascii", "windows-1252", "utf-7", "nope", "", "utf-16be", "iso-2022-jp", "hz-gb-2312", "x-imap4-modified-utf7")
	one := func(s string) string {
		if set == "utf-16be" {
			var wide strings.Builder
			for _, c := range []byte(s) {
				wide.Write([]byte{0, c})
			}
			s = wide.String()
		}
		if g.chance(50) {
			return "=?" + set + "?" + g.one("B", "b") + "?" + base64.StdEncoding.EncodeToString([]byte(s)) + g.one("?=", "?=", "?=", "?", "", "?= ", "=?=")
		}
		var b strings.Builder
		for _, c := range []byte(s) {
			switch {
			case c == ' ':
				b.WriteByte('_')
			case c < '.' || c > 'z' || c == '=' || c == '?' || c == '_' || c == '@' || c == '<' || g.chance(10):
				fmt.Fprintf(&b, "=%02X", c)
			default:
				b.WriteByte(c)
			}
		}
		return "=?" + set + "?" + g.one("Q", "q") + "?" + b.String() + g.one("?=", "?=", "?=", "?", "", "?=x")
	}
	if i := g.IntN(len(text) + 1); g.chance(30) {
		return one(text[:i]) + g.one(" ", "", "\r\n ", "\t", "  ", "x", "(c)", `"`) + one(text[i:])
	}
	return one(text)
}

// pieces are what noise puts in.
var pieces = []string{"@", "<", ">", "(", ")", `"`, `\`, ",", ";", ":", ".", " ", "\r\n ", "\r\n\t", "\n", "\r", "\x00", "=?", "?=", "\uff20", "\u200b", "\xe9", "[", "]",
	"%", "!", "\x0b", "\x0c", "\u2028", "\x85", "\u202e", "\t", "From: ceo@bank.example", "\r\nFrom: ceo@bank.example", "ceo@bank.example", "bank.example", "alice@client-a.example", "'", "=", "\x1b", "\u3164", "\xff"}

// noise changes the text in a few places by chance: something put in, taken out, moved
// or said twice.
func (g forge) noise(text string) string {
	for range 1 + g.IntN(4) {
		i := g.IntN(len(text) + 1)
		k := min(len(text), i+g.IntN(12))
		switch g.IntN(5) {
		case 0, 1:
			text = text[:i] + g.one(pieces...) + text[i:]
		case 2:
			text = text[:i] + text[k:]
		case 3:
			text = text[:k] + text[i:]
		case 4:
			at := g.IntN(len(text) + 1)
			text = text[:at] + text[i:k] + text[at:]
		}
	}
	return text
}
