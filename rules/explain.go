package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a decision is explained with: the keys that its rules go by, and what would
// have made the message pass.

// Line is a key of the configuration, as it was when a message was judged.
type Line struct {
	File  string `json:"file"` // empty for a default
	Line  int    `json:"line"` // 0 for a default
	Key   string `json:"key"`
	Value string `json:"value"` // as TOML has it
}

// ruleKeys are the keys that a rule goes by beside the one of its own name.
var ruleKeys = map[string][]string{
	"identity.header_from":   {"identity.alignment"},
	"identity.sender":        {"identity.alignment"},
	"identity.envelope_from": {"identity.alignment"},
	"identity.reply_to":      {"identity.alignment"},
	"identity.display_name":  {"identity.alignment"},
	"recipients.visible":     {"recipients.max_visible"},
	"recipients.envelope":    {"recipients.max_envelope"},
	"recipients.duplicate":   {"recipients.max_duplicates"},
	"bulk.unsubscribe":       {"bulk.similar", "bulk.window"},
	"bulk.one_click":         {"bulk.similar", "bulk.window"},
	"bulk.reason":            {"bulk.similar", "bulk.window"},
	"bulk.volume":            {"bulk.max_campaign", "bulk.similar", "bulk.window"},
	"bulk.pace":              {"bulk.pace_max", "bulk.pace_window", "bulk.similar", "bulk.window"},
	"content.score":          {"content.at", "content.steps"},
	"content.unavailable":    {"content.url", "content.timeout"},
}

// otherKeys are those of rules that have no key of their own name.
var otherKeys = map[string][]string{
	"store.unavailable": {"state.on_failure"},
	"hold.full":         {"hold.max_per_subject", "hold.max_messages"},
	"internal.panic":    {},
	overload:            {},
}

// mostExplained is how many rules a record keeps the keys of: a message rarely meets
// more than two or three.
const mostExplained = 16

// linesOf are the keys of the rule that decided, then of the others that found
// something.
func (f *facts) linesOf(v *Verdict) []Line {
	if f.set.Origin == nil || f.set.Value == nil {
		return nil
	}
	var lines []Line
	known := map[string]bool{}
	for _, id := range findersOf(v.Rule, v.Evidence) {
		for _, key := range f.keysOf(id) {
			if known[key] {
				continue
			}
			known[key] = true
			l := Line{Key: key, Value: f.set.Value(key)}
			l.File, l.Line = f.set.Origin(key)
			lines = append(lines, l)
		}
	}
	return lines
}

// findersOf are the rules that found something, each once, the one that decided first.
func findersOf(decider string, evidence []Evidence) []string {
	var ids []string
	if slices.ContainsFunc(evidence, func(ev Evidence) bool { return ev.Rule == decider }) {
		ids = append(ids, decider)
	}
	for _, ev := range evidence {
		if !slices.Contains(ids, ev.Rule) && len(ids) < mostExplained {
			ids = append(ids, ev.Rule)
		}
	}
	return ids
}

// keysOf are the keys that a rule goes by.
func (f *facts) keysOf(id string) []string {
	keys, has := otherKeys[id]
	if name, is := strings.CutPrefix(id, "limit."); is {
		keys = f.limitKeys(name)
	} else if !has {
		keys = append([]string{id}, ruleKeys[id]...)
	}
	if f.set.AllShadow {
		keys = append(slices.Clip(keys), "shadow.all")
	}
	return keys
}

// limitKeys are those of [limit.NAME]; of the maxima the one that holds for this account.
func (f *facts) limitKeys(name string) []string {
	table := "limit." + name + "."
	most := table + "max"
	for _, l := range f.set.Limits {
		if acc := f.who.account; l.Name == name && acc != nil {
			if _, has := l.Plans[acc.Plan]; has {
				most = table + "plans." + acc.Plan
			}
		}
	}
	return []string{table + "action", most, table + "window", table + "subject", table + "unit"}
}

// Remedy says what would have kept a rule from stopping a message.
type Remedy struct {
	Rule string `json:"rule"`
	Text string `json:"text"`
}

