package demo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"o2n-milter/hold/wire"
)

// event is something to be told, a line for people and an object in JSON.
type event struct {
	At     time.Time `json:"at"`
	Answer string    `json:"answer"` // 250, 451, 550, ...; held, leaves, blocked
	Who    string    `json:"who"`    // login, else sender; of a block its subject
	What   string    `json:"what"`
	Rule   string    `json:"rule"` // none for mail that passes
	ID     string    `json:"id"`   // of the decision; of a block its own
}

// Count is how many messages got one answer of one rule.
type Count struct {
	Answer   string `json:"answer"`
	Rule     string `json:"rule"`
	Messages int    `json:"messages"`
	ID       string `json:"id"` // of one of them; empty for mail that passes
}

// journal tells what happens as it happens, and counts.
type journal struct {
	now    func() time.Time
	blocks func() ([]block, error) // those in force
	json   bool

	mu     sync.Mutex
	out    io.Writer
	counts []Count
	told   map[string]bool // blocks by id, and stories of which a letter has passed
	calm   int             // ordinary mail that passed
}

// block is what the admin API says of one.
type block struct {
	ID, Subject, Rule string
	Until             *time.Time
}

// calmEvery is after how much ordinary mail its count is told.
const calmEvery = 40

// yourOwn is what is said of mail that the day did not make.
const yourOwn = "mail of your own"

// mark is what each reply and each reason to hold ends in.
var mark = regexp.MustCompile(`\[(\S+) (\S+)\]$`)

// eventOf is a message that was answered.
func eventOf(m Mail, now time.Time) event {
	e := event{At: now, Answer: fmt.Sprint(m.Answer.Code), Who: cmp.Or(m.Login, m.Sender, "<>"), What: yourOwn, Rule: "none"}
	if c, ok := m.From.(caller); ok {
		e.What = c.letter.what
	}
	text := m.Answer.Text
	if m.Answer.Held != "" {
		e.Answer, text = "held", m.Answer.Held
	}
	if found := mark.FindStringSubmatch(text); found != nil {
		e.Rule, e.ID = found[1], found[2]
	}
	return e
}

// mail tells of a message, and of the block that came of it.
func (j *journal) mail(m Mail) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := eventOf(m, j.now())
	j.count(e)
	switch passed := e.Answer == passes; {
	case !passed:
		j.tell(e)
		j.tellBlocks()
	case e.What == ordinaryMail:
		j.tellOrdinary(e)
	case e.What == yourOwn || !j.told[e.What]: // of a story the first is enough
		j.told[e.What] = true
		j.tell(e)
	}
}

// passes is the answer to mail that passes.
var passes = fmt.Sprint(taken)

// left tells of held mail that is held no longer.
func (j *journal) left(m wire.Queued, released bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := event{At: j.now(), Answer: "leaves", Who: cmp.Or(m.From, "<>"), What: "held mail, now there is room", Rule: "none"}
	if !released {
		e.Answer, e.What = "deleted", "held mail"
	}
	if found := mark.FindStringSubmatch(m.Reason); found != nil {
		e.Rule, e.ID = found[1], found[2]
	}
	j.tell(e)
}

func (j *journal) count(e event) {
	i := slices.IndexFunc(j.counts, func(c Count) bool { return c.Answer == e.Answer && c.Rule == e.Rule })
	if i < 0 {
		i = len(j.counts)
		j.counts = append(j.counts, Count{Answer: e.Answer, Rule: e.Rule, ID: e.ID})
	}
	j.counts[i].Messages++
}

// tellOrdinary tells now and then how much ordinary mail has passed.
func (j *journal) tellOrdinary(e event) {
	j.calm++
	if j.calm%calmEvery == 0 {
		e.Who, e.What = "everybody else", fmt.Sprintf("%d ordinary letters have passed", j.calm)
		j.tell(e)
	}
}

// tellBlocks tells of blocks that are new.
func (j *journal) tellBlocks() {
	list, err := j.blocks()
	if err != nil {
		j.tell(event{At: j.now(), Answer: "?", Who: "blocks", What: err.Error()})
	}
	for _, b := range list {
		if j.told[b.ID] {
			continue
		}
		j.told[b.ID] = true
		until := "until it is lifted"
		if b.Until != nil {
			until = "until " + b.Until.Local().Format("15:04")
		}
		j.tell(event{At: j.now(), Answer: "block", Who: b.Subject, What: "blocked " + until, Rule: b.Rule, ID: b.ID})
	}
}

// tell prints a line. What cannot be written is for the one who closed the other end.
func (j *journal) tell(e event) {
	if j.json {
		_ = encode(j.out, e)
		return
	}
	about := fmt.Sprintf("%-23s  %s", e.Who, e.What) // a block's subject takes more room
	line := fmt.Sprintf("%s  %-6s  %-61s", e.At.Format(time.TimeOnly), e.Answer, about)
	if e.Rule != "none" {
		line += fmt.Sprintf("  %-20s  %s", e.Rule, e.ID)
	}
	fmt.Fprintln(j.out, strings.TrimRight(line, " "))
}

// summary is what became of all mail so far, the most frequent first.
func (j *journal) summary() []Count {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := slices.Clone(j.counts)
	slices.SortStableFunc(counts, func(a, b Count) int { return cmp.Compare(b.Messages, a.Messages) })
	return counts
}

// printSummary prints the table, or one object.
func (j *journal) printSummary() error {
	counts := j.summary()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.json {
		return encode(j.out, map[string][]Count{"summary": counts})
	}
	tw := tabwriter.NewWriter(j.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nANSWER\tRULE\tMESSAGES\tONE OF THEM")
	for _, c := range counts {
		row := fmt.Sprintf("%s\t%s\t%d\t%s", c.Answer, c.Rule, c.Messages, c.ID)
		fmt.Fprintln(tw, strings.TrimRight(row, "\t"))
	}
	return tw.Flush()
}

// encode writes an object on a line.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
