// Package notify tells people what was done: the operator by mail, a webhook and
// programs of his, the customer by mail.
//
// It decides nothing and asks nobody: events come in, notices go out. A notice is
// one event on its way through one channel. It is a doc until it is delivered or
// given up, so a restart loses none; after a crash one may come twice, with the
// same Message-ID or id. The operator gets one mail for an incident, which is one
// kind of event of one subject; what follows within Settings.Digest comes in one
// digest. Programs (webhook, exec) get every event.
//
// Its own mail goes through the MTA and so through the milter, which must not judge
// it: Ours tells it apart.
package notify

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"o2n-milter/state"
)

// Options are what a Notifier works with.
type Options struct {
	Store state.Store
	Log   *slog.Logger
	Now   func() time.Time
	Host  string // this host's name, of which no other process of the fleet has the same

	// Links, each nil or giving "" where there is none. Console is where the operator
	// sees to an event, Page is the customer's page, Help says what a rule wants.
	Console func(Event) string
	Page    func(account string) string
	Help    func(rule string) string
	// Address is where an account's mail goes; empty: nowhere. Nil: to the login.
	Address func(account string) string
}

// Notifier tells people. All methods but Step and Run are safe for concurrent use.
type Notifier struct {
	opts Options
	set  atomic.Pointer[Settings]

	box       *outbox
	incidents *incidents
	nonces    *nonces
	wake      chan struct{}
	adding    sync.Mutex // of notices: they are counted before
	lastAlarm time.Time  // when the last Ceiling was taken; of who holds adding

	mu     sync.Mutex
	counts map[string]*Count
	queued int
	missed atomic.Int64 // dropped from the digest since the last one

	// Of Step's goroutine.
	send     map[string]sender
	rest     map[string]time.Time // no try of a channel before
	lastBeat time.Time
}

// New returns a Notifier that tells nobody before Run.
func New(opts Options, set Settings) (*Notifier, error) {
	opts.Host = hostName(opts.Host)
	n := &Notifier{
		opts:      opts,
		box:       &outbox{store: opts.Store, log: opts.Log, memory: map[string]notice{}},
		incidents: &incidents{store: opts.Store, own: map[string]time.Time{}},
		nonces:    &nonces{known: map[string]ours{}},
		wake:      make(chan struct{}, 1),
		counts:    map[string]*Count{},
		rest:      map[string]time.Time{},
	}
	for _, c := range channels() {
		n.counts[c] = &Count{}
	}
	n.send = map[string]sender{
		toOperator: n.mailOperator, toDigest: n.mailDigest, toCustomer: n.mailCustomer,
		toWebhook: n.callWebhook, toExec: n.runHook,
	}
	return n, n.Configure(set)
}

// hostName makes a host's name fit for addresses, SMTP and the ids of docs.
func hostName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return orElse(strings.Trim(s, "-."), "localhost")
}

// Configure puts other settings in force. With an error, which names every fault,
// those before stay.
func (n *Notifier) Configure(set Settings) error {
	complete, err := set.complete(n.opts.Host)
	if err != nil {
		return err
	}
	n.set.Store(complete)
	n.poke()
	return nil
}

// storePatience bounds what an event may wait for the store; it is kept in memory
// when the store takes longer.
const storePatience = 5 * time.Second

// alarmEvery is how often a Ceiling is taken. Each refused message of a flood is one,
// and would drive the notices of blocks out of the outbox.
const alarmEvery = time.Minute

// Notify takes an event; when it returns, what is to be said of it is in the
// outbox. Nothing is sent before the next Step.
func (n *Notifier) Notify(ctx context.Context, now time.Time, e Event) {
	if !slices.Contains(All(), e.What) {
		n.opts.Log.Error("nobody is told of an unknown event", "event", e.What)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
	defer cancel()
	e = e.bounded(now)
	n.adding.Lock()
	defer n.adding.Unlock()
	if e.What == Ceiling {
		if since := now.Sub(n.lastAlarm); since >= 0 && since < alarmEvery {
			return
		}
		n.lastAlarm = now
	}
	list := n.noticesOf(ctx, now, e)
	for _, d := range n.box.makeRoom(ctx, len(list)) {
		n.dropped(d)
	}
	for _, v := range list {
		n.box.add(ctx, v)
	}
	n.poke()
}

// noticesOf are what is to be said of an event, one for each channel.
func (n *Notifier) noticesOf(ctx context.Context, now time.Time, e Event) []notice {
	set := n.set.Load()
	var list []notice
	add := func(channel string, due time.Time) {
		list = append(list, newNotice(now, channel, n.opts.Host, due, e))
	}
	if len(set.Operator) > 0 && e.forOperator() {
		first, err := n.incidents.open(ctx, now, set.Digest, e)
		if err != nil {
			n.opts.Log.Error("incident", "event", e.What, "error", err)
		}
		if first {
			add(toOperator, now)
		} else {
			add(toDigest, now.Add(set.Digest))
		}
	}
	if set.Customer && e.forCustomer() && n.customer(e) != "" {
		add(toCustomer, now)
	}
	if set.Webhook != "" {
		add(toWebhook, now)
	}
	if len(set.Exec[e.What]) > 0 {
		add(toExec, now)
	}
	return list
}

// customer is the address of the account that e concerns; empty when there is none
// to which mail may go.
func (n *Notifier) customer(e Event) string {
	address := e.account()
	if n.opts.Address != nil && address != "" {
		address = n.opts.Address(address)
	}
	plain, err := mailbox(address)
	if err != nil {
		return ""
	}
	return plain
}

// Ours says whether a message with this X-O2N-Notice, to these recipients, is a
// mail of ours that the milter must not judge. It says so once.
func (n *Notifier) Ours(nonce string, recipients []string) bool {
	return n.nonces.take(n.opts.Now(), nonce, recipients)
}

// poke makes Run look at the outbox.
func (n *Notifier) poke() {
	select {
	case n.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Count is what became of a channel's notices since the process began.
type Count struct {
	Sent    int64
	Retried int64 // tries that are to be repeated
	Failed  int64 // given up
	Dropped int64 // the outbox was full, or the channel is configured no more
}

// Stats are for metrics.
type Stats struct {
	Channels map[string]Count // by "operator", "digest", "customer", "webhook", "exec"
	Queued   int              // in the outbox of all hosts, at the last Step
}

// Stats counts.
func (n *Notifier) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := Stats{Channels: map[string]Count{}, Queued: n.queued}
	for c, count := range n.counts {
		s.Channels[c] = *count
	}
	return s
}

// dropped counts and logs a notice that nobody will get.
func (n *Notifier) dropped(v notice) {
	n.opts.Log.Error("notice dropped, the outbox is full", "id", v.id, "channel", v.Channel, "event", v.Event.What, "bound", mostNotices)
	n.count(v.Channel, func(c *Count) { c.Dropped++ })
	if v.Channel == toDigest {
		n.missed.Add(1)
	}
}

// count counts; another version's channel has no count here.
func (n *Notifier) count(channel string, change func(*Count)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.counts[channel]; c != nil {
		change(c)
	}
}
