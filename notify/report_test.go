package notify

import (
	"context"
	"strings"
	"testing"
	"time"

	"o2n-milter/state/memory"
)

// A report goes out with the null sender, and is known again as ours, once.
func TestReport(t *testing.T) {
	mta := newMTA(t)
	h := start(t, memory.New(), "mx1.isp.example", Settings{SMTP: mta.address})
	value := ""
	text := func(v string) []byte {
		value = v
		return []byte("From: a@b.example\r\nX-O2N-Notice: " + v + "\r\n\r\n.a line\r\n")
	}
	if err := h.Report(t.Context(), t0, "Cron@Web1.example", text); err != nil {
		t.Fatal(err)
	}
	got := mta.got()
	if len(got) != 1 || got[0].from != "" || len(got[0].to) != 1 || got[0].to[0] != "Cron@web1.example" || !strings.Contains(got[0].text, "\n.a line") {
		t.Fatalf("%+v", got)
	}
	if h.Ours(value, []string{"eve@web1.example"}) {
		t.Error("ours to somebody else")
	}
	if err := h.Report(t.Context(), t0, "cron@web1.example", text); err != nil {
		t.Fatal(err)
	}
	if !h.Ours(value, []string{"cron@web1.example"}) || h.Ours(value, []string{"cron@web1.example"}) {
		t.Error("not ours, or twice")
	}
}

func TestReportFails(t *testing.T) {
	text := func(string) []byte { return []byte("\r\n") }
	for name, c := range map[string]struct {
		to      string
		set     func(*fakeMTA)
		lasting bool
	}{
		"no address":          {"", nil, true},
		"no domain":           {"root", nil, true},
		"two":                 {"a@x.example> <b@y.example", nil, true},
		"a line":              {"a@x.example\r\nRCPT TO:<b@y.example>", nil, true},
		"refused":             {"a@x.example", func(f *fakeMTA) { f.rcptErr = func(string) error { return answer(550) } }, true},
		"put off":             {"a@x.example", func(f *fakeMTA) { f.rcptErr = func(string) error { return answer(451) } }, false},
		"its text is refused": {"a@x.example", func(f *fakeMTA) { f.dataErr = func() error { return answer(554) } }, true},
		"nobody listens":      {"a@x.example", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			mta := &fakeMTA{address: closedPort(t)} // nobody is to be asked
			if c.set != nil {
				mta = newMTA(t)
				c.set(mta)
			}
			h := start(t, memory.New(), "mx1.isp.example", Settings{SMTP: mta.address, Timeout: 5 * time.Second})
			err := h.Report(context.Background(), t0, c.to, text)
			if err == nil || Lasting(err) != c.lasting {
				t.Errorf("%v; want lasting %v", err, c.lasting)
			}
			if len(mta.got()) > 0 {
				t.Error("it was sent")
			}
		})
	}
}
