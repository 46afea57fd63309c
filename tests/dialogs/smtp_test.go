//go:build mta

package dialogs

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
	"o2n-milter/tests/campaign"
	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) { daemon.Main(m) }

// world is a server with the daemon behind it, and what should be true of both.
type world struct {
	t       testing.TB
	server  mta.Server
	chunks  bool // it takes BDAT
	forgets bool // with STARTTLS it forgets who has logged in
	sink    *mta.Sink
	daemon  *daemon.Daemon
	spent   map[string]charged
	onHold  int            // before the dialog
	marks   int            // handed out
	taken   map[string]int // of what servers took, and of verdicts: how often

	// Of the dialog under way:
	sides  [2]side
	faults []string
	due    map[string]*arrival // by mark, what must arrive
	costs  map[string]charged
	held   int
	story  []event
}

// event is what a server took, for the story.
type event struct{ verb, arg string }

func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

func (w *world) tell(verb, arg string) {
	w.taken[verb]++
	w.story = append(w.story, event{verb, arg})
}

// marked gives a message a mark of its own.
func (w *world) marked(text string) string {
	if !strings.Contains(text, marker) {
		return text
	}
	w.marks++
	return strings.Replace(text, marker, fmt.Sprintf("mark-%d", w.marks), 1)
}

func (w *world) ended(text string, action rules.Action) {
	w.tell("text", text)
	w.tell("want", wantOf(action))
	w.taken[action.String()]++
}

// passed notes a letter that must arrive, and who pays for it.
func (w *world) passed(l *letter, mark string, action rules.Action) {
	a := &arrival{from: l.sender, to: slices.Sorted(slices.Values(l.recipients))}
	a.to = slices.Compact(a.to) // the servers write to each once
	if action == rules.Tag {
		a.data = []byte("X-O2N-Milter: identity.reply_to ")
	}
	if w.due[mark] != nil {
		w.fault("two messages with %s", mark)
	}
	w.due[mark] = a
	if who := l.account(); who != "" {
		c := w.costs[who]
		w.costs[who] = charged{c.messages + 1, c.recipients + int64(len(l.recipients))}
	}
}

// play makes the moves and says what is wrong with what came of them; empty when nothing is.
func (w *world) play(dialog []move) string {
	w.sink.Clear()
	w.sides, w.faults, w.due, w.costs, w.held, w.story = [2]side{{w: w}, {w: w}}, nil, map[string]*arrival{}, map[string]charged{}, 0, nil
	for _, m := range dialog {
		if m.verb == toKill {
			w.kill()
			continue
		}
		w.sides[m.on].do(m)
	}
	for i := range w.sides {
		w.sides[i].hangUp()
	}
	w.server.Drain(w.t)
	w.delivered()
	w.paid()
	if now := w.server.Held(w.t); now-w.onHold != w.held {
		w.fault("%d more on hold, want %d", now-w.onHold, w.held)
	}
	w.onHold = w.server.Held(w.t)
	return strings.Join(w.faults, "\n")
}

func (w *world) kill() {
	w.daemon.Proc.Kill()
	w.daemon.Start(w.t)
	for i := range w.sides {
		w.sides[i].killed = true
	}
}

// delivered compares what arrived with what should have.
func (w *world) delivered() {
	got := merge(w.sink.All())
	for mark, a := range w.due {
		if got[mark] == nil {
			w.fault("%s did not arrive", mark)
			continue
		}
		if !bytes.Contains(got[mark].data, a.data) || a.data == nil && bytes.Contains(got[mark].data, []byte("X-O2N-Milter:")) {
			w.fault("%s: want %q in\n%s", mark, a.data, got[mark].data)
		}
		got[mark].data, a.data = nil, nil
		if diff := cmp.Diff(a, got[mark], cmp.AllowUnexported(arrival{})); diff != "" {
			w.fault("%s arrived otherwise (-want +got):\n%s", mark, diff)
		}
		delete(got, mark)
	}
	for mark, a := range got {
		w.fault("%q arrived from %s to %q, which no server took:\n%s", mark, a.from, a.to, a.data)
	}
}

// paid compares what the accounts were charged.
func (w *world) paid() {
	got := map[string]charged{}
	for who := range ours {
		var usage struct {
			Windows []struct {
				Limit string
				Used  int64
			}
		}
		w.daemon.JSON(w.t, &usage, "usage", "account:"+who)
		var all charged
		for _, window := range usage.Windows {
			switch window.Limit {
			case "messages":
				all.messages = window.Used
			case "recipients":
				all.recipients = window.Used
			}
		}
		before := w.spent[who]
		w.spent[who] = all
		if all != before {
			got[who] = charged{all.messages - before.messages, all.recipients - before.recipients}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(w.costs) { // fmt sorts maps
		w.fault("charged %v, want %v", got, w.costs)
	}
}

// smtpDialogs plays dialogs by chance through a server.
func smtpDialogs(t *testing.T, name string, server mta.Server, sink *mta.Sink, listen string) {
	count := campaign.Counting(t, "sessions", "SMTP dialogs through "+name)
	r := campaign.Rand(t)
	w := &world{t: t, server: server, chunks: name == "Postfix", forgets: name == "Postfix", sink: sink, spent: map[string]charged{}, taken: map[string]int{}}
	w.daemon = daemon.Start(t, []string{listen}, accountsTOML, rulesTOML)
	t.Cleanup(func() { server.Purge(t) })
	defer func() { t.Logf("taken: %v", w.taken) }()
	dialogs := known()
	for range campaign.Pick(20, 300) {
		dialogs = append(dialogs, smtpDialog(r, w.chunks))
	}
	for _, dialog := range dialogs {
		fault := w.play(dialog)
		if fault == "" {
			count.Held()
			continue
		}
		count.Failed()
		w.small(dialog, fault)
		return
	}
	for _, what := range []string{"STARTTLS", "behind STARTTLS"} {
		if w.taken[what] == 0 {
			t.Errorf("%s: %s was not tried", name, what)
		}
	}
}

// small makes a dialog small that failed, and shows it.
func (w *world) small(dialog []move, fault string) {
	w.t.Helper()
	dialog = shrink(dialog, simplerMove, 80, func(less []move) bool {
		again := w.play(less)
		if again != "" {
			fault = again
		}
		return again != ""
	})
	w.play(dialog)
	shown := show(dialog)
	if text, is := asCase(w.story); is {
		shown += "As a case:\n" + text
	}
	w.t.Errorf("%s\n%s", fault, shown)
}

func TestPostfixDialogs(t *testing.T) {
	sink := mta.NewSink(t)
	p := mta.NewPostfix(t, sink)
	smtpDialogs(t, "Postfix", p, sink, "unix:"+p.Milter)
}

func TestSendmailDialogs(t *testing.T) {
	sink := mta.NewSink(t)
	s := mta.NewSendmail(t, sink)
	smtpDialogs(t, "Sendmail", s, sink, "unix:"+s.Milter)
}
