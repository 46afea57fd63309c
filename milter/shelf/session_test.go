package shelf_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o2n-milter/milter"
	"o2n-milter/milter/shelf"
	"o2n-milter/milter/shelf/shelftest"
	"o2n-milter/rules"
)

// filter is a server, its judge and its recorder.
type filter struct {
	*milter.Server
	ended chan error

	mu     sync.Mutex
	judged []string // Subject of each message
	kept   []bool
}

func (*filter) WantsBody(*rules.Mail) bool                                        { return true }
func (*filter) TurnsAway(*rules.Mail, time.Duration) (v rules.Verdict, away bool) { return v, false }

func (f *filter) Decide(_ context.Context, m *rules.Mail) rules.Verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := rules.Verdict{Action: rules.Accept, Rule: "none", ID: "ID", Code: 250, Judged: true}
	if len(m.Header) != 2 || m.Login != "alice" || len(m.Recipients) != 2 || string(m.Body) != "text" {
		f.judged = append(f.judged, "not whole")
		return v
	}
	subject := m.Header[0].Value
	f.judged = append(f.judged, subject)
	switch subject {
	case "tag":
		v.Action, v.Rule = rules.Tag, "a.rule"
	case "reject":
		v.Action, v.Rule, v.Code, v.Enhanced, v.Text = rules.Reject, "a.rule", 550, "5.7.1", "no [a.rule ID]"
	}
	return v
}

func (f *filter) Record(*rules.Mail, rules.Verdict, time.Duration) {}
func (f *filter) Sessions(int)                                     {}

func (f *filter) Kept(goesOn bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, goesOn)
}

func (f *filter) told() ([]string, []bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.judged), slices.Clone(f.kept)
}

func newFilter(t *testing.T, files []*os.File) *filter {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	f := &filter{ended: make(chan error, 1)}
	f.Server = &milter.Server{
		Judge: func() milter.Judge { return f }, Recorder: f, Log: log,
		Shelf: shelf.Open(files, milter.TapeFormat, log),
	}
	if f.Shelf == nil {
		t.Fatal("no shelf")
	}
	return f
}

func (f *filter) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func packet(code byte, data string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))) + string(code) + data
}

// step is a write of an MTA, and how many answers it waits for then.
type step struct {
	write   string
	answers int
}

// dialog is a session of three messages as Postfix sends it, or with all the answers
// that an MTA wants to which nothing may be left out.
func dialog(protocol uint32) []step {
	talkative := 0
	if protocol == 0 {
		talkative = 1
	}
	offer := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 6), 0x1ff), protocol)
	steps := []step{
		{packet('O', string(offer)), 1},
		{packet('D', "Cj\x00mx.example\x00{client_addr}\x00192.0.2.7\x00") + packet('C', "host.example\x004\x10\x00192.0.2.7\x00"), talkative},
		{packet('H', "host.example\x00"), talkative},
	}
	for _, subject := range []string{"accept", "tag", "reject"} {
		steps = append(steps,
			step{packet('D', "M{auth_authen}\x00alice\x00") + packet('M', "<a@client-a.example>\x00"), talkative},
			step{packet('R', "<r1@r.example>\x00"), 1},
			step{packet('D', "Ri\x00Q1\x00") + packet('R', "<r2@r.example>\x00"), 1},
			step{packet('L', "Subject\x00"+subject+"\x00") + packet('L', "X-O2N-Milter\x00forged\x00") + packet('N', "") + packet('B', "text"), 4 * talkative},
			step{packet('E', ""), 1},
			step{packet('A', "") + packet('A', ""), 0})
	}
	return append(steps, step{packet('Q', ""), 0})
}

// final says whether a packet is an answer, and not a change that goes with one.
func final(p string) bool { return !strings.Contains("hmq", p[:1]) }

func receive(r io.Reader) (string, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return "", err
	}
	p := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, p)
	return string(p), err
}

// talk plays the MTA: it sends what is left of a dialog in writes of at most width bytes
// and gives what came, answer by answer. What was sent and what came before counts.
func talk(nc net.Conn, steps []step, width, sent, answers int) (all []string, err error) {
	for _, s := range steps {
		nc.SetDeadline(time.Now().Add(20 * time.Second)) // byte by byte a dialog takes long where others work too
		due := s.write[min(sent, len(s.write)):]
		sent -= len(s.write) - len(due)
		for part := range slices.Chunk([]byte(due), width) {
			if _, err := nc.Write(part); err != nil {
				return all, err
			}
			if len(part) == width {
				untilRead(nc)
			}
		}
		known := min(answers, s.answers)
		answers -= known
		for n := known; n < s.answers; {
			p, err := receive(nc)
			if err != nil {
				return all, err
			}
			all = append(all, p)
			if final(p) {
				n++
			}
		}
	}
	if p, err := receive(nc); err != io.EOF {
		return all, errors.Join(errors.New("one answer too many: "+p), err)
	}
	return all, nil
}