// remedies is the one table of what would have made a message pass, by rule id;
// limits as "limit.NAME" and "limit.alone". {fact}, {got} and {want} are the
// evidence's, {own} and {answers} say where to list an address, {free} when the window
// has room again.
var remedies = map[string]string{
	"message.malformed":   "A header that can be read: {fact}, found {got}, wanted {want}. The program that writes the mail has to be mended.",
	"message.too_complex": "A simpler message: found {got}, wanted {want}.",
	"accounts.unknown": "A login that an account source knows: check its spelling, list it as [account.\"LOGIN\"], or let logins that are " +
		"addresses send for their own domain with accounts.unknown = \"domain\".",
	"accounts.unavailable":   "Nothing about the message: it passes as soon as the account source answers again.",
	"identity.malformed":     "One From field with an address of the account in plain view: {fact}, found {got}, wanted {want}.",
	"identity.header_from":   "A From address that is the account's ({want}). {own}",
	"identity.sender":        "A Sender field with an address of the account ({want}), or none. {own}",
	"identity.envelope_from": "An envelope sender that is the account's ({want}). {own}",
	"identity.reply_to":      "A Reply-To address that is the account's ({want}), or recipients that all are. {answers}",
	"identity.display_name":  "A name without a foreign address in {fact}: it shows {got}, own are {want}.",
	"recipients.visible":     "Fewer recipients in To, Cc and Bcc: {got}, {want} are allowed. Several messages, or the bulk service.",
	"recipients.envelope":    "Fewer recipients: {got}, {want} are allowed. Several messages, or the bulk service.",
	"recipients.duplicate":   "A list without duplicates: {fact} are {got}, {want} are allowed.",
	"block.active":           "The end of the block: {got}. o2n-milter block list shows it, o2n-milter block lift ends it now.",
	"bulk.unsubscribe":       "A way to unsubscribe: {want}; found: {got}.",
	"bulk.one_click":         "One-click unsubscription (RFC 8058): {want}; found: {got}.",
	"bulk.reason":            "A sentence in the text that says why the recipient gets the mail; found: {got}.",
	"bulk.volume":            "Fewer recipients of this letter: {got}, {want} are allowed; more belong to the bulk service.",
	"bulk.pace":              "Waiting: {got}, {want} are allowed to bulk mail; there is room again {free}.",
	"content.score":          "Content that the engine scores {want}: it said {got}.",
	"content.unavailable":    "Nothing about the message: it passes as soon as the content engine answers again.",
	"limit.NAME":             "Waiting: {got} of {fact}, {want} are allowed; there is room again {free}. Or a higher max, for all, for a plan, or by an exemption.",
	"limit.alone":            "A smaller message: {got}, but {want} are ever allowed ({fact}).",
	"hold.full":              "Less mail on hold: {got}, wanted {want}. o2n-milter held list shows what waits, and why.",
	"store.unavailable":      "Nothing about the message: it passes as soon as the store is back; o2n-milter status says what ails it.",
	"internal.panic":         "Nothing about the message: it is our own fault. The log has it under the decision's id.",
	overload:                 "Nothing about the message: there was more mail than could be judged in time. It passes at another try.",
}

// listings are {own} and {answers}, for the mail of an account and of a sender without;
// {account} is the login.
var listings = map[bool][2]string{
	true: {
		"If {got} is the customer's, list it in addresses or domains of [account.\"{account}\"].",
		"If answers may go to {got}, list it in reply_to of [account.\"{account}\"].",
	},
	false: {
		"If this server's own programs may write as {got}, list its domain in accounts.hosts. If a customer's may, list the sender " +
			"in scripts, or the client in ips, of an [account.\"LOGIN\"] that has it in addresses or domains.",
		"If answers may go to {got}, list the sender in scripts, or the client in ips, of an [account.\"LOGIN\"] that has it in reply_to.",
	},
}

// Remedies say, for each rule that was in the way of a message, what would have made
// it pass, that of the rule that decided first; for mail that passed, what would if the
// rules that found something in shadow were enforced.
func Remedies(action, rule, account string, d *Detail) []Remedy {
	list := []Remedy{}
	passed := action == Accept.String()
	for _, id := range findersOf(rule, d.Evidence) {
		for _, ev := range d.Evidence {
			if ev.Rule == id && ev.Shadow == passed {
				list = append(list, Remedy{id, remedy(ev, account, d.Windows)})
			}
		}
	}
	return list
}

func remedy(ev Evidence, account string, windows []Window) string {
	key := ev.Rule
	if strings.HasPrefix(key, "limit.") {
		key = "limit.NAME"
		if strings.HasSuffix(ev.Got, aloneMark) {
			key = "limit.alone"
		}
	}
	text := remedies[key]
	for i, name := range []string{"{own}", "{answers}"} {
		text = strings.ReplaceAll(text, name, listings[account != ""][i])
	}
	return strings.NewReplacer(
		"{fact}", ev.Fact, "{got}", ev.Got, "{want}", ev.Want, "{account}", account, "{free}", freeText(ev, windows),
	).Replace(text)
}

// aloneMark is how overLimit says that a message alone is over a limit.
const aloneMark = " in one message"

// freeText says when the window that the evidence is about has room for one unit more.
func freeText(ev Evidence, windows []Window) string {
	for _, w := range windows {
		if "limit."+w.Limit != ev.Rule && w.Limit != ev.Rule {
			continue
		}
		if ev.Fact == fmt.Sprintf("%s of %s", w.Unit, printable(w.Subject, 200)) {
			return "at " + w.NextFree.Format(time.RFC3339)
		}
	}
	return "later"
}

// Outcome says in plain words what became of a message.
func Outcome(action, rule string, d *Detail) string {
	by := ""
	if rule != "none" && rule != "" {
		by = ", by the rule " + rule
	}
	switch action {
	case "accept":
		if by != "" {
			return "It passed unjudged, as the configuration wants it then (" + rule + ")."
		}
		if slices.ContainsFunc(d.Evidence, func(ev Evidence) bool { return ev.Shadow }) {
			return "It passed: what was found is in shadow or exempt, and stops nothing."
		}
		return "It passed: no rule was in its way."
	case "tag":
		return "It passed with the mark X-O2N-Milter" + by + "."
	case "quarantine":
		if configuredAs(d, Tempfail) {
			by += ": a program of this host is not deferred, as it would try for ever or not at all"
		}
		return "It was put on hold in the MTA's queue" + by + "."
	case "tempfail":
		if configuredAs(d, Quarantine) {
			by += ": its MTA could not hold it"
		}
		return "It was refused for now: its sender may try again" + by + "."
	}
	return "It was refused for good" + by + "."
}

// configuredAs says that the rule that decided is set to this: its action is the first
// line of a record.
func configuredAs(d *Detail, action Action) bool {
	return len(d.Config) > 0 && d.Config[0].Value == strconv.Quote(action.String())
}
