package customer

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

// sheet is what the template shows.
type sheet struct {
	desk.CustomerView
	Blocks   []block
	Answers  []desk.RequestView // to requests about blocks that are gone, newest first
	Held     []held
	HeldMore int64 // older messages on hold that are not shown
	HeldArea bool  // they can be deleted with a link of the customer area
	Refused  []mail
	Limits   []limit
	Entry    entry
	Note     string     // key; empty: none
	End      *time.Time // of the last block; nil: open
	Hours    page.Chart
	Days     page.Chart
	Since    *time.Time // where the charts begin, when that is later than they show
}

// block is one in force.
type block struct {
	desk.CustomerBlock
	Rule  ruleText
	Whose string // key
	// Program is the script's name, empty where all of its user's scripts are blocked.
	Program string
	Cause   string // the reason, in plain words where it is the rules' own
	Mails   []mail
	Found   []finding // the block's own, where its mails are not kept
	Left    int64     // how often he may still unblock himself
	Self    bool      // "unblock me now" is here
	Area    bool      // it would be, with a link of the customer area
	Entry   entry
}

// mostAnswers of earlier requests are shown.
const mostAnswers = 3

// Asked says that every block in force has a request that waits for its answer.
func (s *sheet) Asked() bool { return !slices.ContainsFunc(s.Blocks, block.CanAsk) }

// CanAsk says that there is no request that waits for its answer.
func (b block) CanAsk() bool { return b.Request == nil || b.Request.State != state.RequestOpen }

// limit is one of the account's windows.
type limit struct {
	rules.Window
	Length time.Duration
	Shared bool // with the customer's other accounts
}

// RuleName is a rule in a few words, for the template.
func (s *sheet) RuleName(l page.Lang, id string) string { return ruleName(l, id) }

// ruleText is a sending rule in plain words.
type ruleText struct {
	ID   string
	Key  string // "rule.identity.header_from"; empty for a rule without words
	Help string // address of the provider's own page; empty: none
}

func (v *visit) ruleText(id string) ruleText {
	return ruleText{ID: id, Key: ruleKey(id), Help: helpFor(v.desk.Judge.Settings().HelpURL, id)}
}

// ruleKey is where the words of a rule stand.
func ruleKey(id string) string {
	if strings.HasPrefix(id, "limit.") {
		id = "limit.NAME"
	}
	if key := "rule." + id; words.Has(key + ".name") {
		return key
	}
	return ""
}

// helpFor is the place in the provider's rules where this one stands.
func helpFor(help, id string) string {
	u, err := url.Parse(help)
	if err != nil || help == "" || id == "manual" {
		return ""
	}
	u.Fragment = id
	return u.String()
}

func (v *visit) sheet(view *page.View, c desk.CustomerView, answered []desk.RequestView, e entry, note string) *sheet {
	isActive := func(id string) bool {
		return slices.ContainsFunc(c.Blocks, func(b desk.CustomerBlock) bool { return b.ID == id })
	}
	if !isActive(e.Block) {
		if e.Block != "" {
			note = "error.gone" // it ended while he wrote
		}
		e = entry{}
	}
	s := &sheet{CustomerView: c, Entry: e, Note: note}
	for _, b := range c.Blocks {
		s.Blocks = append(s.Blocks, v.block(view.Lang, b, e))
	}
	s.Answers = slices.DeleteFunc(answered, func(r desk.RequestView) bool { return isActive(r.Block) })
	s.Answers = s.Answers[:min(len(s.Answers), mostAnswers)]
	s.End = lastEnd(c.Blocks)
	s.Refused = mails(view.Lang, c.Seen)
	for _, w := range c.Limits {
		length, err := rules.ParseDuration(w.Window)
		if err != nil {
			length = 0 // rules wrote it, so that it can be read
		}
		s.Limits = append(s.Limits, limit{w, length, strings.HasPrefix(w.Subject, "customer:")})
	}
	s.Hours = volume(view, "hours", c.Volume.Hours[:], view.DayHour)
	s.Days = volume(view, "days", c.Volume.Days[:], view.UTCDay)
	if since := c.Volume.Since; since.After(c.Volume.Days[0].At) {
		s.Since = &since
	}
	return s
}

func (v *visit) block(l page.Lang, b desk.CustomerBlock, e entry) block {
	kind, name, _ := strings.Cut(b.Subject, ":")
	program := ""
	if kind == "script" {
		_, program, _ = strings.Cut(name, "/") // behind it is what the script calls itself
	}
	shown := block{
		CustomerBlock: b, Rule: v.ruleText(b.Rule), Whose: "subject." + kind, Program: program,
		Mails: mails(l, b.Decisions), Left: int64(b.SelfLeft),
		Self: b.CanSelf && v.scope == desk.ScopeFull,
		Area: b.CanSelf && v.scope != desk.ScopeFull,
	}
	if shown.Cause = phrase(l, b.Reason, reasons); shown.Cause == "" {
		shown.Cause = b.Reason
	}
	if len(b.Decisions) == 0 {
		shown.Found = findings(l, b.Evidence)
	}
	if e.Block == b.ID {
		shown.Entry = e
	}
	return shown
}

// lastEnd is when the last of the blocks ends; nil when one of them is open.
func lastEnd(blocks []desk.CustomerBlock) *time.Time {
	var last *time.Time
	for _, b := range blocks {
		if b.Until == nil {
			return nil
		}
		if last == nil || b.Until.After(*last) {
			last = b.Until
		}
	}
	return last
}

// volume draws what was sent.
func volume(view *page.View, id string, sent []desk.Sent, label func(time.Time) string) page.Chart {
	text := func(key string, args ...any) string { return words.Text(view.Lang, key, args...) }
	c := page.Chart{
		ID: id, Title: text("volume." + id),
		Series: []string{text("volume.sent"), text("volume.refused")},
	}
	var accepted, refused int64
	for _, s := range sent {
		c.Bars = append(c.Bars, page.Bar{Label: label(s.At), Values: []int64{s.Accepted, s.Refused}})
		accepted, refused = accepted+s.Accepted, refused+s.Refused
	}
	c.Desc = text("volume.desc", view.Number(accepted), view.Number(refused))
	return c
}
