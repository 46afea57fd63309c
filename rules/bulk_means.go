package rules

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"o2n-milter/message"
)

// bulkWords are the phrases that an Engine looks for.
type bulkWords struct {
	unsubscribe, reason *phrases
	any                 *pieces // of those two and of answerWords
}

// Of which lists bulkWords.any tells.
const (
	unsubscribes lists = 1 << iota
	reasons
	answers
)

func newBulkWords(unsubscribe, reason []string) bulkWords {
	w := bulkWords{unsubscribe: newPhrases(unsubscribe), reason: newPhrases(reason)}
	w.any = newPieces(w.unsubscribe.list, w.reason.list, answerWords.list)
	return w
}

// readBody is the body, read once, when something asks for it.
func (f *facts) readBody() *message.Body {
	if f.text == nil {
		f.text = bodyTexts.Get().(*bodyText)
		f.text.body = message.FoldBody(&f.text.Folded, f.mail.Header, f.mail.Body)
	}
	return &f.text.body
}

// surely is f with the body as every reader shows it: what only some show is no means.
func (f *facts) surely() *facts {
	if !f.readBody().Doubtful {
		return f
	}
	surely := &bodyText{body: message.ReadSurely(f.mail.Header, f.mail.Body)}
	surely.body.Doubtful = false
	surely.Fold(surely.body.Text)
	return &facts{mail: f.mail, words: f.words, text: surely}
}

// bodyText is a body, whose text is folded, and what lists of phrases have one in that.
type bodyText struct {
	message.Folded
	body   message.Body
	says   lists
	looked bool // for the phrases
}

// readText is the text of the body, looked through once, when somebody asks for it.
func (f *facts) readText() *bodyText {
	f.readBody()
	if t := f.text; !t.looked {
		t.says, t.looked = f.words.any.lists(t.Text()), true
	}
	return f.text
}

// bodyTexts have room for a text each.
var bodyTexts = sync.Pool{New: func() any { return new(bodyText) }}

// free gives back what no verdict holds; nothing is asked of f any more.
func (f *facts) free() {
	if f.text != nil {
		*f.text = bodyText{Folded: f.text.Folded}
		bodyTexts.Put(f.text)
		f.text = nil
	}
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
	return field + "; none of " + plural(len(f.readBody().Links), "link") + " in the text is to unsubscribe"
}

// showsUnsubscribe looks for a link that says it is to unsubscribe or stands in text
// that does, for a URL or an address next to such text, and for the invitation to
// answer. Where the mail cannot be followed, nobody knows what a reader sees.
func (f *facts) showsUnsubscribe() bool {
	f = f.surely()
	words, text := f.words.unsubscribe, f.readText()
	if f.readBody().Raw != "" {
		return false
	}
	if text.says&answers != 0 && answersStop(text.Text(), words) {
		return true
	}
	if text.says&unsubscribes == 0 {
		return false // what an anchor says is in the text too
	}
	var bare []string // folded targets that are themselves what is seen
	for _, l := range f.readBody().Links {
		switch {
		case !leads(l.URL):
		case words.in(folded(l.Text)) || words.in(folded(l.Around)):
			return true
		case l.Text == "":
			bare = append(bare, message.Fold(seen(l.URL)))
		}
	}
	return words.near(text.Text(), bare)
}

func folded(s string) []byte { return []byte(message.Fold(s)) }

// seen is the target of a bare link as it stands in the text: what its reader made a
// link of without a scheme has one before it.
func seen(target string) string {
	for _, scheme := range []string{"mailto:", "http://"} {
		if rest, ok := strings.CutPrefix(target, scheme); ok {
			return rest
		}
	}
	return target
}

// leads says whether the target is of a form that gets a reader anywhere: a host's
// page or a mailbox. Nothing is ever fetched.
func leads(target string) bool {
	u, err := url.Parse(target)
	return err == nil && (isOutside(u.Hostname()) || u.Scheme == "mailto" && strings.Contains(u.Opaque, "@"))
}

// isOutside says whether a host may be anywhere but on the reader's own machine or network.
func isOutside(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsGlobalUnicast() && !ip.IsPrivate()
	}
	return strings.Contains(strings.Trim(host, "."), ".")
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
	f = f.surely()
	if f.readBody().Raw == "" && f.readText().says&reasons != 0 {
		return ""
	}
	return "no sentence that says it"
}
