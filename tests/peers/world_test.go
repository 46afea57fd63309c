package peers

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	program "o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) {
	var files unix.Rlimit // both ends of each connection are ours or the daemon's
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		files.Cur = files.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files) // how many there are is looked at where they are wanted
	}
	program.Main(m)
}

const (
	login    = "bob@client-b.example"   // of the honest MTA's mail
	attacker = "alice@client-a.example" // of the bombs
	// liveness is what an honest session may take on whatever machine; on a free one it
	// is some milliseconds, and the tests print what it was.
	liveness = 10 * time.Second
)

const settings = `
[account."alice@client-a.example"]
customer = "C-1001"
domains = ["client-a.example"]
[account."bob@client-b.example"]
customer = "C-1002"
domains = ["client-b.example"]
[block]
automatic = "off"
[recipients]
max_envelope = 20000
[limit.minute]
subject = "account"
max = 1000000
window = "1m"
[limit.hour]
subject = "account"
max = 1000000
window = "1h"
`

// world is a daemon that is attacked.
type world struct {
	*program.Daemon
	t    testing.TB
	addr string // of its milter port

	before vitals
	mu     sync.Mutex
	took   []time.Duration // of honest sessions
	failed int
}

// newWorld starts a daemon with so many descriptors; 0: as many as the test.
func newWorld(t testing.TB, files int, more ...string) *world {
	t.Helper()
	w := &world{t: t, addr: fmt.Sprintf("127.0.0.1:%d", mta.FreePort(t))}
	w.Daemon = program.New(t, []string{"tcp:" + w.addr}, append([]string{settings}, more...)...)
	if files > 0 {
		w.Under = []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, files), "sh"}
	}
	w.Start(t)
	mta.Poll(t, "o2n-milter is ready", func() bool { return w.Get("/readyz") == http.StatusOK })
	for range 20 { // what is made once is there
		if err := w.honest(); err != nil {
			t.Fatal(err)
		}
	}
	w.took = nil
	w.before = w.vitals()
	return w
}

// dial connects from one of the loopback addresses; 0 is the honest MTA's, 127.0.0.2.
func (w *world) dial(from int) (net.Conn, error) {
	d := net.Dialer{Timeout: liveness, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(from>>16), byte(from>>8), byte(from))}}
	if from == 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	return d.Dial("tcp", w.addr)
}

// honest sends a letter from an address of its own and notes how long that took.
func (w *world) honest() error {
	begin := time.Now()
	out, err := w.send(0, plainLetter())
	if err == nil && out.Reply.Code != 250 {
		err = fmt.Errorf("answered %v", out.Reply)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed++
		return err
	}
	w.took = append(w.took, time.Since(begin))
	return nil
}

// plainLetter is an honest one.
func plainLetter() mta.Letter {
	return mta.Letter{
		Login: login, Sender: login, Recipients: []string{"friend@remote.example"},
		Header: []string{"From: " + login, "To: friend@remote.example", "Subject: hello"}, Body: "Hello.\r\n",
	}
}

// session is an honest one that has said who its client is.
func (w *world) session(t *testing.T) *mta.Filter {
	t.Helper()
	conn, err := w.dial(0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := mta.NewFilter(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Connect("home.example", "203.0.113.8", 4711); err != nil {
		t.Fatal(err)
	}
	return f
}

// send sends a letter in a session of its own.
func (w *world) send(from int, l mta.Letter) (out mta.Outcome, err error) {
	conn, err := w.dial(from)
	if err != nil {
		return out, err
	}
	f, err := mta.NewFilter(conn)
	if err != nil {
		return out, err
	}
	defer f.Quit()
	if err := f.Connect("home.example", "203.0.113.8", 4711); err != nil {
		return out, err
	}
	return f.Deliver(l)
}

// meanwhile has honest sessions one after the other until the attack is over. Each has to
// be served.
func (w *world) meanwhile(what string, attack func()) {
	w.t.Helper()
	var over atomic.Bool
	done := make(chan error, 1)
	go func() {
		var failed error
		for n := 0; !over.Load() || n < 3; n++ {
			if err := w.honest(); err != nil && failed == nil {
				failed = fmt.Errorf("honest session %d: %w", n, err)
			}
			time.Sleep(5 * time.Millisecond) // the processors are for the attackers too
		}
		done <- failed
	}()
	attack()
	over.Store(true)
	if err := <-done; err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
	w.served(what)
}

// served says how long the honest sessions took since it was asked last.
func (w *world) served(what string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.took)
	if n := len(w.took); n > 0 {
		w.t.Logf("%s: %d honest sessions, median %v, longest %v; %v", what, n, w.took[n/2].Round(time.Millisecond), w.took[n-1].Round(time.Millisecond), w.vitals())
		if w.took[n-1] > liveness {
			w.t.Errorf("%s: an honest session took %v", what, w.took[n-1])
		}
	}
	w.took = nil
}

// vitals are what the daemon is made of.
type vitals struct{ goroutines, files, mib int }

func (v vitals) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB", v.goroutines, v.files, v.mib)
}

