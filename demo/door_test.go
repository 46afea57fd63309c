package demo

import (
	"errors"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"o2n-milter/hold/wire"
)

// world is a door before a fake filter.
type world struct {
	t     *testing.T
	fake  *fake
	queue *Queue
	addr  string
	pipes *pipes

	mu    sync.Mutex
	mails []Mail
	left  []string
}

// newWorld serves; prepare changes the door before.
func newWorld(t *testing.T, prepare ...func(*Door)) *world {
	w := &world{t: t, fake: newFake(t), pipes: newPipes()}
	w.queue = newQueue(mtaName, func(m wire.Queued, released bool) {
		word := "deleted "
		if released {
			word = "released "
		}
		w.left = append(w.left, word+m.ID)
	})
	door := newDoor(w.fake.addr, w.queue, testLog{t}, func(m Mail) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mails = append(w.mails, m)
	})
	for _, change := range prepare {
		change(door)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	var serving sync.WaitGroup
	for _, ln := range []net.Listener{ln, w.pipes} {
		serving.Go(func() {
			if err := door.Serve(ln); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		door.Close()
		serving.Wait()
	})
	return w
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (w *world) client() *smtp.Client {
	w.t.Helper()
	c, err := smtp.Dial(w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

const someMail = "From: alice@client-a.example\r\nTo: bob@remote.example\r\n\r\nhello\r\n"

// code is what a message got: its code and text.
func code(err error) (int, string) {
	reply := (*smtp.SMTPError)(nil)
	if errors.As(err, &reply) {
		return reply.Code, reply.Message
	}
	if err != nil {
		return 0, err.Error()
	}
	return 250, ""
}

func send(c *smtp.Client) (int, string) {
	return code(c.SendMail("alice@client-a.example", []string{"bob@remote.example"}, strings.NewReader(someMail)))
}

func TestDoorAsksTheFilter(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	if err := c.Auth(sasl.NewPlainClient("", "alice@client-a.example", "whatever")); err != nil {
		t.Fatal(err)
	}
	if got, text := send(c); got != 250 {
		t.Errorf("got %d %s", got, text)
	}
	frames := w.fake.told()
	if got := macrosOf(t, frames, 'M')["{auth_authen}"]; got != "alice@client-a.example" {
		t.Errorf("login told: %q", got)
	}
	if got := macrosOf(t, frames, 'C')["{daemon_addr}"]; got != "127.0.0.1" {
		t.Errorf("own address told: %q", got)
	}
	if len(w.mails) != 1 || w.mails[0].Login != "alice@client-a.example" || w.mails[0].Recipients != 1 || w.mails[0].Answer.Code != 250 {
		t.Errorf("told of %+v", w.mails)
	}
	// Another message of the same session is one of the same session of the filter.
	w.fake.set(func() { w.fake.answers['E'] = []frame{{'y', "550 5.7.1 no\x00"}} })
	if got, text := send(c); got != 550 || text != "no" {
		t.Errorf("second message: %d %q", got, text)
	}
	connects := 0
	for _, f := range w.fake.told() {
		if f.code == 'C' {
			connects++
		}
	}
	if connects != 1 {
		t.Errorf("%d sessions with the filter, want 1", connects)
	}
}

func TestLogins(t *testing.T) {
	for _, tt := range []struct {
		identity, login string
		want            int
	}{
		{"", "alice@client-a.example", 250},
		{"alice@client-a.example", "alice@client-a.example", 250},
		{"bob@client-b.example", "alice@client-a.example", 535},
		{"", "", 535},
	} {
		w := newWorld(t)
		got, text := code(w.client().Auth(sasl.NewPlainClient(tt.identity, tt.login, "x")))
		if got != tt.want {
			t.Errorf("%q as %q: %d %s, want %d", tt.login, tt.identity, got, text, tt.want)
		}
	}
}

// TestReplyOfSeveralLines looks at the wire: each line has its code and its enhanced
// code, and nothing is told twice.
func TestReplyOfSeveralLines(t *testing.T) {
	w := newWorld(t)
	w.fake.set(func() {
		w.fake.answers['E'] = []frame{{'y', "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 100%% three\x00"}}
	})
	conn, err := textproto.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var last []string
	for _, line := range []string{"", "HELO laptop", "MAIL FROM:<alice@client-a.example>", "RCPT TO:<bob@remote.example>", "DATA", someMail + "."} {
		if line != "" {
			if err := conn.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		last = readReply(t, conn)
	}
	if diff := cmp.Diff([]string{"550-5.7.1 one", "550-5.7.1 two", "550 5.7.1 100% three"}, last); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}
}

func readReply(t *testing.T, conn *textproto.Conn) (lines []string) {
	t.Helper()
	for {
		line, err := conn.ReadLine()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
		if len(line) < 4 || line[3] == ' ' {
			return lines
		}
	}
}

// TestFilterGone: wherever the filter goes away, the client is told to come again,
// and is served when it is back.
func TestFilterGone(t *testing.T) {
	for _, command := range "OCHMRLNBE" {
		w := newWorld(t)
		w.fake.set(func() { w.fake.hangUp = byte(command) })
		c := w.client()
		if got, text := send(c); got != 451 || text != "Service unavailable - try again later" {
			t.Errorf("gone at %c: %d %q", command, got, text)
		}
		w.fake.set(func() { w.fake.hangUp = 0 })
		if err := c.Reset(); err != nil {
			t.Fatal(err)
		}
		if got, text := send(c); got != 250 {
			t.Errorf("back after %c: %d %q", command, got, text)
		}
	}
}

// TestFilterGoneBetween: it goes away after RCPT, and the client goes on.
func TestFilterGoneBetween(t *testing.T) {
	w := newWorld(t)
	w.fake.set(func() { w.fake.hangUp = 'R' })
	c := w.client()
	if err := c.Mail("alice@client-a.example", nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, _ := code(c.Rcpt("bob@remote.example", nil)); got != 451 {
			t.Errorf("RCPT: %d, want 451", got)
		}
	}
	w.fake.set(func() { w.fake.hangUp = 0 })
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	if got, text := send(c); got != 250 {
		t.Errorf("after RSET: %d %s", got, text)
	}
}

func TestHeldMailIsQueued(t *testing.T) {
	w := newWorld(t)
	w.fake.set(func() { w.fake.answers['E'] = []frame{{'q', "wait [limit.minute 7K3QF2M9]\x00"}, {'c', ""}} })
	c := w.client()
	for range 3 {
		if got, text := send(c); got != 250 {
			t.Fatalf("got %d %s", got, text)
		}
	}
	first, second := w.mails[0].QueueID, w.mails[1].QueueID
	var listed []string
	all := func(q wire.Queue) bool { return q == wire.QueueHold }
	err := w.queue.List(t.Context(), all, func(m wire.Queued) error {
		if m.From != "alice@client-a.example" || m.Count != 1 || m.Size != int64(len(someMail)) || !w.queue.ValidID(m.ID) {
			t.Errorf("listed %+v", m)
		}
		listed = append(listed, m.ID)
		return nil
	})
	if err != nil || len(listed) != 3 {
		t.Fatalf("listed %v, %v", listed, err)
	}
	if err := errors.Join(w.queue.Release(t.Context(), []string{first, "D0FFFFFFFF"}), w.queue.Delete(t.Context(), []string{second})); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"released " + first, "deleted " + second}, w.left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for i, want := range []wire.Queue{wire.QueueNone, wire.QueueNone, wire.QueueHold} {
		if got, err := w.queue.Find(w.mails[i].QueueID); got != want || err != nil {
			t.Errorf("message %d is in %q, %v; want %q", i, got, err, want)
		}
	}
}

// TestMadeUpClient: the filter hears of the made-up address, not of a pipe.
func TestMadeUpClient(t *testing.T) {
	w := newWorld(t)
	conn, err := w.pipes.dial(customer(16))
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClient(conn)
	if got, text := send(c); got != 250 {
		t.Errorf("got %d %s", got, text)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	if got := macrosOf(t, w.fake.told(), 'C')["{client_addr}"]; got != "192.0.2.17" {
		t.Errorf("client told: %q", got)
	}
}

// TestTooLargeMail: what has the very size that is announced the library refuses too.
func TestTooLargeMail(t *testing.T) {
	w := newWorld(t, func(d *Door) { d.server.MaxMessageBytes = 5000 })
	for size, want := range map[int]int{4999: 250, 5001: 552} {
		body := someMail + strings.Repeat("x", size-len(someMail)-2) + "\r\n"
		got, text := code(w.client().SendMail("alice@client-a.example", []string{"bob@remote.example"}, strings.NewReader(body)))
		if got != want {
			t.Errorf("%d bytes: %d %s, want %d", size, got, text, want)
		}
	}
}
