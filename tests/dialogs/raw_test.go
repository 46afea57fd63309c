package dialogs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/tests/campaign"
)

// accountsTOML are those that exist.
const accountsTOML = `
[accounts]
unknown = "reject"
hosts = ["submit.host.example"]
[account."alice@client-a.example"]
domains = ["client-a.example"]
[account."bob@client-b.example"]
domains = ["client-b.example"]
`

// rulesTOML has every kind of answer, each from a field of its own; nothing stops mail but who wrote it.
const rulesTOML = `[identity]
header_from = "reject"
malformed = "reject"
envelope_from = "tempfail"
sender = "quarantine"
reply_to = "tag"
[recipients]
visible = "off"
envelope = "off"
duplicate = "off"
[bulk]
volume = "off"
[block]
automatic = "off"
[limit.messages]
unit = "messages"
max = 100000000
window = "1d"
action = "reject"
[limit.recipients]
unit = "recipients"
max = 100000000
window = "1d"
action = "reject"
`

// filter is the real one, with a store that is asked what everybody was charged.
type filter struct {
	engine *rules.Engine
	store  *memory.Store
	at     time.Time
	spent  map[string]charged
}

// charged is what an account's windows hold.
type charged struct{ messages, recipients int64 }

func newFilter(t testing.TB) *filter {
	t.Helper()
	file := filepath.Join(t.TempDir(), "o2n-milter.toml")
	if err := os.WriteFile(file, []byte(accountsTOML+rulesTOML), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Load(file, true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	directory, err := accounts.Open(cfg.Accounts.File, cfg.Accounts.Read, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(directory.Close)
	f := &filter{store: memory.New(), at: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), spent: map[string]charged{}}
	f.engine = rules.New(cfg.Rules, directory, f.store, func() time.Time { return f.at })
	return f
}

// costs is what every account was charged since the last call.
func (f *filter) costs(ctx context.Context) (map[string]charged, error) {
	list := map[string]charged{}
	for _, who := range []string{alice, bob, "mallory@unlisted.example", "carol"} {
		w := state.Window{Limit: "messages", Subject: "account:" + who, Length: 24 * time.Hour, Max: 100000000}
		r := w
		r.Limit = "recipients"
		used, err := f.store.Usage(ctx, f.at, []state.Window{w, r})
		if err != nil {
			return nil, err
		}
		all, before := charged{used[0].Used, used[1].Used}, f.spent[who]
		f.spent[who] = all
		if all != before {
			list[who] = charged{all.messages - before.messages, all.recipients - before.recipients}
		}
	}
	return list, nil
}

// notes is a Recorder of the messages of one connection.
type notes struct {
	mu      sync.Mutex
	letters []*letter
	actions []rules.Action
	odd     []string
	resumed int // sessions that went on here
}

func (n *notes) Record(m *rules.Mail, v rules.Verdict, _ time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.letters = append(n.letters, seen(m))
	n.actions = append(n.actions, v.Action)
	if v.Rule == "internal.panic" || v.Rule == "internal.overload" || v.Err != nil || len(m.Excess) > 0 {
		n.odd = append(n.odd, fmt.Sprintf("rule %s, %v, %q", v.Rule, v.Err, m.Excess))
	}
}

func (n *notes) Sessions(int) {}

func (n *notes) Kept(goesOn bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if goesOn {
		n.resumed++
	} else {
		n.odd = append(n.odd, "a session that did not go on")
	}
}

// hold plays a dialog and says what is wrong with what came of it; empty when nothing is.
func (f *filter) hold(ctx context.Context, dialog []packet, piece int) string {
	sent := stream(dialog)
	answered, n, err := f.talk(sent, piece)
	if err != nil {
		return err.Error()
	}
	return f.check(ctx, sent, answered, n)
}

// check says what is wrong with what came of a stream.
func (f *filter) check(ctx context.Context, sent, answered []byte, n *notes) string {
	var m model
	m.read(sent)
	var judged []*letter
	for _, a := range m.answers {
		if a.code == 'E' {
			judged = append(judged, a.of)
		}
	}
	want := make(map[string]charged)
	for i, l := range judged {
		if i >= len(n.letters) {
			return fmt.Sprintf("message %d was not judged: %v", i, l)
		}
		if got := n.letters[i]; got.String() != l.String() {
			return fmt.Sprintf("message %d:\n%s", i, apart(got.String(), l.String()))
		}
		if l.plain() && n.actions[i] != l.verdict() {
			return fmt.Sprintf("message %d: verdict %v, want %v: %v", i, n.actions[i], l.verdict(), l)
		}
		if who := l.account(); n.actions[i] < rules.Quarantine && who != "" {
			c := want[who]
			want[who] = charged{c.messages + 1, c.recipients + int64(len(l.recipients))}
		}
	}
	if len(n.letters) > len(judged) {
		return fmt.Sprintf("judged though it had no end: %v", n.letters[len(judged)])
	}
	if fault := checkAnswers(&m, answered, n.actions); fault != "" {
		return fault
	}
	got, err := f.costs(ctx)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) { // fmt sorts maps
		return fmt.Sprintf("charged %v, want %v (%v)", got, want, err)
	}
	return ""
}

// TestPackets sends packets of the milter protocol in any order.
func TestPackets(t *testing.T) {
	count := campaign.Counting(t, "sessions", "sequences of milter packets")
	r := campaign.Rand(t)
	type try struct {
		dialog []packet
		piece  int
	}
	tries, stop := make(chan try), make(chan struct{})
	var once sync.Once
	var workers sync.WaitGroup
	for range 4 { // at once, for what they share: drafts and buffers that are used again
		f := newFilter(t)
		workers.Go(func() {
			for x := range tries {
				fault := f.hold(t.Context(), x.dialog, x.piece)
				if fault == "" {
					count.Held()
					continue
				}
				count.Failed()
				once.Do(func() {
					close(stop)
					small(t, x.dialog, x.piece, fault)
				})
			}
		})
	}
	for range campaign.Pick(700, 100_000) {
		dialog := rawDialog(r)
		x := try{dialog, pieceSize(r, dialog)}
		select {
		case tries <- x:
			continue
		case <-stop:
		}
		break
	}
	close(tries)
	workers.Wait()
}

// pieceSize is how many octets of a dialog are written at a time. A long one is not cut to
// bits, which takes long.
func pieceSize(r *rand.Rand, dialog []packet) int {
	size := pick(r, []int{1 << 20, 1 << 20, 1 << 20, 1000, 61, 5})
	return max(size, len(stream(dialog))/200)
}

// apart shows two texts from where they part, or a little before.
func apart(judged, was string) string {
	same := 0
	for same < min(len(judged), len(was)) && judged[same] == was[same] {
		same++
	}
	from := max(0, same-500)
	return fmt.Sprintf("judged %.1500s\nwas    %.1500s", judged[from:], was[from:])
}

// small makes a dialog small that failed, and shows it.
func small(t *testing.T, dialog []packet, piece int, fault string) {
	t.Helper()
	fails := func(less []packet) bool {
		again := newFilter(t).hold(t.Context(), less, piece)
		if again != "" {
			fault = again
		}
		return again != ""
	}
	dialog = shrink(dialog, simpler, 2000, fails)
	t.Errorf("%s\n%d octets at a time:\n%s", fault, piece, show(dialog))
}

// show is a step a line.
func show[S any](dialog []S) string {
	var b strings.Builder
	for _, step := range dialog {
		fmt.Fprintf(&b, "\t%v\n", step)
	}
	return b.String()
}
