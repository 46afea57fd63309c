package web

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// form is a form of a page, filled in.
type form struct {
	page   string // where it stands
	to     string // where it goes
	fields url.Values
}

// answers are good values of fields that a person fills in.
var answers = map[string]string{
	"for": "2h", "reason": "a reason", "happened": "My site was hacked.", "done": "I mended it.", "password": "yes", "sure": "yes",
	"owner": "olivia", "subject": "account:" + alice, "rule": "identity.reply_to",
}

// forms are those of a page that POST, one for each of a form's buttons.
func (v *visitor) forms(page string) (list []form) {
	v.t.Helper()
	got := v.do(http.MethodGet, page, "")
	for n := range got.parse().Descendants() {
		if n.Data != "form" || attr(n, "method") != "post" {
			continue
		}
		f := form{page, attr(n, "action"), url.Values{}}
		if f.to == "" {
			f.to = page
		}
		var buttons []*html.Node
		for in := range n.Descendants() {
			name, value := attr(in, "name"), attr(in, "value")
			switch {
			case in.Data == "button":
				buttons = append(buttons, in)
			case name == "" || f.fields.Has(name) && attr(in, "type") == "radio":
			case in.Data == "input" && attr(in, "type") == "hidden":
				f.fields.Set(name, value)
			case in.Data == "input" || in.Data == "textarea" || in.Data == "select":
				f.fields.Set(name, answers[name])
			}
		}
		for _, b := range buttons {
			one := form{f.page, f.to, url.Values{}}
			for name := range f.fields {
				one.fields.Set(name, f.fields.Get(name))
			}
			if name := attr(b, "name"); name != "" {
				one.fields.Set(name, attr(b, "value"))
			}
			list = append(list, one)
		}
	}
	return list
}

// formOf is the first form of a page that has this field.
func (v *visitor) formOf(page, field string) form {
	v.t.Helper()
	for _, f := range v.forms(page) {
		if f.fields.Has(field) {
			f.fields.Del("self")
			return f
		}
	}
	v.t.Fatalf("%s has no form with %q:\n%s", page, field, v.do(http.MethodGet, page, "").body)
	return form{}
}

func (f form) set(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		f.fields.Set(pairs[i], pairs[i+1])
	}
}

// with is the form with other fields.
func (f form) with(pairs ...string) form {
	other := form{f.page, f.to, url.Values{}}
	for name := range f.fields {
		other.fields.Set(name, f.fields.Get(name))
	}
	other.set(pairs...)
	return other
}

// send posts a form as a browser does that stands on its page.
func (v *visitor) send(path string, f form, headers ...string) reply {
	v.t.Helper()
	return v.do(http.MethodPost, path, f.fields.Encode(), append([]string{"Sec-Fetch-Site", "same-origin"}, headers...)...)
}

// crawl opens every page that can be reached from these, and what came of each.
func (v *visitor) crawl(from ...string) map[string]reply {
	v.t.Helper()
	seen := map[string]reply{}
	for len(from) > 0 {
		path := from[0]
		from = from[1:]
		if _, done := seen[path]; done {
			continue
		}
		got := v.do(http.MethodGet, path, "")
		seen[path] = got
		for n := range got.parse().Descendants() {
			to, err := url.Parse(attr(n, "href"))
			if n.Data != "a" || err != nil || to.Host != "" || to.Path == "" {
				continue
			}
			at, err := url.Parse(path)
			v.check(err)
			to = at.ResolveReference(to)
			to.Fragment = ""
			from = append(from, to.String())
		}
		if len(seen) > 500 {
			v.t.Fatalf("over 500 pages, the last %s", path)
		}
	}
	return seen
}

// other is a letter or digit that is not this one.
func other(b byte) byte {
	if b == 'A' {
		return 'B'
	}
	return 'A'
}

// altered is text with one byte changed, at each place in turn.
func altered(text string) (list []string) {
	for i := range len(text) {
		list = append(list, text[:i]+string(other(text[i]))+text[i+1:])
	}
	return list
}

// tokenIn is the token of a link.
func tokenIn(link string) string { return strings.TrimPrefix(link, "/c/") }