// vitals asks the kernel, and /metrics for goroutines; 0 where it does not answer.
func (w *world) vitals() (v vitals) {
	if list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.Proc.Cmd.Process.Pid)); err == nil {
		v.files = len(list)
	}
	v.mib, _ = w.Memory()
	if n, err := w.Sample("go_goroutines"); err == nil {
		v.goroutines = int(n)
	}
	return v
}

// recovered wants the daemon as it was before, but for memory that Go gives back slowly.
func (w *world) recovered(most int) {
	w.t.Helper()
	var now vitals
	end := time.Now().Add(liveness)
	for {
		now = w.vitals()
		// Keep-alive of /metrics, a flush of the store.
		small := now.goroutines > 0 && now.goroutines <= w.before.goroutines+5 && now.files <= w.before.files+3
		if small || !w.Proc.Running() || time.Now().After(end) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Logf("before %v, after %v", w.before, now)
	switch {
	case !w.Proc.Running():
		w.t.Errorf("the daemon has ended: %v", w.Proc.Err())
	case now.goroutines > w.before.goroutines+5 || now.files > w.before.files+3:
		w.t.Errorf("the daemon has not recovered: before %v, after %v", w.before, now)
	case now.mib > most:
		w.t.Errorf("the daemon has %d MiB; want %d at most", now.mib, most)
	}
	if err := w.honest(); err != nil {
		w.t.Errorf("afterwards: %v", err)
	}
	if n := strings.Count(w.Log(), "milter: panic") + strings.Count(w.Log(), "goroutine "); n > 0 {
		w.t.Errorf("%d lines of the log speak of a panic", n)
	}
}

// shrinks wants the memory back, but for so many MiB: Go collects garbage every two minutes
// at least, and then returns the pages little by little.
func (w *world) shrinks(within time.Duration, most int) {
	w.t.Helper()
	begun := time.Now()
	for now := w.vitals(); now.mib > w.before.mib+most; now = w.vitals() {
		if time.Since(begun) > within {
			w.t.Errorf("after %v the daemon has %d MiB, before it had %d", within, now.mib, w.before.mib)
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Logf("%d MiB after %v; before it had %d", w.vitals().mib, time.Since(begun).Round(time.Second), w.before.mib)
}

// packet is one of the protocol.
func packet(code byte, data string) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1)), code), data...)
}

var negotiation = packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")

// dialog is a message of a session, packet by packet.
func dialog() [][]byte {
	return [][]byte{
		negotiation, packet('D', "Cj\x00mx.example\x00"), packet('C', "home.example\x004\x12\x67203.0.113.8\x00"), packet('H', "home\x00"),
		packet('D', "M{auth_authen}\x00"+login+"\x00"), packet('M', "<"+login+">\x00"), packet('R', "<friend@remote.example>\x00"), packet('T', ""),
		packet('L', "From\x00"+login+"\x00"), packet('L', "To\x00friend@remote.example\x00"), packet('N', ""), packet('B', "Hello.\r\n"), packet('E', ""), packet('Q', ""),
	}
}

// each runs n attackers at once, as many at a time as there is room for, and waits.
func each(n int, attack func(i int)) {
	var wg sync.WaitGroup
	room := make(chan struct{}, 64*runtime.GOMAXPROCS(0))
	for i := range n {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			attack(i)
		})
	}
	wg.Wait()
}
