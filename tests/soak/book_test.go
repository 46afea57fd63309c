//go:build mta

package soak

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/tests/mta"
)

// letter is one message and what has become of it.
type letter struct {
	id      string // its Message-ID
	account string // whom it is charged to; empty for a local submission
	rcpts   []string

	answer  answer
	arrived map[string][]time.Time // by recipient
	reports int                    // sent back to its sender
}

// answer is what the sender was told.
type answer int

const (
	begun    answer = iota // not yet at its end
	taken                  // 250
	refused                // by the filter, with the id of a decision
	deferred               // by the server itself, as the filter is away: it may have charged
	unsaid                 // the end of the message went out, no answer came
	dropped                // the sender vanished before the end
	handed                 // sendmail(1) took it, so it arrives or is sent back
)

// book is what the test knows: every letter, every block that was told, and
// when Postfix was restarted.
type book struct {
	mu       sync.Mutex
	letters  map[string]*letter
	restarts []time.Time
	blocks   map[string]bool
	slowest  time.Duration // of answers since the last look
	faults   []string      // honest letters that were refused, commands that did not work
	serial   int
}

func newBook() *book { return &book{letters: map[string]*letter{}, blocks: map[string]bool{}} }

// add begins a letter.
func (b *book) add(account string, rcpts ...string) *letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serial++
	l := &letter{id: fmt.Sprintf("%d@soak.example", b.serial), account: account, rcpts: rcpts, arrived: map[string][]time.Time{}}
	b.letters[l.id] = l
	return l
}

// answered ends it.
func (b *book) answered(l *letter, a answer, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.answer = a
	b.slowest = max(b.slowest, took)
}

// fault notes what should not have been.
func (b *book) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// faulty are all faults so far.
func (b *book) faulty() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

func (b *book) restarting() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.restarts = append(b.restarts, time.Now())
}

// blocked notes a block that a command has told, or its lift.
func (b *book) blocked(subject string, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocks[subject] = yes
}

// ours finds the Message-ID of a letter, also in the report that brings it back.
var ours = regexp.MustCompile(`(?mi)^Message-ID: <(\d+@soak\.example)>`)

// deliver notes what came to the sink.
func (b *book) deliver(got []mta.Delivered) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range got {
		m := ours.FindSubmatch(d.Data)
		if m == nil {
			continue // a notice
		}
		l := b.letters[string(m[1])]
		if d.From == "" {
			l.reports++
			continue
		}
		for _, to := range d.To {
			l.arrived[to] = append(l.arrived[to], d.At)
		}
	}
}

// tally counts the letters by their answer, and those at the sink.
func (b *book) tally() (counts [handed + 1]int, arrived int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.letters {
		counts[l.answer]++
		if len(l.arrived) > 0 {
			arrived++
		}
	}
	return counts, arrived
}

// look gives the slowest answer since the last look.
func (b *book) look() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.slowest
	b.slowest = 0
	return d
}

// waiting says what is wrong, by what we have seen so far, with the letters: what was
// taken and has not arrived, what was refused and has.
func (b *book) waiting() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var wrong []string
	for _, l := range b.letters {
		if w := b.wrong(l); w != "" {
			wrong = append(wrong, fmt.Sprintf("%s of %q to %s: %s", l.id, l.account, l.rcpts, w))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// wrong is empty when a letter has had its one outcome.
func (b *book) wrong(l *letter) string {
	for to, at := range l.arrived {
		if !slices.Contains(l.rcpts, to) {
			return "arrived at " + to
		}
		if len(at) > 1 && !b.restartedBetween(at[0], at[len(at)-1]) {
			return fmt.Sprintf("arrived %d times at %s", len(at), to)
		}
	}
	all, some := len(l.arrived) == len(l.rcpts), len(l.arrived) > 0
	switch l.answer {
	case taken:
		if !all || l.reports > 0 {
			return fmt.Sprintf("was taken; arrived at %d recipients, %d reports", len(l.arrived), l.reports)
		}
	case handed:
		if all == (l.reports > 0) || some && !all {
			return fmt.Sprintf("was handed in; arrived at %d recipients, %d reports", len(l.arrived), l.reports)
		}
	case unsaid:
		if some && !all {
			return "arrived at some"
		}
	default: // refused, deferred, dropped, or never at its end
		if some || l.reports > 0 {
			return fmt.Sprintf("is no letter (%d), and arrived", l.answer)
		}
	}
	return ""
}

// restartedBetween says whether Postfix was ended between two deliveries, a moment
// before the first included: they are told when the sink has all of it.
func (b *book) restartedBetween(first, last time.Time) bool {
	return slices.ContainsFunc(b.restarts, func(r time.Time) bool { return r.After(first.Add(-5*time.Second)) && r.Before(last) })
}

// charges gives the bounds of what each account must have been charged.
func (b *book) charges() map[string][2]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	bounds := map[string][2]int64{}
	for _, l := range b.letters {
		if l.account == "" {
			continue
		}
		c := bounds[l.account]
		switch l.answer {
		case taken:
			c[0]++
			c[1]++
		case deferred, unsaid:
			c[1]++
		}
		bounds[l.account] = c
	}
	return bounds
}

// told are the subjects whose blocks stand, in order.
func (b *book) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	for subject, yes := range b.blocks {
		if yes {
			list = append(list, subject)
		}
	}
	slices.Sort(list)
	return list
}

// text is a letter in full.
func (l *letter) text(from, subject, body string) []byte {
	header := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s>\r\n\r\n", from, strings.Join(l.rcpts, ", "), subject, l.id)
	return []byte(header + body)
}
