package customer

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

// mail is a message that was stopped.
type mail struct {
	desk.SeenMail
	Result string // key
	Found  []finding
}

// finding is evidence in plain words.
type finding struct {
	Rule    string // its name
	Got     string // the sender's own words may be in it; empty where the name says all
	Allowed string // empty where the rule's words say it
}

func mails(l page.Lang, seen []desk.SeenMail) []mail {
	list := make([]mail, len(seen))
	for i, s := range seen {
		list[i] = mail{s, "action." + s.Action, findings(l, s.Evidence)}
	}
	return list
}

// findings are what stopped the mail; evidence in shadow did not.
func findings(l page.Lang, evidence []rules.Evidence) []finding {
	var list []finding
	for _, ev := range evidence {
		if !ev.Shadow {
			list = append(list, finding{ruleName(l, ev.Rule), gotText(l, ev), phrase(l, ev.Want, wants)})
		}
	}
	return list
}

func ruleName(l page.Lang, id string) string {
	if key := ruleKey(id); key != "" {
		return words.Text(l, key+".name")
	}
	return page.Visible(id)
}

// told says of which rules a customer has use for what was found; of the others it
// is about our own workings. What a content engine found would teach a spammer to
// get by it.
func told(id string) bool {
	kind, _, _ := strings.Cut(id, ".")
	switch kind {
	case "identity", "recipients", "limit", "bulk":
		return true
	}
	return id == "accounts.unknown"
}

func gotText(l page.Lang, ev rules.Evidence) string {
	if !told(ev.Rule) {
		return ""
	}
	got := phrase(l, ev.Got, gots)
	if got == "" {
		got = ev.Got // an address, a number, or a fault in the terms of mail
	}
	unit, _, _ := strings.Cut(ev.Fact, " of ")
	if key := "unit." + unit; (strings.HasPrefix(ev.Rule, "limit.") || ev.Rule == "bulk.pace") && words.Has(key) {
		got = words.Text(l, "got.unit", words.Text(l, key), got)
	}
	return got
}

// pattern is a phrase that rules write, and the key of the same in plain words. Its
// groups are numbers, or a length of time as in TOML.
type pattern struct {
	re  *regexp.Regexp
	key string
}

var gots = []pattern{
	{regexp.MustCompile(`^(\d+) used, (\d+) more$`), "got.used"},
	{regexp.MustCompile(`^(\d+) in one message$`), "got.alone"},
	{regexp.MustCompile(`^(\d+) From fields$`), "got.fields"},
	{regexp.MustCompile(`^no address$`), "got.none"},
	{regexp.MustCompile(`^no List-Unsubscribe; none of (\d+) links? in the text is to unsubscribe$`), "got.unsubscribe"},
	{regexp.MustCompile(`^List-Unsubscribe: [^;]+; none of (\d+) links? in the text is to unsubscribe$`), "got.unsubscribe_refused"},
	{regexp.MustCompile(`^no List-Unsubscribe with https$`), "got.one_click_link"},
	{regexp.MustCompile(`^no sound List-Unsubscribe-Post$`), "got.one_click_post"},
	{regexp.MustCompile(`^no DKIM-Signature over both fields$`), "got.one_click_signed"},
	{regexp.MustCompile(`^no sentence that says it$`), "got.reason"},
	{regexp.MustCompile(`^(\d+) recipients?$`), "got.recipients"},
}

var wants = []pattern{
	{regexp.MustCompile(`^at most (\d+) in (\w+)$`), "want.window"},
	{regexp.MustCompile(`^at most (\d+)$`), "want.most"},
}

var reasons = []pattern{
	{regexp.MustCompile(`^(?:at least )?\d+ messages refused as abuse in (\w+), the last one by \S+$`), "reason.strikes"},
}

// phrase says s in plain words; empty when it fits none of list.
func phrase(l page.Lang, s string, list []pattern) string {
	for _, p := range list {
		groups := p.re.FindStringSubmatch(s)
		if groups == nil {
			continue
		}
		args := make([]any, len(groups)-1)
		for i, g := range groups[1:] {
			args[i] = quantity(l, g)
		}
		return words.Text(l, p.key, args...)
	}
	return ""
}

func quantity(l page.Lang, s string) string {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return page.Number(l, n)
	}
	if d, err := rules.ParseDuration(s); err == nil {
		return page.Span(l, d.Round(time.Second))
	}
	return s
}
