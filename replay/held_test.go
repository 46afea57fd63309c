package replay

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state"
)

func mailAt(t *testing.T, minute int) *rules.Mail {
	t.Helper()
	text := letter("x", minute)
	raw, err := message.Split(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := Envelope{}.Mail(raw)
	return m
}

// outcomes judges a letter at each of these minutes, and gives what becomes of each; and
// the same of the decisions, judged anew.
func outcomes(t *testing.T, set rules.Settings, at ...int) (mail, again []string) {
	t.Helper()
	lane, second := laneOf(t, set), laneOf(t, set)
	for _, minute := range at {
		m := mailAt(t, minute)
		v := lane.Judge(t.Context(), minutes(minute), m)
		if v.Err != nil || m.QueueID != "" {
			t.Fatal(v.Err, m.QueueID)
		}
		mail = append(mail, v.Action.String()+" "+v.Rule)
		d, err := lane.store.Decision(t.Context(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		if v, _ = second.Again(t.Context(), d); v.Err != nil {
			t.Fatal(v.Err)
		}
		again = append(again, v.Action.String()+" "+v.Rule)
	}
	return mail, again
}

// TestHeldMailLeaves: it fills its window when it leaves, so that who comes later waits
// too.
func TestHeldMailLeaves(t *testing.T) {
	const pass, wait = "accept none", "quarantine limit.hour"
	holding := func(change func(*rules.Settings)) rules.Settings {
		set := settings(2)
		set.Limits[0].Action = rules.Quarantine
		change(&set)
		return set
	}
	for name, c := range map[string]struct {
		change func(*rules.Settings)
		at     []int
		want   []string
	}{
		// Two leave after an hour, the third after two. A place comes free up to a minute late.
		"one after the other": {func(*rules.Settings) {}, []int{0, 1, 2, 3, 58, 100, 119, 130, 131}, []string{pass, pass, wait, wait, wait, wait, wait, wait, wait}},
		"all has left":        {func(*rules.Settings) {}, []int{0, 1, 2, 3, 124, 125, 126}, []string{pass, pass, wait, wait, pass, pass, wait}},
		"for an operator": {func(s *rules.Settings) { s.Actions["recipients.envelope"], s.MaxEnvelope = rules.Quarantine, 0 }, []int{0, 200},
			[]string{"quarantine recipients.envelope", "quarantine recipients.envelope"}},
	} {
		mail, again := outcomes(t, holding(c.change), c.at...)
		if diff := cmp.Diff(c.want, mail) + cmp.Diff(c.want, again); diff != "" {
			t.Errorf("%s, mail and decisions:\n%s", name, diff)
		}
	}
}

// TestHeldBehindBlocks: what waits behind a block leaves at its end, one without an end
// keeps it.
func TestHeldBehindBlocks(t *testing.T) {
	for name, until := range map[string]time.Time{"of an hour": minutes(60), "for good": {}} {
		set := settings(2)
		set.Actions["block.active"] = rules.Quarantine
		lane := laneOf(t, set)
		if err := lane.store.AddBlock(t.Context(), state.Block{ID: "B1", Subject: alice, Since: minutes(0), Until: until}); err != nil {
			t.Fatal(err)
		}
		judge := func(minute int) string {
			v := lane.Judge(t.Context(), minutes(minute), mailAt(t, minute))
			return v.Action.String() + " " + v.Rule
		}
		got := []string{judge(0), judge(1), judge(2), judge(61)}
		want := []string{"quarantine block.active", "quarantine block.active", "quarantine block.active", "tempfail limit.hour"}
		if until.IsZero() {
			want[3] = want[2]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if len(lane.held.of) > 1 {
			t.Errorf("%s: %d subjects wait", name, len(lane.held.of))
		}
	}
}
