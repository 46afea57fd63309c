package console

import (
	"slices"

	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

// overview is what the first page shows.
type overview struct {
	desk.Overview
	Status  desk.Status
	Actions page.Chart // all messages by action
	Stopped page.Chart // what did not pass as it was, by rule; no bars: nothing
}

// mostNewest of what waits stand on the overview; a wrong rule blocks thousands.
const mostNewest = 20

// NewestBlocks are those in force that the page shows.
func (o overview) NewestBlocks() []desk.BlockView { return o.Blocks[:min(len(o.Blocks), mostNewest)] }

// NewestRequests are the open ones that the page shows.
func (o overview) NewestRequests() []desk.RequestView {
	return o.Requests[:min(len(o.Requests), mostNewest)]
}

// HeldMail is Held for View.Number.
func (o overview) HeldMail() int64 { return int64(o.Held) }

func (v *visit) overview() (*sheet, error) {
	ctx := v.r.Context()
	o, err := v.Desk.Overview(ctx)
	if err != nil {
		return nil, err
	}
	status, err := v.Desk.Status(ctx)
	if err != nil {
		return nil, err
	}
	view := v.view(v.r, &sheet{})
	labels := make([]string, len(o.Hours))
	for i, h := range o.Hours {
		labels[i] = view.DayHour(h.At)
	}
	p := overview{Overview: o, Status: status, Actions: actionChart(o.Hours, labels), Stopped: stoppedChart(o.Hours, labels, o.Rules)}
	return &sheet{Title: "Overview", Menu: "/admin/", template: overviewPage, Page: p}, nil
}

// actions, in the order of the chart's colours.
var actions = []string{"accept", "reject", "tempfail", "tag", "quarantine"}

func actionChart(hours []desk.Hour, labels []string) page.Chart {
	c := page.Chart{ID: "actions", Title: "Messages by action", Desc: "Messages of each hour, by what was done with them.", Series: actions}
	for i, h := range hours {
		values := make([]int64, len(actions))
		for key, n := range h.Counts {
			if at := slices.Index(actions, actionOf(key)); at >= 0 {
				values[at] += n
			}
		}
		c.Bars = append(c.Bars, page.Bar{Label: labels[i], Values: values})
	}
	return c
}

// mostSeries of rules have a colour; the others are drawn as one.
const mostSeries = 7

// stoppedChart tells what did not simply pass, by rule and action, most first.
func stoppedChart(hours []desk.Hour, labels []string, counts []desk.RuleCount) page.Chart {
	c := page.Chart{ID: "rules", Title: "Refused, delayed, held or tagged, by rule", Desc: "Messages of each hour that did not simply pass, by the rule that decided and its action."}
	for _, n := range counts {
		if n.Action == "accept" {
			continue
		}
		if len(c.Series) == mostSeries {
			c.Series = append(c.Series, "others")
			break
		}
		c.Series = append(c.Series, n.Rule+" "+n.Action)
	}
	if len(c.Series) == 0 {
		return c
	}
	for i, h := range hours {
		values := make([]int64, len(c.Series))
		for key, n := range h.Counts {
			at := slices.Index(c.Series, key)
			switch {
			case actionOf(key) == "accept":
				continue
			case at < 0:
				at = len(values) - 1
			}
			values[at] += n
		}
		c.Bars = append(c.Bars, page.Bar{Label: labels[i], Values: values})
	}
	return c
}

// actionOf is the action of an Hour's key, "rule action".
func actionOf(key string) string {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == ' ' {
			return key[i+1:]
		}
	}
	return key
}
