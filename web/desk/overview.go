package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/stats"
)

// Hour, RuleCount, SenderCount and ShadowCount are the statistics'.
type (
	ShadowCount = stats.ShadowCount
	Hour        = stats.Hour
	RuleCount   = stats.RuleCount
	SenderCount = stats.SenderCount
)

// Overview is the last 24 hours, and what waits for somebody.
type Overview struct {
	Hours    []Hour        `json:"hours"`    // oldest first, up to the one that runs
	Rules    []RuleCount   `json:"rules"`    // most first
	Senders  []SenderCount `json:"senders"`  // the 20 who sent most
	Blocks   []BlockView   `json:"blocks"`   // in force, newest first
	Requests []RequestView `json:"requests"` // open, newest first
	Held     int           `json:"held"`
	HeldKept int           `json:"held_kept"` // of these wait for an operator
	Alarms   []string      `json:"alarms"`    // what an operator should look at now
}

// Overview tells what an operator wants to know first.
func (d *Desk) Overview(ctx context.Context) (Overview, error) {
	status, err := d.Status(ctx)
	if err != nil {
		return Overview{}, err
	}
	day := stats.Day{Hours: []Hour{}, Rules: []RuleCount{}, Senders: []SenderCount{}}
	if d.Stats != nil {
		if day, err = d.Stats.Day(ctx, d.Now()); err != nil {
			return Overview{}, err
		}
	}
	blocks, err := d.Blocks(ctx, false)
	if err != nil {
		return Overview{}, err
	}
	requests, err := d.Requests(ctx, false)
	if err != nil {
		return Overview{}, err
	}
	_, kept, err := d.HeldCount(ctx)
	if err != nil {
		return Overview{}, err
	}
	made, err := d.Store.Usage(ctx, d.Now(), []state.Window{rules.BlocksWindow(manyBlocks), rules.StrangersWindow()})
	if err != nil {
		return Overview{}, err
	}
	return Overview{
		Hours: day.Hours, Rules: day.Rules, Senders: day.Senders,
		Blocks: blocks.Blocks, Requests: requests.Requests, Held: status.Held, HeldKept: kept,
		Alarms: d.alarms(status, day.Rules, made[0].Used+made[1].Used),
	}, nil
}

// alarming are rules that decide when something of ours is broken.
var alarming = map[string]string{
	"store.unavailable":    "the store could not answer for",
	"accounts.unavailable": "the account source could not answer for",
	"content.unavailable":  "the content engine gave no score for",
	"hold.full":            "there was no room to hold",
	"internal.panic":       "an internal error stopped",
	"internal.overload":    "there was no time to look at",
}

// manyBlocks automatic ones in an hour are worth a look: a rule may be wrong.
const manyBlocks = 10

func (d *Desk) alarms(status Status, counts []RuleCount, made int64) []string {
	list := []string{}
	if status.AllShadow {
		list = append(list, "everything is in shadow ([shadow] all): no mail is refused, but by blocks that an operator made")
	}
	if status.Degraded {
		list = append(list, "the filter is degraded: "+status.Reason)
	}
	if status.Hold != "" {
		list = append(list, "held mail stays: "+status.Hold)
	}
	for _, c := range counts {
		if what, ok := alarming[c.Rule]; ok {
			list = append(list, fmt.Sprintf("%s %d messages in the last 24 hours (%s, %s)", what, c.Count, c.Rule, c.Action))
		}
	}
	if made >= manyBlocks {
		list = append(list, fmt.Sprintf("%d automatic blocks in the last hour: is a rule wrong?", made))
	}
	if len(d.Judge.Settings().Limits) == 0 {
		list = append(list, "no limit is configured: nobody is kept from sending any amount")
	}
	return list
}

const (
	// mostFound bounds what a search shows; whoever sees so many types on.
	mostFound = 50
	// searched is how many of the newest decisions a search looks at.
	searched = 1000
)

// Search finds subjects that have been seen and hold text, the exact one first.
func (d *Desk) Search(ctx context.Context, text string) ([]string, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > mostName {
		return nil, bad("search: want 1 to %d characters of a subject", mostName)
	}
	found, err := d.exactly(ctx, text)
	if err != nil {
		return nil, err
	}
	seen, err := d.seen(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(seen)
	for _, s := range slices.Compact(seen) {
		if strings.Contains(strings.ToLower(s), strings.ToLower(text)) && !slices.Contains(found[:min(len(found), 1)], s) {
			found = append(found, s)
		}
	}
	return found[:min(len(found), mostFound)], nil
}

// exactly is the subject that the text spells out, or the account of that name.
func (d *Desk) exactly(ctx context.Context, text string) ([]string, error) {
	if subject, err := rules.ParseSubject(text); err == nil {
		return []string{subject}, nil
	}
	acc, err := d.Judge.Account(ctx, strings.ToLower(text))
	if acc == nil || err != nil {
		return []string{}, err
	}
	return []string{"account:" + acc.Login}, nil
}

// seen are the subjects of blocks, requests, exemptions, held mail, and of the newest
// decisions, as they come.
func (d *Desk) seen(ctx context.Context) ([]string, error) {
	blocks, err := d.Store.Blocks(ctx)
	if err != nil {
		return nil, err
	}
	requests, err := state.Records[state.Request](ctx, d.Store)
	if err != nil {
		return nil, err
	}
	exemptions, err := state.Records[state.Exemption](ctx, d.Store)
	if err != nil {
		return nil, err
	}
	held, err := d.heldMail(ctx)
	if err != nil {
		return nil, err
	}
	decisions, err := d.Store.Decisions(ctx, state.Query{Limit: searched})
	if err != nil {
		return nil, err
	}
	var list []string
	for _, b := range blocks {
		list = append(list, b.Subject)
	}
	for _, r := range requests {
		list = append(list, r.Subject, "account:"+r.Account)
	}
	for _, e := range exemptions {
		list = append(list, e.Subject)
	}
	for _, h := range held {
		list = append(list, h.Subject)
	}
	for _, dec := range decisions {
		list = append(list, dec.Subjects...)
	}
	return list, nil
}
