//go:build mta

package hold

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// local is an address of the server's own, which its programs may send from.
const local = "www-data@" + mta.Host

// startDaemon starts the daemon where the server looks for the filter, with the
// agent at its side.
func (p *place) startDaemon(t *testing.T, toml string) *daemon.Daemon {
	t.Helper()
	p.startAgent(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("agent:\n%s\nmail log:\n%s", p.agentLog(), p.Log())
		}
	})
	hold := fmt.Sprintf("[hold]\nagent = %q\n[accounts]\nhosts = [%q]\n[notify]\nsmtp = %q\n", filepath.Join(p.dir, "run/hold.sock"), mta.Host, p.Loopback())
	return daemon.Start(t, []string{"unix:" + p.milter}, hold, toml)
}

// burst is a script of a customer's that sends n mails, numbered from 1.
func (p *place) burst(t *testing.T, n int) {
	t.Helper()
	const script = `n=$1; shift; i=1
while [ $i -le $n ]; do
	printf 'From: www-data@HOST\nTo: r%d@remote.example\nSubject: mail %d\n\nnumber %d\n' $i $i $i |
		"$@" -f www-data@HOST -- r$i@remote.example || exit 1
	i=$((i+1))
done`
	args := append([]string{"sh", "-c", strings.ReplaceAll(script, "HOST", mta.Host), "sh", fmt.Sprint(n)}, p.submit...)
	if out, err := p.run(args...).CombinedOutput(); err != nil {
		t.Fatalf("burst: %v\n%s", err, out)
	}
}

// arrival is a message at the sink.
type arrival struct {
	at      time.Time
	subject string
	qid     string // the last server's
}

var (
	subjectField = regexp.MustCompile(`(?m)^Subject: (.*?)\r?$`)
	// The server's own Received field is the first.
	queueID = regexp.MustCompile(`(?s)\bid (\w+)[;\s]`)
)

func (p *place) arrivals() []arrival {
	var list []arrival
	for _, d := range p.sink.All() {
		a := arrival{at: d.At}
		if m := subjectField.FindSubmatch(d.Data); m != nil {
			a.subject = string(m[1])
		}
		if m := queueID.FindSubmatch(d.Data); m != nil {
			a.qid = string(m[1])
		}
		list = append(list, a)
	}
	return list
}

func TestBurstPostfix(t *testing.T) {
	t.Parallel()
	exerciseBurst(t, postfix(t))
}

func TestBurstSendmail(t *testing.T) {
	t.Parallel()
	exerciseBurst(t, sendmail(t))
}

// exerciseBurst sends six times what the limit allows. All of it arrives, at the
// pace of the limit, whatever is killed meanwhile.
func exerciseBurst(t *testing.T, p *place) {
	const n, most, window = 60, 10, 6 * time.Second
	d := p.startDaemon(t, "[limit.minute]\nsubject = \"script\"\nunit = \"messages\"\nmax = 10\nwindow = \"6s\"\naction = \"quarantine\"\n")
	begun := time.Now()
	p.burst(t, n)
	t.Logf("submitted in %v", time.Since(begun).Round(time.Millisecond))
	mta.Poll(t, "all are sent or held", func() bool { return len(p.decided(d)) == n })

	// The kills, each when so many have arrived.
	p.await(t, 15)
	d.Proc.Kill()
	d.Start(t)
	p.await(t, 25)
	p.proc.Kill()
	mta.Poll(t, "the daemon has tried in vain", func() bool { return strings.Contains(d.Log(), "hold agent is away") })
	p.startAgent(t)
	p.await(t, 35)
	p.Stop()
	time.Sleep(window + 2*time.Second) // a whole window, whose mail must not pile up
	p.Start(t)
	p.await(t, n)
	p.Drain(t)

	p.checkPace(t, p.decided(d), n, most, window)
	if held := p.Held(t); held != 0 {
		t.Errorf("%d are still on hold", held)
	}
	mta.Poll(t, "the daemon has seen the last one leave", func() bool { return len(heldList(t, d)) == 0 })
	t.Logf("%s: %d mails at %d per %v took %v with three kills", p.mta, n, most, window, time.Since(begun).Round(time.Second))
}

// heldRecord is what "held list" says of a message.
type heldRecord struct {
	ID, Subject, Rule, From, State string
	QueueID                        string `json:"queue_id"`
}

func heldList(t *testing.T, d *daemon.Daemon, args ...string) []heldRecord {
	t.Helper()
	var list struct{ Held []heldRecord }
	d.JSON(t, &list, append([]string{"held", "list"}, args...)...)
	return list.Held
}

// checkPace wants each mail once, never more than most in any window, and what was
// held in the order in which it was judged.
func (p *place) checkPace(t *testing.T, judged []decision, n, most int, window time.Duration) {
	t.Helper()
	got := p.arrivals()
	count := map[string]int{}
	for _, a := range got {
		count[a.subject]++
	}
	for i := range n {
		if subject := fmt.Sprintf("mail %d", i+1); count[subject] != 1 {
			t.Errorf("%s arrived %d times", subject, count[subject])
		}
	}
	var held []string
	for _, j := range judged {
		if j.held {
			held = append(held, j.qid)
		}
	}
	if len(held) < n-2*most { // a slow submission may see a second window
		t.Errorf("only %d were held", len(held))
	}
	var order []string
	for _, a := range got {
		if slices.Contains(held, a.qid) {
			order = append(order, a.qid)
		}
	}
	if !slices.Equal(order, held) {
		t.Errorf("held in the order\n%v, arrived in the order\n%v", held, order)
	}
	// Held mail is counted once it has left, against other held mail. What passes at
	// once is charged before the MTA sends it, so it arrives later than it counts, by as
	// much as delivery takes, and meets what was held by the time that this had paid:
	// jitter, wherever such mail is among the eleven.
	const jitter = time.Second
	passed := func(a arrival) bool { return !slices.Contains(held, a.qid) }
	for i := most; i < len(got); i++ {
		allowed := window
		if slices.ContainsFunc(got[i-most:i+1], passed) {
			allowed -= jitter
		}
		if d := got[i].at.Sub(got[i-most].at); d < allowed {
			t.Errorf("%s comes %v after %s: %d in a window of %v", got[i].subject, d, got[i-most].subject, most+1, window)
		}
	}
}

// await waits until so many have arrived, as long as their pace allows.
func (p *place) await(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); len(p.sink.All()) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("only %d of %d have arrived", len(p.sink.All()), n)
		}
	}
}

// decision is a line of the daemon's log about a message.
type decision struct {
	qid  string
	held bool
}

var decisionLine = regexp.MustCompile(`msg=message action=(\w+) .*\bqid=(\w+)`)

// decided are the daemon's decisions on local submissions so far.
func (p *place) decided(d *daemon.Daemon) []decision {
	var list []decision
	for line := range bytes.Lines([]byte(d.Log())) {
		if m := decisionLine.FindSubmatch(line); m != nil {
			list = append(list, decision{qid: string(m[2]), held: string(m[1]) == "quarantine"})
		}
	}
	return list
}
