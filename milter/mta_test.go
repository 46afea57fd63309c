package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/rules"
)

// What Postfix 3.7 and Sendmail 8.17 offer.
const (
	allActions  = 0x1ff
	allProtocol = 0x1fffff
)

// judgeFunc is a Judge.
type judgeFunc func(context.Context, *rules.Mail) rules.Verdict

func (f judgeFunc) Decide(ctx context.Context, m *rules.Mail) rules.Verdict { return f(ctx, m) }
func (f judgeFunc) WantsBody(*rules.Mail) bool                              { return true }
func (f judgeFunc) TurnsAway(*rules.Mail, time.Duration) (v rules.Verdict, away bool) {
	return v, false
}

func always(v rules.Verdict) judgeFunc {
	return func(context.Context, *rules.Mail) rules.Verdict { return v }
}

var (
	pass       = rules.Verdict{Action: rules.Accept, Rule: "none", ID: "ID", Code: 250, Judged: true}
	tag        = rules.Verdict{Action: rules.Tag, Rule: "a.rule", ID: "ID", Code: 250, Judged: true}
	quarantine = rules.Verdict{Action: rules.Quarantine, Rule: "a.rule", ID: "ID", Code: 250, Text: "held [a.rule ID]", Judged: true}
	tempfail   = rules.Verdict{Action: rules.Tempfail, Rule: "a.rule", ID: "ID", Code: 451, Enhanced: "4.7.1", Text: "later [a.rule ID]", Judged: true}
	reject     = rules.Verdict{Action: rules.Reject, Rule: "a.rule", ID: "ID", Code: 550, Enhanced: "5.7.1", Text: "100% no [a.rule ID]", Judged: true}
)

// notes is a Recorder that remembers.
type notes struct {
	mu       sync.Mutex
	mails    []string
	verdicts []rules.Verdict
	open     []int
	kept     []bool
}

func (n *notes) Record(m *rules.Mail, v rules.Verdict, _ time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mails = append(n.mails, summary(m))
	n.verdicts = append(n.verdicts, v)
}

func (n *notes) Sessions(open int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open = append(n.open, open)
}

func (n *notes) Kept(goesOn bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept = append(n.kept, goesOn)
}

func (n *notes) all() ([]string, []rules.Verdict) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.mails...), append([]rules.Verdict{}, n.verdicts...)
}

// rules gives the rule of each verdict so far.
func (n *notes) rules() []string {
	_, verdicts := n.all()
	ids := []string{}
	for _, v := range verdicts {
		ids = append(ids, v.Action.String()+" "+v.Rule)
	}
	return ids
}

// summary shows the facts of a message on one line: "login sender > recipients |
// Name: value | faults".
func summary(m *rules.Mail) string {
	var rcpts []string
	for _, r := range m.Recipients {
		if r.Local {
			r.Address += "(local)"
		}
		rcpts = append(rcpts, r.Address)
	}
	s := fmt.Sprintf("%s <%s> > %s", m.Login, m.Sender, strings.Join(rcpts, " "))
	for _, f := range m.Header {
		s += " | " + f.Name + ": " + f.Value
	}
	if len(m.Faults) > 0 {
		s += " | faults: " + strings.Join(m.Faults, ", ")
	}
	return s
}

