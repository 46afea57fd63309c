package notify

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/message"
)

// nonceLife is for how long our mail may be on its way to our own milter: a content
// filter or a queue may stand between.
const nonceLife = time.Hour

// nonces know our own mail again when it comes to the milter. A nonce is good for
// one message to exactly the recipients that it was made for, so that whoever reads
// one in a mail can do nothing with it.
type nonces struct {
	mu    sync.Mutex
	known map[string]ours
}

type ours struct {
	recipients []string // folded and sorted
	until      time.Time
}

// make returns a new nonce of 128 bits or more (rand.Text).
func (o *nonces) make(now time.Time, recipients []string) string {
	nonce := rand.Text()
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.known, func(_ string, v ours) bool { return !now.Before(v.until) })
	o.known[nonce] = ours{folded(recipients), now.Add(nonceLife)}
	return nonce
}

// take says whether nonce is one of ours for these recipients. It is used up either
// way.
func (o *nonces) take(now time.Time, nonce string, recipients []string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.known[nonce]
	delete(o.known, nonce)
	return ok && now.Before(v.until) && slices.Equal(v.recipients, folded(recipients))
}

func folded(recipients []string) []string {
	list := make([]string, len(recipients))
	for i, r := range recipients {
		list[i] = message.ParseAddress(strings.TrimSpace(r)).Fold()
	}
	slices.Sort(list)
	return list
}
