// Package pagetest holds every page of ours to one standard: well-formed, without
// anything active or foreign, and with what a screen reader needs.
package pagetest

import (
	"fmt"
	"strings"

	"golang.org/x/net/html"
)

// Attr is the value of an attribute; empty without it.
func Attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// HasAttr says whether an element has an attribute, if an empty one.
func HasAttr(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// Text is what a reader sees of a node, blanks folded.
func Text(n *html.Node) string {
	var out strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && c.Parent.Data != "style" && c.Parent.Data != "title" {
			out.WriteString(c.Data + " ")
		}
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

// Faults are what is wrong with a page.
func Faults(page string) []string {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return []string{err.Error()}
	}
	s := &sheet{ids: map[string]int{}, labels: map[string]bool{}}
	for n := range doc.Descendants() {
		s.ids[Attr(n, "id")]++
		if n.Data == "label" {
			s.labels[Attr(n, "for")] = true
		}
	}
	delete(s.ids, "") // those without
	for id, times := range s.ids {
		if times > 1 {
			s.fault("%d of id %q", times, id)
		}
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			s.references(n)
			s.element(n)
		}
	}
	if s.h1 != 1 {
		s.fault("%d h1", s.h1)
	}
	if strings.Contains(page, "ZgotmplZ") {
		s.fault("the template refused a value")
	}
	s.balance(page)
	return s.faults
}

// sheet is a page that is looked through.
type sheet struct {
	ids    map[string]int
	labels map[string]bool // by the id that they are for
	level  int             // of the last heading
	h1     int
	faults []string
}

func (s *sheet) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// references checks that what an element names is there, and that it does nothing.
func (s *sheet) references(n *html.Node) {
	for _, a := range n.Attr {
		if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
			s.fault("%s has %s", n.Data, a.Key)
		}
	}
	for _, name := range []string{"aria-describedby", "aria-labelledby", "for"} {
		for id := range strings.FieldsSeq(Attr(n, name)) {
			if s.ids[id] != 1 {
				s.fault("%s: %s names %q, of which there are %d", n.Data, name, id, s.ids[id])
			}
		}
	}
}

func (s *sheet) element(n *html.Node) {
	switch n.Data {
	case "html":
		if l := Attr(n, "lang"); l != "en" && l != "fr" {
			s.fault("lang %q", l)
		}
	case "h1", "h2", "h3", "h4":
		s.heading(n)
	case "input", "textarea", "select":
		if Attr(n, "type") != "hidden" && !s.labels[Attr(n, "id")] {
			s.fault("%s %q has no label", n.Data, Attr(n, "name"))
		}
	case "button", "a":
		if Text(n) == "" {
			s.fault("nothing on a %s to %q", n.Data, Attr(n, "href"))
		}
		if to, is := strings.CutPrefix(Attr(n, "href"), "#"); is && s.ids[to] != 1 {
			s.fault("link to %q, of which there are %d", to, s.ids[to])
		}
	case "form":
		if Attr(n, "method") != "post" && Attr(n, "role") != "search" {
			s.fault("form %q by GET", Attr(n, "action"))
		}
	case "svg":
		if Attr(n, "role") != "img" && Attr(n, "aria-hidden") != "true" {
			s.fault("a picture that is neither told nor hidden")
		}
	case "th":
		if !HasAttr(n, "scope") {
			s.fault("th %q has no scope", Text(n))
		}
	case "link", "img":
		if from := Attr(n, "src") + Attr(n, "href"); !strings.HasPrefix(from, "data:") {
			s.fault("%s from %q", n.Data, from)
		}
	case "script", "iframe", "object", "base":
		s.fault("a %s", n.Data)
	}
}

func (s *sheet) heading(n *html.Node) {
	level := int(n.Data[1] - '0')
	if level > s.level+1 {
		s.fault("%s %q after h%d", n.Data, Text(n), s.level)
	}
	s.level = level
	if level == 1 {
		s.h1++
	}
	if Text(n) == "" {
		s.fault("empty %s", n.Data)
	}
}

var void = map[string]bool{"meta": true, "link": true, "input": true, "br": true}

// balance checks that every element is closed where it should be.
func (s *sheet) balance(page string) {
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				s.fault("never closed: %v", open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !void[string(name)] {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				s.fault("</%s> in %v", name, open)
				return
			}
			open = open[:len(open)-1]
		}
	}
}
