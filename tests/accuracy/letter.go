package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

type form int

const (
	plain form = iota
	htmlOnly
	alternative
)

// letter is a template, or what became of it for one recipient.
type letter struct {
	name     string
	form     form
	charset  string
	encoding string // Content-Transfer-Encoding
	greeting string
	subject  string
	text     string   // "@" alone is the salutation, "-> words | target" a link
	files    []string // what is attached
	tags     *rand.Rand
	replyTo  string // Message-ID that it answers
	sender   string // his name; empty: none is told
}

// mail is the whole message.
func (l letter) mail(from, to string, n int) []byte {
	var b bytes.Buffer
	author := from
	if l.sender != "" {
		author = encodedWord(l.sender) + " <" + from + ">"
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\n", author, to, encodedWord(l.subject))
	fmt.Fprintf(&b, "Date: Mon, 23 Nov 2026 09:%02d:00 +0100\r\nMessage-ID: <%d.%d@%s>\r\n", n%60, n, len(l.text), from[strings.IndexByte(from, '@')+1:])
	if l.replyTo != "" {
		fmt.Fprintf(&b, "In-Reply-To: <%s>\r\n", l.replyTo)
	}
	b.WriteString("MIME-Version: 1.0\r\n")
	if len(l.files) == 0 {
		l.body(&b, n)
		return b.Bytes()
	}
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"m%dx\"\r\n\r\n--m%[1]dx\r\n", n)
	l.body(&b, n)
	for i, file := range l.files {
		fmt.Fprintf(&b, "\r\n--m%dx\r\nContent-Type: application/pdf; name=\"document%d.pdf\"\r\n", n, i)
		b.WriteString("Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wrapped(base64.StdEncoding.EncodeToString([]byte(file))))
	}
	fmt.Fprintf(&b, "\r\n--m%dx--\r\n", n)
	return b.Bytes()
}

func (l letter) body(b *bytes.Buffer, n int) {
	switch l.form {
	case plain:
		l.part(b, "plain", l.asPlain())
	case htmlOnly:
		l.part(b, "html", l.asHTML())
	case alternative:
		fmt.Fprintf(b, "Content-Type: multipart/alternative; boundary=\"a%dx\"\r\n\r\n--a%[1]dx\r\n", n)
		l.part(b, "plain", l.asPlain())
		fmt.Fprintf(b, "\r\n--a%dx\r\n", n)
		l.part(b, "html", l.asHTML())
		fmt.Fprintf(b, "\r\n--a%dx--\r\n", n)
	}
}

func (l letter) part(b *bytes.Buffer, subtype, text string) {
	fmt.Fprintf(b, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", subtype, l.charset, l.encoding)
	data := inCharset(text, l.charset)
	switch l.encoding {
	case "base64":
		b.WriteString(wrapped(base64.StdEncoding.EncodeToString(data)))
	case "quoted-printable":
		w := quotedprintable.NewWriter(b)
		w.Write(data)
		w.Close()
	default:
		b.Write(data)
	}
	b.WriteString("\r\n")
}

func (l letter) asPlain() string {
	var b strings.Builder
	for line := range strings.SplitSeq(l.text, "\n") {
		words, target, isLink := cutLink(line)
		switch {
		case line == "@":
			b.WriteString(l.greeting + ",\r\n")
		case isLink:
			b.WriteString(words + " : " + target)
		default:
			b.WriteString(filled(line, 76))
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

func (l letter) asHTML() string {
	var b strings.Builder
	b.WriteString("<html><head><style>p { color: #222 }</style></head><body style=\"background-color: #ffffff\">\r\n")
	for line := range strings.SplitSeq(l.text, "\n") {
		words, target, isLink := cutLink(line)
		switch {
		case line == "":
		case line == "@":
			fmt.Fprintf(&b, "<p>%s,</p>\r\n", html.EscapeString(l.greeting))
		case isLink:
			fmt.Fprintf(&b, "<p><a href=\"%s\">%s</a></p>\r\n", html.EscapeString(target), l.noisy(words))
		default:
			fmt.Fprintf(&b, "<p>%s</p>\r\n", l.noisy(line))
		}
	}
	b.WriteString("</body></html>\r\n")
	return b.String()
}

// cutLink is what a link line says and where it leads.
func cutLink(line string) (words, target string, is bool) {
	if !strings.HasPrefix(line, "-> ") {
		return line, "", false
	}
	words, target, _ = strings.Cut(line[3:], " | ")
	return words, target, true
}

// filled breaks a paragraph into lines.
func filled(text string, width int) string {
	var b strings.Builder
	n := 0
	for i, word := range strings.Split(text, " ") {
		switch {
		case i == 0:
		case n+len(word) > width:
			b.WriteString("\r\n")
			n = 0
		default:
			b.WriteByte(' ')
		}
		b.WriteString(word)
		n += len(word) + 1
	}
	return b.String()
}

func wrapped(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s + "\r\n"
}

func encodedWord(s string) string {
	return "=?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?="
}

// inCharset is the text in a charset that need not have all of its letters.
func inCharset(text, name string) []byte {
	enc, err := htmlindex.Get(name)
	if err != nil {
		panic(err) // the templates name known ones only
	}
	data, err := encoding.ReplaceUnsupported(enc.NewEncoder()).Bytes([]byte(text))
	if err != nil {
		panic(err)
	}
	return data
}
