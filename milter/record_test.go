package milter

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"o2n-milter/rules"
	"o2n-milter/state"
)

func recorded(t *testing.T, m *rules.Mail, v rules.Verdict) (string, *prometheus.Registry) {
	t.Helper()
	var out bytes.Buffer
	reg := prometheus.NewRegistry()
	NewLog(slog.New(slog.NewTextHandler(&out, nil)), reg).Record(m, v, 3*time.Millisecond)
	return out.String(), reg
}

func TestLogLine(t *testing.T) {
	m := &rules.Mail{
		Client: netip.MustParseAddr("192.0.2.7"), QueueID: "4Ze1", Sender: "alice@client-a.example",
		Recipients: []rules.Recipient{{Address: "a@x.example"}, {Address: "b@x.example"}},
	}
	v := rules.Verdict{
		Judged: true, Action: rules.Reject, Rule: "identity.header_from", ID: "7K3QF2M9", Code: 550, Account: "alice@client-a.example",
		Evidence: []rules.Evidence{
			{Rule: "identity.header_from", Fact: "header From", Got: "boss@bank.example"},
			{Rule: "identity.display_name", Fact: "display name", Got: "x@bank.example", Shadow: true},
		},
	}
	line, _ := recorded(t, m, v)
	_, got, _ := strings.Cut(line, "msg=message ")
	want := `action=reject rule=identity.header_from id=7K3QF2M9 account=alice@client-a.example client=192.0.2.7 qid=4Ze1 ` +
		`from=alice@client-a.example rcpts=2 code=550 ` +
		`evidence="identity.header_from: header From boss@bank.example; identity.display_name (shadow): display name x@bank.example" took=3.000ms` + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLogLineOfInboundMail(t *testing.T) {
	line, _ := recorded(t, &rules.Mail{}, rules.Verdict{Action: rules.Accept, Rule: "none", Code: 250})
	if !strings.Contains(line, `evidence="inbound mail, not judged"`) {
		t.Errorf("got %q", line)
	}
}

func TestLogLineOfOurOwnMail(t *testing.T) {
	line, _ := recorded(t, &rules.Mail{}, rules.Verdict{Own: true, Action: rules.Accept, Rule: "none", Code: 250})
	if !strings.Contains(line, `evidence="our own notice, not judged"`) {
		t.Errorf("got %q", line)
	}
}

func TestBlocksAreToldAndCounted(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	line, reg := recorded(t, &rules.Mail{}, rules.Verdict{
		ID: "D1", Rule: "limit.minute", Struck: 1, Alarm: "too many",
		Blocked:    []state.Block{{ID: "B1", Subject: "account:a", Rule: "limit.minute", Until: at}, {ID: "B2", Subject: "customer:c"}},
		WouldBlock: []state.Block{{ID: "B3", Subject: "ip:192.0.2.1"}},
	})
	for _, want := range []string{
		"level=WARN msg=blocked block=B1 subject=account:a rule=limit.minute until=2026-03-01T12:00:00Z id=D1",
		`msg=blocked block=B2 subject=customer:c rule="" until="it is lifted"`,
		`msg="would be blocked (block.automatic is shadow)" block=B3`,
		`level=ERROR msg=alarm alarm="too many" id=D1`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in\n%s", want, line)
		}
	}
	want := `# HELP o2n_milter_automatic_blocks_total Blocks that strikes led to, by kind of subject.
# TYPE o2n_milter_automatic_blocks_total counter
o2n_milter_automatic_blocks_total{kind="account"} 1
o2n_milter_automatic_blocks_total{kind="customer"} 1
o2n_milter_automatic_blocks_total{kind="domain"} 0
o2n_milter_automatic_blocks_total{kind="host"} 0
o2n_milter_automatic_blocks_total{kind="ip"} 0
o2n_milter_automatic_blocks_total{kind="script"} 0
# HELP o2n_milter_block_ceiling_total Automatic blocks that were not made, as there were too many.
# TYPE o2n_milter_block_ceiling_total counter
o2n_milter_block_ceiling_total 1
# HELP o2n_milter_strikes_total Refused messages that counted as abuse, by rule.
# TYPE o2n_milter_strikes_total counter
o2n_milter_strikes_total{rule="limit.minute"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"o2n_milter_automatic_blocks_total", "o2n_milter_block_ceiling_total", "o2n_milter_strikes_total"); err != nil {
		t.Error(err)
	}
}

func TestOnlyRefusedIsLogged(t *testing.T) {
	shadow := []rules.Evidence{{Rule: "bulk.reason", Shadow: true}}
	for name, c := range map[string]struct {
		v    rules.Verdict
		want int
	}{
		"passed":        {rules.Verdict{Judged: true, Action: rules.Accept, Rule: "none"}, 0},
		"inbound":       {rules.Verdict{Action: rules.Accept, Rule: "none"}, 0},
		"found":         {rules.Verdict{Judged: true, Action: rules.Accept, Rule: "none", Evidence: shadow}, 1},
		"tagged":        {rules.Verdict{Judged: true, Action: rules.Tag, Rule: "bulk.reason"}, 1},
		"refused":       {rules.Verdict{Judged: true, Action: rules.Reject, Rule: "bulk.reason"}, 1},
		"our own fault": {rules.Verdict{Judged: true, Action: rules.Accept, Rule: "store.unavailable", Err: errors.New("away")}, 1},
	} {
		var out bytes.Buffer
		reg := prometheus.NewRegistry()
		l := NewLog(slog.New(slog.NewTextHandler(&out, nil)), reg)
		l.OnlyRefused(true)
		l.Record(&rules.Mail{}, c.v, time.Millisecond)
		if n := strings.Count(out.String(), "msg=message"); n != c.want {
			t.Errorf("%s: %d lines, want %d", name, n, c.want)
		}
		l.OnlyRefused(false)
		l.Record(&rules.Mail{}, c.v, time.Millisecond)
		if n := strings.Count(out.String(), "msg=message"); n != c.want+1 {
			t.Errorf("%s: %d lines with all of them, want %d", name, n, c.want+1)
		}
		if n := testutil.ToFloat64(l.decisions.WithLabelValues(c.v.Rule, c.v.Action.String())); n != 2 {
			t.Errorf("%s: %v are counted, want 2", name, n)
		}
	}
}

func TestShadowIsCountedByMessage(t *testing.T) {
	_, reg := recorded(t, &rules.Mail{}, rules.Verdict{Judged: true, Action: rules.Reject, Rule: "recipients.visible", Evidence: []rules.Evidence{
		{Rule: "recipients.visible"}, {Rule: "bulk.reason", Shadow: true}, {Rule: "limit.x", Shadow: true}, {Rule: "bulk.reason", Shadow: true},
	}})
	want := `# HELP o2n_milter_shadow_total Messages in which a rule in shadow found something, by rule.
# TYPE o2n_milter_shadow_total counter
o2n_milter_shadow_total{rule="bulk.reason"} 1
o2n_milter_shadow_total{rule="limit.x"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "o2n_milter_shadow_total"); err != nil {
		t.Error(err)
	}
}

