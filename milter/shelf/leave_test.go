package shelf_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"o2n-milter/milter"
	"o2n-milter/milter/shelf/shelftest"
	"o2n-milter/rules"
)

// half is an MTA in the middle of a dialog.
type half struct {
	t     *testing.T
	nc    net.Conn
	steps []step
}

func (h *half) say(steps int) {
	h.t.Helper()
	h.nc.SetDeadline(time.Now().Add(20 * time.Second))
	for _, s := range h.steps[:steps] {
		if _, err := h.nc.Write([]byte(s.write)); err != nil {
			h.t.Fatal(err)
		}
		for n := 0; n < s.answers; n++ {
			h.answer()
		}
	}
	h.steps = h.steps[steps:]
}

func (h *half) answer() string {
	h.t.Helper()
	for {
		p, err := receive(h.nc)
		if err != nil {
			h.t.Fatal(err)
		}
		if final(p) {
			return p
		}
	}
}

func (f *filter) listen(t *testing.T) net.Addr {
	t.Helper()
	ln, err := net.Listen("unix", t.TempDir()+"/sock")
	if err != nil {
		t.Fatal(err)
	}
	go func() { f.ended <- f.Serve(ln) }()
	return ln.Addr()
}

func call(t *testing.T, addr net.Addr) *half {
	t.Helper()
	nc, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &half{t, nc, dialog(0x1fffff)}
}

// A stop waits for no session: each is left as it stands, whatever it is at, any number
// of times, and goes on in the next process.
func TestStopLeavesSessions(t *testing.T) {
	systemd := shelftest.New(t, 2048)
	t.Setenv("NOTIFY_SOCKET", systemd.Socket)
	f := newFilter(t, nil)
	addr := f.listen(t)
	var calls []*half
	for said := range len(dialog(0)) - 1 {
		h := call(t, addr)
		h.say(1 + said) // what is not accepted yet is no session
		calls = append(calls, h)
	}
	for range 3 {
		start := time.Now()
		f.stop(t)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the stop took %v", took)
		}
		f.Shelf.Close()
		f = newFilter(t, systemd.Files(t))
		f.Resume()
	}
	for i, h := range calls {
		h.say(len(h.steps))
		if p, err := receive(h.nc); err == nil {
			t.Errorf("session %d: %q after its end", i, p)
		}
	}
	f.stop(t)
	if judged, _ := f.told(); strings.Contains(strings.Join(judged, " "), "not whole") {
		t.Errorf("judged %q", judged)
	}
}

// slow is a judge that says no when it is told to speak, or when its time is over.
type slow struct{ asked, speak chan struct{} }

func (*slow) WantsBody(*rules.Mail) bool                                        { return true }
func (*slow) TurnsAway(*rules.Mail, time.Duration) (v rules.Verdict, away bool) { return v, false }

func (s *slow) Decide(ctx context.Context, _ *rules.Mail) rules.Verdict {
	s.asked <- struct{}{}
	v := rules.Verdict{Action: rules.Reject, Rule: "a.rule", Code: 550, Enhanced: "5.7.1", Text: "no [a.rule ID]", Judged: true}
	select {
	case <-s.speak:
	case <-ctx.Done():
		v.Code, v.Enhanced, v.Text = 451, "4.3.0", "out of time [a.rule ID]"
	}
	return v
}

// A message that is judged at the stop is answered. If that takes longer than the stop
// may, the next process judges it.
func TestStopWhileJudging(t *testing.T) {
	for _, patient := range []bool{true, false} {
		systemd := shelftest.New(t, 2048)
		t.Setenv("NOTIFY_SOCKET", systemd.Socket)
		judge := &slow{make(chan struct{}, 1), make(chan struct{})}
		f := newFilter(t, nil)
		f.Judge = func() milter.Judge { return judge }
		h := call(t, f.listen(t))
		h.say(7)
		if _, err := h.nc.Write([]byte(packet('E', ""))); err != nil {
			t.Fatal(err)
		}
		<-judge.asked
		limit := 20 * time.Second
		if !patient {
			limit = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		ended := make(chan error)
		go func() { ended <- f.Shutdown(ctx) }()
		if patient {
			judge.speak <- struct{}{}
			if got := h.answer(); !strings.HasPrefix(got, "y550") {
				t.Errorf("answered %q", got)
			}
		}
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		f = newFilter(t, systemd.Files(t))
		f.Judge = func() milter.Judge { return judge }
		f.Resume()
		if !patient {
			<-judge.asked
			judge.speak <- struct{}{}
			if got := h.answer(); !strings.HasPrefix(got, "y550") {
				t.Errorf("answered %q by the next process", got)
			}
		}
		h.steps = h.steps[1:]
		h.say(5) // the next message, up to its end
		select {
		case <-judge.asked:
			t.Error("judged before its end, or twice")
		default:
		}
		h.nc.Close()
		f.stop(t)
	}
}

// A message that is larger than a tape is waited for; then its session is left.
func TestStopWaitsForWhatIsNotKept(t *testing.T) {
	systemd := shelftest.New(t, 2048)
	t.Setenv("NOTIFY_SOCKET", systemd.Socket)
	f := newFilter(t, nil)
	h := call(t, f.listen(t))
	h.say(7)
	part := packet('B', strings.Repeat("x", 65535))
	for range 200 { // 12.5 MiB
		if _, err := h.nc.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	untilRead(h.nc)
	ended := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		ended <- f.Shutdown(ctx)
	}()
	select {
	case err := <-ended:
		t.Fatalf("Shutdown: %v, in the middle of a message", err)
	case <-time.After(100 * time.Millisecond):
	}
	h.say(1) // its end
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	f = newFilter(t, systemd.Files(t))
	f.Resume()
	h.say(len(h.steps))
	f.stop(t)
	if judged, kept := f.told(); strings.Join(judged, " ") != "tag reject" || len(kept) != 1 {
		t.Errorf("judged %q, resumed %v", judged, kept)
	}
}

// A connection that begins another SMTP session, as neither Postfix nor Sendmail does, is
// not kept from then on.
func TestAnotherSession(t *testing.T) {
	for _, again := range []string{
		packet('C', "host.example\x004\x10\x00192.0.2.8\x00"),
		packet('K', "") + packet('C', "host.example\x004\x10\x00192.0.2.8\x00"),
	} {
		systemd := shelftest.New(t, 2048)
		t.Setenv("NOTIFY_SOCKET", systemd.Socket)
		f := newFilter(t, nil)
		h := call(t, f.listen(t))
		h.say(2)
		h.steps = append([]step{{again, 0}}, h.steps...)
		h.say(5) // up to an answer
		killed := newFilter(t, systemd.Files(t))
		killed.Resume()
		if _, kept := killed.told(); len(kept) != 1 || kept[0] {
			t.Errorf("%q: resumed %v", again[4:5], kept)
		}
		h.say(len(h.steps))
		f.stop(t)
		if judged, _ := f.told(); strings.Join(judged, " ") != "accept tag reject" {
			t.Errorf("%q: judged %q", again[4:5], judged)
		}
	}
}
