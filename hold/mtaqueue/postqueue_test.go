package mtaqueue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/hold/wire"
)

func readAll(text string) (all []wire.Queued, err error) {
	err = readPostqueue(strings.NewReader(text), func(q wire.Queued) error {
		all = append(all, q)
		return nil
	})
	return all, err
}

// What Postfix 3.7 prints, with a member that a later one may add.
const postqueueOutput = `{"queue_name": "hold", "queue_id": "3434E9B9651", "arrival_time": 1795414798, "message_size": 512, "forced_expire": false, "sender": "one@remote.example", "recipients": [{"address": "a@remote.example"}, {"address": "\"odd -x\"@remote.example"}]}
{"queue_name": "deferred", "queue_id": "4VdC8H50Dtz3kMn", "arrival_time": 1795414799, "message_size": 9, "new": {"x": [1, {}]}, "sender": "MAILER-DAEMON", "recipients": [{"address": "a@remote.example", "delay_reason": "451 not now"}]}
{"queue_name": "maildrop", "queue_id": "3434E9B9652", "arrival_time": 1795414799, "message_size": 9, "sender": "www-data", "recipients": []}
`

func TestReadPostqueue(t *testing.T) {
	got, err := readAll(postqueueOutput)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 6, 19, 58, 0, time.UTC)
	want := []wire.Queued{
		{ID: "3434E9B9651", Queue: wire.QueueHold, Arrived: at, From: "one@remote.example",
			Recipients: []string{"a@remote.example", `"odd -x"@remote.example`}, Count: 2, Size: 512},
		{ID: "4VdC8H50Dtz3kMn", Queue: wire.QueueDeferred, Arrived: at.Add(time.Second),
			Recipients: []string{"a@remote.example"}, Count: 1, Size: 9, Reason: "451 not now"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadPostqueueBounds(t *testing.T) {
	message := func(rcpts int, address string) string {
		one, _ := json.Marshal(map[string]string{"address": address, "delay_reason": strings.Repeat("é", 1000)})
		list := strings.TrimSuffix(strings.Repeat(string(one)+",", rcpts), ",")
		return fmt.Sprintf(`{"queue_name":"hold","queue_id":"0123AB","sender":%q,"recipients":[%s]}`, address, list)
	}
	for _, n := range []int{0, wire.MaxRecipients - 1, wire.MaxRecipients, wire.MaxRecipients + 1, 1000} {
		got, err := readAll(message(n, "a@x.example"))
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if q := got[0]; q.Count != n || len(q.Recipients) != min(n, wire.MaxRecipients) || len(q.Reason) > wire.MaxText+2 {
			t.Errorf("%d recipients: count %d, %d listed, reason of %d octets", n, q.Count, len(q.Recipients), len(q.Reason))
		}
	}
	for _, n := range []int{wire.MaxText - 1, wire.MaxText, wire.MaxText + 1} {
		got, err := readAll(message(1, strings.Repeat("a", n)))
		if err != nil {
			t.Fatal(err)
		}
		if q := got[0]; len(q.From) != min(n, wire.MaxText) || len(q.Recipients[0]) != min(n, wire.MaxText) {
			t.Errorf("text of %d octets: %d and %d", n, len(q.From), len(q.Recipients[0]))
		}
	}
}

func TestReadPostqueueFaults(t *testing.T) {
	whole := strings.SplitAfter(postqueueOutput, "\n")[0]
	for i := 1; i < len(whole)-1; i++ {
		if _, err := readAll(whole[:i]); err == nil {
			t.Fatalf("cut after %q: no error", whole[:i])
		}
	}
	for _, bad := range []string{
		"postqueue: fatal: no", "[]", `"x"`, `{"queue_name": 3}`, `{"arrival_time": "now"}`, `{"recipients": {}}`, `{"recipients": [1]}`, `{"sender"`,
	} {
		if got, err := readAll(bad); err == nil {
			t.Errorf("%s: %v", bad, got)
		}
	}
	stop := errors.New("stop")
	n := 0
	err := readPostqueue(strings.NewReader(postqueueOutput), func(wire.Queued) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("yield's error: %v after %d", err, n)
	}
}

func FuzzReadPostqueue(f *testing.F) {
	f.Add(postqueueOutput)
	f.Add(`{"recipients":[{"address":"\ud800"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		_ = readPostqueue(strings.NewReader(text), func(q wire.Queued) error {
			if len(q.Recipients) > wire.MaxRecipients || q.Count < len(q.Recipients) || q.Queue == wire.QueueNone {
				t.Errorf("%+v", q)
			}
			return nil
		})
	})
}

func BenchmarkReadPostqueue(b *testing.B) {
	text := strings.Repeat(strings.SplitAfter(postqueueOutput, "\n")[0], 10000)
	b.ReportAllocs()
	for b.Loop() {
		if err := readPostqueue(strings.NewReader(text), func(wire.Queued) error { return nil }); err != nil && err != io.EOF {
			b.Fatal(err)
		}
	}
}
