package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"o2n-milter/config"
	"o2n-milter/internal/chaos"
	"o2n-milter/milter"
	"o2n-milter/notify"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/desk"
	"o2n-milter/web/stats"
)

// pageLife is how long the link to the customer page holds that stands in a mail
// or an SMTP reply: the mail may be read after a holiday.
const pageLife = 30 * 24 * time.Hour

// notices takes events from wherever they happen to the notifier, so that a verdict
// never waits for a store that is slow to keep them.
type notices struct {
	*notify.Notifier
	log    *slog.Logger
	events chan notify.Event
}

// tell is told of an event.
func (n *notices) tell(e notify.Event) {
	select {
	case n.events <- e:
	default:
		n.log.Error("nobody is told: too many events at once", "event", e.What, "block", e.Block.ID)
	}
}

// pass hands events over until ctx ends, and then those that are left.
func (n *notices) pass(ctx context.Context, now func() time.Time) {
	for ctx.Err() == nil {
		select {
		case e := <-n.events:
			chaos.Point("events")
			n.Notify(ctx, now(), e)
		case <-ctx.Done():
		}
	}
	for {
		select {
		case e := <-n.events:
			n.Notify(ctx, now(), e) // it bounds its time itself
		default:
			return
		}
	}
}

// startNotices tells people until the function that it returns is called, which
// keeps what is left.
func startNotices(beside *loops, cfg *config.Config, store state.Store, host string, d *desk.Desk, now func() time.Time) (*notices, func(), error) {
	set, err := noticeSettings(cfg)
	if err != nil {
		return nil, nil, err
	}
	n, err := notify.New(notify.Options{
		Store: store, Log: beside.log, Now: now, Host: host,
		Console: func(e notify.Event) string { return consolePage(d.ConsoleURL, e) },
		Page:    func(account string) string { return pageOf(d, account, now()) },
		Help: func(rule string) string {
			if help := d.Judge.Settings().HelpURL; help != "" {
				return help + "#" + rule
			}
			return ""
		},
	}, set)
	if err != nil {
		return nil, nil, err
	}
	list := &notices{n, beside.log, make(chan notify.Event, 1000)}
	stopSending := beside.start(context.Background(), "notices", n.Run)
	stopPassing := beside.start(context.Background(), "events", func(ctx context.Context) { list.pass(ctx, now) })
	return list, func() {
		stopSending()
		stopPassing()
	}, nil
}

func noticeSettings(cfg *config.Config) (notify.Settings, error) {
	c := cfg.Notify
	set := notify.Settings{
		Operator: c.Operator, Customer: c.Customer, From: c.From, SMTP: c.SMTP, Language: cfg.Rules.Language,
		Webhook: c.Webhook, WebhookPlain: c.WebhookPlain, Exec: c.Exec, Digest: c.Digest, Timeout: c.Timeout,
	}
	if c.WebhookKeyFile != "" {
		var err error
		if set.WebhookKey, err = readKey(c.WebhookKeyFile); err != nil {
			return set, fmt.Errorf("notify.webhook_key_file: %w", err)
		}
	}
	return set, nil
}

// consolePage is where an operator sees to an event.
func consolePage(console string, e notify.Event) string {
	switch {
	case e.What == notify.Request:
		return console + "/admin/requests"
	case e.Block.ID != "":
		return console + "/admin/blocks/" + url.PathEscape(e.Block.ID)
	}
	return console + "/admin/"
}

// pageOf is the customer page of an account; empty when links cannot be signed.
// Whoever reads the account's mail may follow it, so it is of the lesser scope.
func pageOf(d *desk.Desk, account string, now time.Time) string {
	if d.Links == nil || account == "" {
		return ""
	}
	return d.PublicURL + "/c/" + d.Links.Mint(account, desk.ScopeReply, now.Add(pageLife))
}

// mostLink bounds the link in a reply, in bytes, so that the rest of it has room.
const mostLink = 330

// replyLink is the page that a blocked customer reads about in an SMTP reply.
func replyLink(d *desk.Desk) func(string, time.Time) string {
	return func(account string, now time.Time) string {
		link := pageOf(d, account, now)
		if len(link) > mostLink || strings.ContainsFunc(link, func(r rune) bool { return r <= ' ' || r > '~' || r == '%' }) {
			return ""
		}
		return link
	}
}

// recorder also counts verdicts for the console's overview and the service manager, and
// tells people of the blocks that strikes led to.
type recorder struct {
	*milter.Log
	stats  *stats.Counter
	tell   func(notify.Event)
	judged *atomic.Int64
}

func (r recorder) Record(m *rules.Mail, v rules.Verdict, took time.Duration) {
	r.Log.Record(m, v, took)
	r.judged.Add(1)
	r.stats.Count(&v)
	for _, b := range v.Blocked {
		r.tell(notify.Event{What: notify.Block, At: v.At, Block: b})
	}
	if v.Alarm != "" {
		r.tell(notify.Event{What: notify.Ceiling, At: v.At, Text: v.Alarm})
	}
}