// Every part that the other side has chosen is cut.
func TestLogLineIsBoundedInEachPart(t *testing.T) {
	long := strings.Repeat("y", 1<<20)
	v := rules.Verdict{Judged: true, Account: long, Err: errors.New(long), Evidence: []rules.Evidence{{Rule: "limit.x", Got: long}}}
	if line, _ := recorded(t, &rules.Mail{Sender: long, QueueID: long}, v); len(line) > mostEvidence+6000 {
		t.Errorf("%d octets", len(line))
	}
}

func TestLogLineIsBounded(t *testing.T) {
	v := rules.Verdict{Judged: true, Evidence: make([]rules.Evidence, 100)}
	for i := range v.Evidence {
		v.Evidence[i] = rules.Evidence{Rule: "limit.x", Got: strings.Repeat("x", 200)}
	}
	long := strings.Repeat("y", 1<<20)
	line, _ := recorded(t, &rules.Mail{Sender: long, QueueID: long}, v)
	if len(line) > mostEvidence+4000 || !strings.Contains(line, "more\"") {
		t.Errorf("%d octets", len(line))
	}
}

func TestLogLineStaysOneLine(t *testing.T) {
	m := &rules.Mail{Sender: "a\r\nlevel=ERROR msg=forged\x1b[2J\u202e@x", QueueID: "q\x00"}
	line, _ := recorded(t, m, rules.Verdict{Action: rules.Accept, Rule: "none", Code: 250, Err: errors.New("first\nsecond")})
	if strings.Count(line, "\n") != 1 || regexp.MustCompile(`[\x00-\x09\x0b-\x1f\x7f]|\x{202e}`).MatchString(line) {
		t.Errorf("got %q", line)
	}
	if !strings.Contains(line, "level=ERROR msg=message") || !strings.Contains(line, `error="first\nsecond"`) {
		t.Errorf("got %q", line)
	}
}

func TestDecisionsAreCounted(t *testing.T) {
	_, reg := recorded(t, &rules.Mail{}, rules.Verdict{Action: rules.Tempfail, Rule: "limit.minute", Code: 451})
	want := `# HELP o2n_milter_decisions_total Messages by the rule that decided and the action taken.
# TYPE o2n_milter_decisions_total counter
o2n_milter_decisions_total{action="accept",rule="none"} 0
o2n_milter_decisions_total{action="tempfail",rule="internal.overload"} 0
o2n_milter_decisions_total{action="tempfail",rule="limit.minute"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "o2n_milter_decisions_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "o2n_milter_decision_seconds"); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}