// untilRead waits until the peer has read what was written.
func untilRead(nc net.Conn) {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		panic(err)
	}
	for unread, deadline := 1, time.Now().Add(10*time.Second); unread > 0 && time.Now().Before(deadline); runtime.Gosched() {
		raw.Control(func(fd uintptr) { unread, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if err != nil {
			panic(err)
		}
	}
}

// same makes what negotiation answers comparable: the library asks for macros in any
// order.
func same(answers []string) string {
	list := slices.Clone(answers)
	for i, p := range list {
		if p[0] == 'O' {
			b := []byte(p)
			slices.Sort(b)
			list[i] = string(b)
		}
	}
	return strings.Join(list, "\n")
}

// moment is where a session stands when the process is killed.
type moment struct {
	memory     []byte
	came, sent int // bytes of the questions that were read, and of the answers that went out
}

func TestKilledAtEveryMoment(t *testing.T) {
	for _, tt := range []struct {
		name     string
		protocol uint32
		width    int
	}{{"Postfix", 0x1fffff, 1 << 20}, {"byte by byte", 0x1fffff, 1}, {"all answers", 0, 1 << 20}} {
		t.Run(tt.name, func(t *testing.T) { killedAtEveryMoment(t, dialog(tt.protocol), tt.width) })
	}
}

func killedAtEveryMoment(t *testing.T, steps []step, width int) {
	systemd := shelftest.New(t, 3)
	t.Setenv("NOTIFY_SOCKET", systemd.Socket)
	t.Setenv("FDSTORE", "3") // one slot
	f := newFilter(t, nil)
	defer f.Shelf.Close()
	var moments []moment
	came, sent := 0, 0
	f.Shelf.Watch(func(memory []byte, read, written int) {
		came, sent = came+read, sent+written
		moments = append(moments, moment{memory, came, sent})
	})
	ln, err := net.Listen("unix", t.TempDir()+"/sock")
	if err != nil {
		t.Fatal(err)
	}
	go func() { f.ended <- f.Serve(ln) }()
	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	want, err := talk(nc, steps, width, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.stop(t)
	if err := <-f.ended; err != nil {
		t.Error(err)
	}
	if judged, _ := f.told(); strings.Join(judged, " ") != "accept tag reject" {
		t.Fatalf("judged %q", judged)
	}
	if len(moments) < 30 {
		t.Fatalf("only %d moments", len(moments))
	}
	subjects := []string{"accept", "tag", "reject"}
	for i, m := range moments {
		got, judged := goOn(t, m, steps, want)
		if same(got) != same(want) {
			t.Fatalf("killed at moment %d (%d bytes read, %d sent): answers\n%q\nwant\n%q", i, m.came, m.sent, got, want)
		}
		// A message whose verdict is out is not judged again, and none is left out.
		if out := verdictsIn(steps, finalsIn(want, m.sent)); !slices.Equal(judged, subjects[out:]) {
			t.Errorf("killed at moment %d, %d verdicts out: judged %q", i, out, judged)
		}
	}
}

// verdictsIn is how many messages are over after so many answers.
func verdictsIn(steps []step, answers int) (n int) {
	for _, s := range steps {
		if answers -= s.answers; answers >= 0 && s.write == packet('E', "") {
			n++
		}
	}
	return n
}

func finalsIn(all []string, bytes int) (n int) {
	for _, p := range all[:answersIn(all, bytes)] {
		if final(p) {
			n++
		}
	}
	return n
}

// answersIn is how many packets are in so many bytes that went out.
func answersIn(all []string, bytes int) int {
	for i, p := range all {
		if bytes -= 4 + len(p); bytes < 0 {
			return i
		}
	}
	return len(all)
}

// goOn lets the next process go on from a moment, and gives all answers that the MTA has
// in the end.
func goOn(t *testing.T, m moment, steps []step, before []string) (all, judged []string) {
	t.Helper()
	conn, peer := shelftest.Pair(t)
	defer peer.Close() // there are thousands
	files, err := shelf.Kept(m.memory, conn)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	f := newFilter(t, files)
	f.Resume()
	rest, err := talk(peer, steps, 1<<20, m.came, finalsIn(before, m.sent))
	if err != nil {
		t.Fatalf("%d bytes read, %d sent: %v", m.came, m.sent, err)
	}
	f.stop(t)
	f.Shelf.Close()
	judged, kept := f.told()
	if len(kept) != 1 || !kept[0] {
		t.Errorf("resumed: %v", kept)
	}
	return append(slices.Clone(before[:answersIn(before, m.sent)]), rest...), judged
}