// pipes is a listener whose connections are made by hand. Accept gives whatever
// was put in: connections and errors.
type pipes struct {
	in     chan any
	once   sync.Once
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{in: make(chan any, 100), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case <-p.closed:
		return nil, net.ErrClosed
	case v := <-p.in:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return v.(net.Conn), nil
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// fixture is a running server and what it noted and logged.
type fixture struct {
	*Server
	t     *testing.T
	ln    *pipes
	notes *notes
	logs  *buffer
	ended chan error
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve starts a server in a synctest bubble. The library's global log must stay
// empty in every test.
func serve(t *testing.T, judge Judge, set ...func(*Server)) *fixture {
	t.Helper()
	f := &fixture{t: t, ln: newPipes(), notes: &notes{}, logs: &buffer{}, ended: make(chan error, 1)}
	f.Server = &Server{
		Judge:    func() Judge { return judge },
		Recorder: f.notes,
		Log:      slog.New(slog.NewTextHandler(f.logs, nil)),
	}
	for _, s := range set {
		s(f.Server)
	}
	global := &buffer{}
	log.SetOutput(global)
	go func() { f.ended <- f.Serve(f.ln) }()
	t.Cleanup(func() {
		if s := global.String(); s != "" {
			t.Errorf("the library wrote to the global log: %s", s)
		}
	})
	return f
}

// stop shuts the server down; no message may be under way.
func (f *fixture) stop() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil {
		f.t.Errorf("Shutdown: %v", err)
	}
	if err := <-f.ended; err != nil {
		f.t.Errorf("Serve: %v", err)
	}
}

// mta is an MTA that may do anything wrong.
type mta struct {
	t       *testing.T
	nc      net.Conn
	packets chan string // code and data of what came back; closed at the end
}

// from is a connection whose peer has a TCP address of its own.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// dial connects without a word; client is a TCP address or "".
func (f *fixture) dial(client string) *mta {
	near, far := net.Pipe()
	if client != "" {
		f.ln.in <- from{far, &net.TCPAddr{IP: net.ParseIP(client), Port: 4000}}
	} else {
		f.ln.in <- far
	}
	m := &mta{t: f.t, nc: near, packets: make(chan string, 10_000)}
	go m.read()
	return m
}

func (m *mta) read() {
	defer close(m.packets)
	for {
		var head [4]byte
		if _, err := io.ReadFull(m.nc, head[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(m.nc, packet); err != nil {
			return
		}
		m.packets <- string(packet)
	}
}

// session connects and negotiates everything.
func (f *fixture) session() *mta {
	m := f.dial("")
	m.negotiate(6, allActions, allProtocol)
	return m
}

func (m *mta) negotiate(version, actions, protocol uint32) string {
	m.t.Helper()
	m.send('O', offer(version, actions, protocol))
	return m.reply()
}

func offer(version, actions, protocol uint32) string {
	var b []byte
	for _, n := range []uint32{version, actions, protocol} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return string(b)
}

func packet(code byte, data string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))) + string(code) + data
}

func (m *mta) send(code byte, data string) { m.write(packet(code, data)) }

// write does not mind a peer that has gone: the tests look at what came back.
func (m *mta) write(s string) { m.nc.Write([]byte(s)) }

// hungUp is no packet: its first character is no answer's.
const hungUp = "-closed-"

// reply waits for the next packet; hungUp when there will be none.
func (m *mta) reply() string {
	p, ok := <-m.packets
	if !ok {
		return hungUp
	}
	return strings.TrimRight(p, "\x00")
}

// step sends one line of a script: a command letter, its argument, and behind
// blanks the macros that go before it, as name=value.
//
//	C 192.0.2.7 j=mx.example     CONNECT; "C local" is Postfix' non_smtpd
//	M <a@client-a.example> auth_authen=alice i=Q1
//	L Subject: one two           header (takes no macros)
//	D M auth_authen=alice        macros whose command does not come
func (m *mta) step(line string) string {
	code, rest, _ := strings.Cut(line, " ")
	arg, macros, _ := strings.Cut(rest, " ")
	if code == "L" {
		name, value, _ := strings.Cut(rest, ": ")
		return packet('L', name+"\x00"+value+"\x00")
	}
	before := ""
	if macros != "" {
		for _, kv := range strings.Fields(macros) {
			name, value, _ := strings.Cut(kv, "=")
			if len(name) > 1 {
				name = "{" + name + "}"
			}
			before += name + "\x00" + value + "\x00"
		}
		before = packet('D', code+before)
	}
	if code == "D" {
		return strings.Replace(before, "DD", "D"+arg, 1)
	}
	switch code {
	case "C":
		arg = connectData(arg)
	case "M", "R", "H":
		arg += "\x00"
	}
	return before + packet(code[0], arg)
}

func connectData(client string) string {
	switch {
	case client == "local":
		return "localhost\x004\x00\x00127.0.0.1\x00"
	case strings.Contains(client, ":"):
		return "host.example\x006\x10\x00" + client + "\x00"
	}
	return "host.example\x004\x10\x00" + client + "\x00"
}

// run sends the lines, each in a write of its own, and gathers the answers that
// the MTA waits for: at RCPT and at end of message.
func (m *mta) run(lines ...string) []string {
	var answers []string
	for _, line := range lines {
		m.write(m.step(line))
		switch line[0] {
		case 'R', 'E', 'U':
			answers = append(answers, m.untilFinal())
		}
	}
	return answers
}

// untilFinal joins modifications and the answer they precede: "h... c".
func (m *mta) untilFinal() string {
	var all []string
	for {
		r := m.reply()
		all = append(all, strings.ReplaceAll(r, "\x00", "|"))
		if r == hungUp {
			return hungUp
		}
		switch gomilter.ActionCode(r[0]) {
		case gomilter.ActContinue, gomilter.ActAccept, gomilter.ActDiscard, gomilter.ActReject,
			gomilter.ActTempFail, gomilter.ActReplyCode:
			return strings.Join(all, " ")
		}
	}
}

// mute is a connection that nobody reads from.
func (f *fixture) mute() net.Conn {
	near, far := net.Pipe()
	f.ln.in <- far
	return near
}
