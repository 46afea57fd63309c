//go:build mta

package bombs

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) { daemon.Main(m) }

const (
	attacker = "alice@client-a.example"
	honest   = "bob@client-b.example"

	// patience is what large mail may take, all of it, on whatever machine: a gigabyte goes
	// through Postfix' queue and the filter, and on to the sink.
	patience = 10 * time.Minute
	// soon is what an honest mail may take meanwhile on a busy machine; the test prints
	// what it was.
	soon = 30 * time.Second
	// mostKept is what the filter keeps of one mail that is being taken in, in MiB
	// (docs/operations.md, "Memory").
	mostKept = 5
)

const accounts = `
[account."alice@client-a.example"]
domains = ["client-a.example"]
[account."bob@client-b.example"]
domains = ["client-b.example"]
[limit.hour]
subject = "account"
max = 1000000
window = "1h"
`

// TestLargeMail has large mail come through Postfix, all of it to its end in the same
// moment: each is answered, and passes or is refused by a rule; the daemon keeps no more of
// them than it says; an honest mail is answered meanwhile.
func TestLargeMail(t *testing.T) {
	n, size := campaign.Pick(4, 20), campaign.Pick(20_000_000, 50_000_000)
	count := campaign.Counting(t, "cost bombs", "large mail through Postfix, all at once")
	sink := mta.NewSink(t)
	sink.Keep(1000)
	p := mta.NewPostfix(t, sink, "message_size_limit = 60000000", "mailbox_size_limit = 0")
	d := daemon.Start(t, []string{"unix:" + p.Milter}, accounts)
	mta.Poll(t, "o2n-milter is ready", func() bool { return d.Get("/readyz") == http.StatusOK })
	for range 20 { // what is made once is there
		honestMail(t, p)
	}
	before, _ := d.Memory()

	answers := make(chan []answer)
	list := begun(t, p, n, campaign.Rand(t))
	go func() { answers <- sendAll(list, size) }()
	got, took := meanwhile(t, p, answers)
	passed := 0
	for _, a := range got {
		t.Logf("%s: %v after %v", a.what, a.reply, a.took.Round(time.Millisecond))
		switch {
		case a.err == nil && a.reply.Code == 250:
			passed++
		case a.err != nil || !tooComplex.MatchString(a.reply.Text):
			count.Failed()
			t.Errorf("%s: %v, %v; want 250 or the rule's own answer", a.what, a.reply, a.err)
			continue
		}
		count.Held()
	}
	slices.Sort(took)
	t.Logf("%d honest mails meanwhile, median %v, longest %v", len(took), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	if took[len(took)-1] > soon {
		t.Errorf("an honest mail took %v, want %v at most", took[len(took)-1], soon)
	}
	// What is judged, and garbage that is not collected yet, come to as much again.
	_, most := d.Memory()
	bound := before + 2*n*mostKept
	if t.Logf("%d MiB before, %d at most; the bound is %d, the mail %d MB", before, most, bound, n*size/1_000_000); most > bound {
		t.Errorf("the daemon had %d MiB, want %d at most", most, bound)
	}
	arrived(t, sink, passed, int64(size))
	charged(t, d, passed)
}

// tooComplex is the one rule that may have something against these.
var tooComplex = regexp.MustCompile(`\[message\.too_complex [0-9A-Z]{8}\]$`)

// large is one of the mails, in a session that has said DATA.
type large struct {
	Bomb
	*mta.Client
}

// answer is what became of it.
type answer struct {
	what  string
	reply mta.Reply
	err   error
	took  time.Duration // from the end of the text
}

// begun are n mails, each with a body that is dear to some reader.
func begun(t *testing.T, p *mta.Postfix, n int, r *rand.Rand) (list []large) {
	t.Helper()
	bodies := slices.DeleteFunc(slices.Clone(Known), func(s Shape) bool { return s.Field != "" })
	r.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
	for i := range n {
		s := bodies[i%len(bodies)]
		c := mta.Login(t, p.Submission(), attacker)
		c.Patience = patience
		c.Must(250, "MAIL FROM:<"+attacker+">")
		c.Must(250, "RCPT TO:<friend@remote.example>")
		c.Must(354, "DATA")
		list = append(list, large{s.Make(s.Size(), true), c})
	}
	return list
}

// sendAll sends all of them but their last lines, and then those.
func sendAll(list []large, size int) []answer {
	got := make([]answer, len(list))
	var wg sync.WaitGroup
	for i, l := range list {
		wg.Go(func() { got[i].err = l.text(size) })
	}
	wg.Wait()
	for i, l := range list {
		wg.Go(func() {
			got[i].what = l.Name
			if got[i].err != nil {
				return
			}
			begin := time.Now()
			if got[i].err = l.Say([]byte(".\r\n")); got[i].err == nil {
				got[i].reply, got[i].err = l.Next()
			}
			got[i].took = time.Since(begin)
		})
	}
	wg.Wait()
	return got
}

// text sends the bomb, and lines like those of an attachment up to the size.
func (l large) text(size int) error {
	var b strings.Builder
	for _, f := range l.Header {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	b.WriteString("\n" + l.Body + "\n")
	lines := strings.ReplaceAll(strings.ReplaceAll(b.String(), "\r", ""), "\n", "\r\n")
	said := mta.DotStuff([]byte(lines))
	said = said[:len(said)-len(".\r\n")]
	block := []byte(strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 800))
	for left := size; left > 0; said = block {
		if err := l.Say(said); err != nil {
			return err
		}
		left -= len(said)
	}
	return nil
}

// honestMail sends a small one, and says how long that took with its session.
func honestMail(t *testing.T, p *mta.Postfix) time.Duration {
	t.Helper()
	begin := time.Now()
	c := mta.Login(t, p.Submission(), honest)
	c.Must(250, "MAIL FROM:<"+honest+">")
	c.Must(250, "RCPT TO:<friend@remote.example>")
	c.Must(354, "DATA")
	if r := c.Data([]byte("From: " + honest + "\r\nTo: friend@remote.example\r\nSubject: hello\r\n\r\nHello.\r\n")); r.Code != 250 {
		t.Errorf("an honest mail: %v", r)
	}
	c.Quit()
	return time.Since(begin)
}

// meanwhile sends honest mail until there are answers.
func meanwhile(t *testing.T, p *mta.Postfix, answers <-chan []answer) (got []answer, took []time.Duration) {
	t.Helper()
	for {
		took = append(took, honestMail(t, p))
		select {
		case got = <-answers:
			return got, took
		case <-time.After(100 * time.Millisecond): // the processors are for the others too
		}
	}
}

// arrived wants so many of the large mails at the sink, whole.
func arrived(t *testing.T, sink *mta.Sink, n int, size int64) {
	t.Helper()
	count := 0
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		count = 0
		for _, m := range sink.All() {
			if m.From == attacker && m.Size >= size {
				count++
			}
		}
		if count >= n || time.Now().After(end) {
			break
		}
	}
	if count != n {
		t.Errorf("%d mails arrived, want %d", count, n)
	}
}

// charged wants the account charged for as many.
func charged(t *testing.T, d *daemon.Daemon, n int) {
	t.Helper()
	var usage struct{ Windows []struct{ Used int } }
	d.JSON(t, &usage, "usage", "account:"+attacker)
	if len(usage.Windows) != 1 || usage.Windows[0].Used != n {
		t.Errorf("charged: %+v, want one window with %d", usage.Windows, n)
	}
}
