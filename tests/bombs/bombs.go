// Package bombs makes mail that is meant to cost whoever reads it as much time and
// memory as can be had for its size: what is quadratic in a naive parser, what nests,
// what is decoded to more than it was, what each reader of a field reads once more. The
// engine is tried with it (package rules), the daemon (tests/peers), and the daemon behind
// Postfix, with tens of megabytes more of it.
package bombs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Bomb is one mail, of a sender who may send as he does.
type Bomb struct {
	Name   string
	Header []Field
	Body   string
}

// Field is a header field as an MTA hands it over.
type Field struct{ Name, Value string }

// Shape is what a bomb is made of: a beginning, and a pattern again and again up to the
// size that is wanted. In both "%d" counts.
type Shape struct {
	Name    string
	Field   string // it is the value of this field, or empty: it is a body ...
	Type    string // ... of this Content-Type
	Begin   []string
	Times   int // the beginning stands so often
	Pattern []string
}

// MaxField is what Postfix hands over of a field, in octets.
const MaxField = 60_000

// Make is the shape as a mail with so many octets of it. Where it is a field's, it is
// there again in a further field of the name after each MaxField octets, as Postfix would
// hand it over; with whole set it is one field.
func (s Shape) Make(size int, whole bool) Bomb {
	b := Bomb{Name: s.String(), Header: []Field{{"Subject", "hello"}}}
	for _, f := range []Field{{"From", "Alice <alice@client-a.example>"}, {"To", "bob@remote.example"}} {
		if f.Name != s.Field {
			b.Header = append(b.Header, f)
		}
	}
	if s.Field == "" {
		b.Header = append(b.Header, Field{"Content-Type", s.Type}, Field{"MIME-Version", "1.0"})
		if i := strings.Index(s.Type, "\n"); i >= 0 { // a transfer encoding behind it
			b.Header[len(b.Header)-2].Value = s.Type[:i]
			b.Header = append(b.Header, Field{"Content-Transfer-Encoding", s.Type[i+1:]})
		}
		b.Body = s.text(size)
		return b
	}
	for size > 0 {
		n := size
		if !whole {
			n = min(n, MaxField)
		}
		b.Header = append(b.Header, Field{s.Field, s.text(n)})
		size -= n
	}
	return b
}

// text is so many octets of the shape.
func (s Shape) text(size int) string {
	var b strings.Builder
	b.Grow(size + 100)
	n := 0
	add := func(list []string) {
		for _, piece := range list {
			if strings.Contains(piece, "%d") {
				n++
				piece = strings.ReplaceAll(piece, "%d", fmt.Sprint(n))
			}
			b.WriteString(piece)
		}
	}
	for range s.Times {
		if add(s.Begin); b.Len() > size/2 {
			break
		}
	}
	for b.Len() < size {
		before := b.Len()
		if add(s.Pattern); b.Len() == before {
			b.WriteString("x")
		}
	}
	return b.String()[:size]
}

func (s Shape) String() string {
	if s.Name != "" {
		return s.Name
	}
	where := s.Field
	if where == "" {
		where = s.Type
	}
	if s.Times == 0 || len(s.Begin) == 0 {
		return fmt.Sprintf("%s: %q", where, strings.Join(s.Pattern, ""))
	}
	return fmt.Sprintf("%s: %d x %q, then %q", where, s.Times, strings.Join(s.Begin, ""), strings.Join(s.Pattern, ""))
}

