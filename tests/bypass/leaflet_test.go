package bypass

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"mime/quotedprintable"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// leaflet is a letter of a campaign, as a bulk tool has it before it is written out.
type leaflet struct {
	name, subject string
	paragraphs    []string
	link          string
	html          bool
	charset       string // utf-8, or what there is a code page of below
	encoding      string // of the transfer
	parts         []string
	other         string                // plain text in place of the HTML, where that shows nothing
	page          func(s string) string // what stands round the HTML of the text; nil: nothing does
}

// leaflets are three lengths, long ones first, of what is sent in bulk without being asked for.
var leaflets = []leaflet{
	{name: "Kitchens", subject: "Our workshop opens its doors on Saturday", html: true, charset: "utf-8", encoding: "base64", link: "https://kitchens.example/doors", paragraphs: []string{
		"Dear neighbour,",
		"our joinery opens its doors next Saturday. Come and see our new kitchens of solid oak, made in the valley by our own people, with drawers that close by themselves and worktops that a lifetime of cooking will not wear out.",
		"Whoever orders before the end of the month has the old kitchen taken away free of charge, gets a sink of his choice and pays nothing until the last door hangs straight. Our fitters come on weekdays and leave the house as clean as they found it.",
		"Bring a plan of the room if you have one: our draughtsman shows you on the screen what fits, what it costs and how it would look in the light of morning. Coffee and cider are on the house, and the children may saw and nail.",
		"We look forward to meeting you.",
	}},
	{name: "Loans", subject: "Your loan is ready", charset: "utf-8", encoding: "8bit", link: "https://loans.example/now", paragraphs: []string{
		"Good news: the loan that you asked about has been granted without any further proof of income.",
		"The money can be on your account tomorrow morning. Nobody will ask what you want it for, and the first three instalments are a present from us.",
		"Click below and tell us where to send it:",
	}},
	{name: "Parcel", subject: "Your parcel", charset: "utf-8", encoding: "8bit", link: "https://parcel.example/fee", paragraphs: []string{
		"Your parcel is waiting at our depot because the customs fee was not paid yet. Please pay here:",
	}},
}

func (l leaflet) clone() leaflet {
	l.paragraphs = append([]string(nil), l.paragraphs...)
	return l
}

// eachWord changes the words of all paragraphs.
func (l leaflet) eachWord(change func(at int, word string) string) leaflet {
	l = l.clone()
	at := 0
	for i, p := range l.paragraphs {
		words := strings.Fields(p)
		for j := range words {
			words[j] = change(at, words[j])
			at++
		}
		l.paragraphs[i] = strings.Join(words, " ")
	}
	return l
}

// wire is the message behind From and To.
func (l leaflet) wire(from, to string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s <%s>\r\nTo: %s\r\nSubject: =?utf-8?B?%s?=\r\nMIME-Version: 1.0\r\n", l.name, from, to, base64.StdEncoding.EncodeToString([]byte(l.subject)))
	kind, parts := "mixed", append([]string{l.part()}, l.parts...)
	if l.other != "" {
		kind, parts = "alternative", []string{"\r\n" + l.other, l.part()}
	}
	if len(parts) == 1 {
		b.WriteString(parts[0])
		return b.Bytes()
	}
	b.WriteString("Content-Type: multipart/" + kind + "; boundary=x\r\n\r\n")
	for _, part := range parts {
		b.WriteString("--x\r\n" + part + "\r\n")
	}
	b.WriteString("--x--\r\n")
	return b.Bytes()
}

// part is the text with its own header.
func (l leaflet) part() string {
	kind, text := "plain", strings.Join(l.paragraphs, "\r\n\r\n")+"\r\n"+l.link+"\r\n"
	if l.html {
		kind, text = "html", l.asHTML()
	}
	return fmt.Sprintf("Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s", kind, l.charset, l.encoding, l.encoded(text))
}

// asHTML takes what stands between < and > in a paragraph for tags.
func (l leaflet) asHTML() string {
	var b strings.Builder
	for _, p := range l.paragraphs {
		b.WriteString("<p>" + p + "</p>\r\n")
	}
	if l.link != "" {
		fmt.Fprintf(&b, "<p><a href=\"%s\">Click</a></p>\r\n", html.EscapeString(l.link))
	}
	if l.page != nil {
		return l.page(b.String())
	}
	return "<html><body>\r\n" + b.String() + "</body></html>\r\n"
}

func (l leaflet) encoded(text string) string {
	data := []byte(text)
	switch l.charset {
	case "iso-8859-15":
		data, _ = charmap.ISO8859_15.NewEncoder().Bytes(data) // what it cannot say is left out
	case "utf-16be":
		data = nil
		for _, r := range text {
			data = append(data, byte(r>>8), byte(r))
		}
	}
	switch l.encoding {
	case "base64":
		return base64.StdEncoding.EncodeToString(data) + "\r\n"
	case "quoted-printable":
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		w.Write(data)
		w.Close()
		return b.String()
	}
	return string(data)
}
