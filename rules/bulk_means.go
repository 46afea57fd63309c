package rules

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"o2n-milter/message"
)

// bulkWords are the phrases that an Engine looks for.
type bulkWords struct{ unsubscribe, reason *phrases }

// readBody is the body, read once, when something asks for it.
func (f *facts) readBody() *message.Body {
	if f.body == nil {
		body := message.ReadBody(f.mail.Header, f.mail.Body)
		f.body = &body
	}
	return f.body
}

// readText is the text of the body, folded once, when a phrase is looked for.
func (f *facts) readText() string {
	if f.text == nil {
		text := message.Fold(f.readBody().Text)
		f.text = &text
	}
	return *f.text
}

// lacksUnsubscribe: List-Unsubscribe that a mail program can use, else something in
// the text that a reader can.
func lacksUnsubscribe(f *facts) string {
	lists := &f.msg.Lists
	if len(lists.Unsubscribe) > 0 || f.showsUnsubscribe() {
		return ""
	}
	field := "no List-Unsubscribe"
	if lists.Refused != "" {
		field = "List-Unsubscribe: " + lists.Refused
	}
	return fmt.Sprintf("%s; none of %s in the text is to unsubscribe", field, plural(len(f.readBody().Links), "link"))
}

// showsUnsubscribe looks for a link or an address that says it is to unsubscribe, or
// stands in text that does, and for the invitation to answer.
func (f *facts) showsUnsubscribe() bool {
	words, text := f.words.unsubscribe, f.readText()
	if !words.in(text) {
		return answersStop(text, words) // what an anchor says is in the text too
	}
	for _, l := range f.readBody().Links {
		if leads(l.URL) && (words.in(message.Fold(l.Text)) || words.in(message.Fold(l.Around))) {
			return true
		}
	}
	return answersStop(text, words)
}

// leads says whether the target is of a form that gets a reader anywhere: a host's
// page or a mailbox. Nothing is ever fetched.
func leads(target string) bool {
	u, err := url.Parse(target)
	return err == nil && (u.Host != "" || u.Scheme == "mailto" && strings.Contains(u.Opaque, "@"))
}

// lacksOneClick: RFC 8058 3.1, and 4 where the mail is signed already.
func lacksOneClick(f *facts) string {
	lists := &f.msg.Lists
	isSecure := func(target string) bool { return strings.HasPrefix(strings.ToLower(target), "https:") }
	switch {
	case !slices.ContainsFunc(lists.Unsubscribe, isSecure):
		return "no List-Unsubscribe with https"
	case !lists.OneClick:
		return "no sound List-Unsubscribe-Post"
	case lists.Signatures > 0 && !lists.Covered:
		return "no DKIM-Signature over both fields"
	}
	return ""
}

// lacksReason: a sentence that says why its reader gets it.
func lacksReason(f *facts) string {
	if f.words.reason.in(f.readText()) {
		return ""
	}
	return "no sentence that says it"
}