// Pieces that shapes are made of by chance.
var (
	headerPieces = strings.Split("\"|(|)|<|>|@|,|;|:|\\|[|]|.|'| |\n |\t|\r|a|bob%d|x.fr|a@x.fr|a@x%d.fr|<a@x.fr>|<https://x.fr/%d>|<mailto:a@x.fr>|mailto:|https://|"+
		"=?utf-8?q?|=?utf-8?b?|=?big5?b?GyRC?=|=?iso-2022-jp?b?GyRC?=|=?gbk?q?=81=30?=|=?iso-8859-15?q?=A4?=|=?x?q?a?=|=?u?b?QGE=?=|?=|=40|QA==|"+
		"é|a@é%d.fr|xn--|\uff20|\u0336|\u2028|\xe9|g:|undisclosed:;|b=|boundary=|charset=utf-7|%|&", "|")
	htmlPieces = strings.Split("<div>|</div>|<b>|</b>|<i>|<p>|</p>|<span>|</span>|<table>|</table>|<tr>|<td>|</td>|<li>|<ul>|<form>|<a href=https://x.fr/%d>|<a href=mailto:a@x.fr>|</a>|<a name=b>|<h1>|<font color=#12345%d>|"+
		"<p style='color:#12345%d'>|<div style=font-size:%dpx>|<div style='opacity:.9'>|<b style='font-size:1%dpx'>|<p class=a>|<p id=a%d>|<p class='a b c d'>|<p title=x>|<img alt=unsubscribe src=x>|<select><option>|<button>|<svg>|<math>|<template>|<noscript>|<!--|-->|"+
		"<style>|</style>|a{color:red}|.a{color:red}|#a%d{color:red}|.a,|p p p p{color:red}|p>p>p{color:red}|*{color:red}|* * * *{color:red}|.a{|}|{|:not(.a){color:red}|:has(a){color:red}|[title=x]{color:red}|[class~=a]{color:red}|p:not(p p p){color:red}|:is(p,p,p){color:red}|@media screen{|@media(max-width:%dpx){.a{color:red}}|& &{|p{|p,p,p{|"+
		"&amp;|&#x41;|&a|&nbsp;|\n| |a|word%d |unsubscribe |se désabonner |http://x.fr/%d |www.a.fr |a@x.fr |é|\u0336|\u200b|\xe9|=|'|\"|/*|*/|\\|;|:|,", "|")
	mimePieces = strings.Split("--b\n|--b--\n|\n|\n\n|Content-Type: text/html\n\n|Content-Type: text/plain\n\n|Content-Type: multipart/mixed; boundary=b\n\n|Content-Type: multipart/alternative; boundary=b\n\n|Content-Type: message/rfc822\n\n|Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n|"+
		"Content-Transfer-Encoding: base64\n|Content-Transfer-Encoding: quoted-printable\n|Content-Disposition: attachment\n|A: b\n| a\n|--|b|=|=0A|YQ==|PGI+|<b>|<div>|a |word%d |http://x.fr/%d |@|a@x.fr |begin 644 a\n|M|+A-|+|\xe9|é|BEGIN:VEVENT\n|SUMMARY:a\n", "|")

	headerFields = strings.Fields("From Sender Reply-To To Cc Bcc Mail-Followup-To Return-Path Errors-To Author Resent-From Subject Message-ID References In-Reply-To List-Unsubscribe List-Unsubscribe-Post List-Id Precedence " +
		"Content-Type Content-Disposition DKIM-Signature Received X-PHP-Originating-Script X-Mailer Feedback-ID Auto-Submitted X-O2N-Milter")
	bodyTypes = []string{"text/html", "text/html; charset=iso-2022-jp", "text/html; charset=utf-7", "text/html\nquoted-printable", "text/html\nbase64", "text/plain", "text/plain; format=flowed; delsp=yes", "text/plain; charset=gb18030", "text/plain\nx-uuencode", "text/calendar", "text/enriched",
		"multipart/mixed; boundary=b", "multipart/alternative; boundary=b", "multipart/related; boundary=b", "multipart/digest; boundary=b", "multipart/report; boundary=b", "message/rfc822"}
)

// Random is a shape by chance.
func Random(r *rand.Rand) Shape {
	var s Shape
	if r.IntN(3) == 0 {
		s.Field = headerFields[r.IntN(len(headerFields))]
	} else {
		s.Type = bodyTypes[r.IntN(len(bodyTypes))]
		if r.IntN(2) == 0 {
			s.Type = "text/html"
		}
	}
	s.Times = 1 << r.IntN(12)
	for range r.IntN(4) {
		s.Begin = append(s.Begin, s.piece(r))
	}
	for range 1 + r.IntN(4) {
		s.Pattern = append(s.Pattern, s.piece(r))
	}
	return s
}

// Change is a shape that is a little different.
func (s Shape) Change(r *rand.Rand) Shape {
	s.Name, s.Begin, s.Pattern = "", slices.Clone(s.Begin), slices.Clone(s.Pattern)
	list := &s.Pattern
	if r.IntN(2) == 0 {
		list = &s.Begin
	}
	switch n := len(*list); {
	case r.IntN(6) == 0:
		s.Times = 1 << r.IntN(13)
	case r.IntN(8) == 0 && s.Field != "":
		s.Field = headerFields[r.IntN(len(headerFields))]
	case n == 0 || n < 8 && r.IntN(2) == 0:
		*list = slices.Insert(*list, r.IntN(n+1), s.piece(r))
	case n > 1 && r.IntN(3) == 0:
		*list = slices.Delete(*list, 0, 1)
	default:
		(*list)[r.IntN(n)] = s.piece(r)
	}
	return s
}

// piece is a piece that suits the shape.
func (s Shape) piece(r *rand.Rand) string {
	switch {
	case s.Field != "":
		return headerPieces[r.IntN(len(headerPieces))]
	case strings.HasPrefix(s.Type, "text/html") || strings.HasPrefix(s.Type, "text/plain") && r.IntN(3) > 0:
		return htmlPieces[r.IntN(len(htmlPieces))]
	case r.IntN(3) == 0:
		return htmlPieces[r.IntN(len(htmlPieces))]
	}
	return mimePieces[r.IntN(len(mimePieces))]
}
