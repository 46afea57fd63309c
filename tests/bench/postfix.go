package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"o2n-milter/tests/bench/load"
	"o2n-milter/tests/mta"
)

// passage is one kind of mail through Postfix, by each of its ways.
type passage struct {
	sessions, messages, size int

	ways [3][]transit // of each round
}

// The ways: no filter, the no-op, the product.
var ways = [3]string{"none", "no-op", "o2n-milter"}

// transit is one run.
type transit struct {
	took   time.Duration // until the last message was taken
	busy   time.Duration // of the whole machine, until the last one was gone
	filter time.Duration // of that the filter's process
}

// postfix sends mail with smtp-source through a real Postfix, which throws it away.
func (p *part) postfix() {
	if _, err := exec.LookPath("smtp-source"); err != nil {
		mta.SkipOrFail(p, "smtp-source")
	}
	_, product := p.startProduct(limits)
	noop := p.startNoop()
	letter := load.NewLetters(senders, 0)
	login := load.Account(0)
	relay := mta.NewRelay(p, login, "", noop.addr, product.addr)
	pids := [3]int{0, noop.pid, product.pid}
	passages := []*passage{
		{sessions: 16, messages: 2000, size: 4 << 10},
		{sessions: 16, messages: 500, size: 64 << 10},
		{sessions: 1, messages: 300, size: 4 << 10},
	}
	for round := range p.rounds {
		p.say("round %d of %d", round+1, p.rounds)
		for _, c := range passages {
			file := p.letterFile(letter.Sized(c.size).Of(1)) // of the first account
			inTurns(round, len(ways), func(i int) {
				c.ways[i] = append(c.ways[i], p.transit(relay, relay.Addr(i), pids[i], c, file, login))
			})
		}
	}
	p.postfixTable(passages)
}

// letterFile is a letter as smtp-source wants it.
func (p *part) letterFile(letters *load.Letters) string {
	l := letters.Draw(rand.New(rand.NewPCG(3, 4)))
	text := strings.Join(l.Header, "\n") + "\n\n" + strings.ReplaceAll(l.Body, "\r\n", "\n")
	file := filepath.Join(os.Getenv("TMPDIR"), "letter")
	p.must("letter", os.WriteFile(file, []byte(text), 0o644))
	return file
}

func (p *part) transit(relay *mta.Relay, addr string, pid int, c *passage, file, login string) (t transit) {
	spent := func() time.Duration {
		if pid == 0 {
			return 0
		}
		return cpuOf(p, pid)
	}
	busy, filter, begin := busyTime(p), spent(), time.Now()
	// -d: the next message in the same session.
	cmd := exec.Command("smtp-source", "-d", "-s", strconv.Itoa(c.sessions), "-m", strconv.Itoa(c.messages), "-F", file, "-f", login, "-t", "reader@remote.example", addr)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.Fatalf("smtp-source: %v\n%s", err, out)
	}
	t.took = time.Since(begin)
	relay.Drain(p)
	t.busy, t.filter = busyTime(p)-busy, spent()-filter
	return t
}

// busyTime is the processor time of all that runs on the machine: user, nice, system,
// irq and softirq of /proc/stat (proc(5)).
func busyTime(p *part) time.Duration {
	text, err := os.ReadFile("/proc/stat")
	p.must("processor time", err)
	sum, err := parseBusy(string(text))
	p.must("processor time", err)
	return sum
}

func parseBusy(text string) (sum time.Duration, err error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		sum += time.Duration(n) * clockTick
	}
	return sum, nil
}

func (p *part) postfixTable(passages []*passage) {
	t := newTable("message, sessions", "filter", "messages/s", "of no filter", "ms more a message", "CPU µs a message, of the machine", "more than without", "of the filter's process")
	for _, c := range passages {
		n := float64(c.messages)
		for i, way := range ways {
			var rate, share, more, busy, added, own []float64
			for round, got := range c.ways[i] {
				bare := c.ways[0][round]
				rate = append(rate, n/got.took.Seconds())
				share = append(share, bare.took.Seconds()/got.took.Seconds())
				// Each session waits for its own messages only.
				more = append(more, (got.took-bare.took).Seconds()*1000/n*float64(c.sessions))
				busy = append(busy, float64(got.busy.Microseconds())/n)
				added = append(added, float64((got.busy-bare.busy).Microseconds())/n)
				own = append(own, float64(got.filter.Microseconds())/n)
			}
			row := []string{fmt.Sprintf("%s, %d", octets(int64(c.size)), c.sessions), way, number(median(rate)), number(median(share)), "", number(median(busy)), "", ""}
			if i > 0 {
				row[4], row[6], row[7] = number(median(more)), number(median(added)), number(median(own))
			}
			t.row(row...)
		}
	}
	fmt.Fprintf(&p.out, "smtp-source, Postfix' smtpd with one filter or none, cleanup, qmgr, discard; all mail of one account; the median of %d rounds.\n\n%s", p.rounds, t)
}
