package tests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-milter"
	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/message"
	adapter "o2n-milter/milter"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/tests/mta"
)

// inprocess is the filter itself in this process, with a clock of its own, and
// the MTA's side of the protocol.
type inprocess struct {
	now    atomic.Int64 // Unix nanoseconds
	store  *memory.Store
	addr   string
	log    bytes.Buffer
	blocks int

	w       *wire
	login   string
	arrived []mta.Delivered
	held    int
	queued  int // for queue ids
}

var _ driver = (*inprocess)(nil)

// epoch is the time at which every in-process case begins.
var epoch = time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)

func (d *inprocess) clock() time.Time { return time.Unix(0, d.now.Load()).UTC() }

// loadCase is the configuration of a case, by way of files in dir.
func loadCase(t testing.TB, dir, toml string) *config.Config {
	t.Helper()
	main, own := filepath.Join(dir, "o2n-milter.toml"), filepath.Join(dir, "conf.d", "case.toml")
	err := errors.Join(
		os.WriteFile(main, []byte(common(t)), 0o600),
		os.Mkdir(filepath.Dir(own), 0o700),
		os.WriteFile(own, []byte(caseTOML(toml)), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Load(main, true)
	if len(faults) > 0 {
		t.Fatalf("configuration: %v", faults)
	}
	return cfg
}

func newInprocess(t testing.TB, toml string) *inprocess {
	t.Helper()
	dir, err := os.MkdirTemp("", "o2n-case-") // short: socket paths end at 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &inprocess{store: memory.New(), addr: filepath.Join(dir, "milter.sock")}
	d.now.Store(epoch.UnixNano())
	cfg := loadCase(t, dir, toml)
	directory, err := accounts.Open(cfg.Accounts.File, cfg.Accounts.Read, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(directory.Close)
	engine := rules.New(cfg.Rules, directory, d.store, d.clock)
	log := slog.New(slog.NewTextHandler(&d.log, nil))
	srv := &adapter.Server{
		Judge:    func() adapter.Judge { return engine },
		Recorder: adapter.NewLog(log, prometheus.NewRegistry()),
		Log:      log,
	}
	ln, err := net.Listen("unix", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		if d.w != nil {
			d.w.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if t.Failed() { // after Serve is done: nothing writes any more
			t.Log(d.log.String())
		}
	})
	return d
}

// Client addresses as the filter is shown them.
const (
	customerIP = "203.0.113.9" // RFC 5737; a customer with a login
	remoteIP   = "198.51.100.7"
)

// Login begins a session; "none" stays on loopback, "remote" comes from elsewhere.
func (d *inprocess) Login(t testing.TB, login string) {
	t.Helper()
	client := map[string]string{"none": "127.0.0.1", "remote": remoteIP}[login]
	d.login = ""
	if client == "" {
		client, d.login = customerIP, login
	}
	d.connect(t, "client.example", client, 40001)
	d.Helo(t)
}

func (d *inprocess) connect(t testing.TB, name, client string, port uint16) {
	t.Helper()
	d.quit()
	d.w = dialWire(t, "unix", d.addr)
	d.w.connect(name, client, port)
}

// quit ends the session, if there is one.
func (d *inprocess) quit() {
	if d.w != nil {
		d.w.send('Q', nil)
		d.w.Close()
		d.w = nil
	}
}

// Helo is EHLO; within a message Postfix tells HELO first, then ABORT twice.
func (d *inprocess) Helo(t testing.TB) {
	t.Helper()
	d.w.macros('H')
	d.w.event('H', mta.CStrings("client.example"), milter.OptNoHelo, milter.OptNoHeloReply)
	d.w.send('A', nil)
	d.w.send('A', nil)
}

// Send gives one message in the current session, or as a local submission.
func (d *inprocess) Send(t testing.TB, m *Message) mta.Reply {
	t.Helper()
	if m.Local {
		return d.submit(t, m)
	}
	r := d.envelope(t, m, "<"+m.Sender+">")
	switch {
	case m.Abandon == "helo":
		d.Helo(t)
	case m.Abandon == "rset" || r.Code != 250:
		d.w.send('A', nil)
	default:
		r = d.content(t, m)
		d.w.send('A', nil) // Postfix: after every message
	}
	return r
}

// submit is pickup(8): a connection with port 0 for each message, addresses without <>.
func (d *inprocess) submit(t testing.TB, m *Message) mta.Reply {
	t.Helper()
	d.login = ""
	d.connect(t, "localhost", "127.0.0.1", 0)
	d.w.event('H', mta.CStrings("localhost"), milter.OptNoHelo, milter.OptNoHeloReply)
	if r := d.envelope(t, m, m.Sender); r.Code != 250 {
		t.Errorf("local submission refused before its end, which Postfix tries again for ever: %v", r)
		return r
	}
	return d.content(t, m)
}

// envelope is MAIL and every RCPT that the MTA lets through.
func (d *inprocess) envelope(t testing.TB, m *Message, sender string) mta.Reply {
	t.Helper()
	macros := []string{"{mail_addr}", m.Sender, "{mail_host}", "", "{mail_mailer}", "smtp"}
	if d.login != "" {
		macros = append(macros, "{auth_type}", "PLAIN", "{auth_authen}", d.login)
	}
	d.queued++
	d.w.macros('M', macros...)
	if r := d.w.event('M', mta.CStrings(sender), milter.OptNoMailFrom, milter.OptNoMailReply); r.Code != 250 {
		return r
	}
	for i, addr := range m.Accepted() {
		macros := []string{"{rcpt_addr}", strings.ToLower(addr), "{rcpt_host}", "", "{rcpt_mailer}", mailer(addr)}
		if i > 0 { // Postfix has a queue id from the second recipient on
			macros = append(macros, "i", d.queueID())
		}
		arg := "<" + addr + ">"
		if m.Local {
			arg = addr
		}
		d.w.macros('R', macros...)
		if r := d.w.event('R', mta.CStrings(arg), milter.OptNoRcptTo, milter.OptNoRcptReply); r.Code != 250 {
			return r
		}
	}
	return mta.Reply{Code: 250}
}

func mailer(addr string) string {
	if strings.HasSuffix(addr, "@"+mta.Host) {
		return "local"
	}
	return "smtp"
}

func (d *inprocess) queueID() string { return fmt.Sprintf("4T%05X", d.queued) }

// content is header and body, and the verdict.
func (d *inprocess) content(t testing.TB, m *Message) mta.Reply {
	t.Helper()
	raw, err := message.Split(bytes.NewReader(m.Text), int64(len(m.Text)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range raw.Fields {
		if isDropped(f.Name) {
			continue
		}
		d.w.macros('L', "i", d.queueID())
		d.w.event('L', mta.CStrings(f.Name, f.Value), milter.OptNoHeaders, milter.OptNoHeaderReply)
	}
	d.w.event('N', nil, milter.OptNoEOH, milter.OptNoEOHReply)
	for chunk := range slices.Chunk(raw.Body, milter.MaxBodyChunk) {
		d.w.event('B', chunk, milter.OptNoBody, milter.OptNoBodyReply)
	}
	d.w.macros('E', "i", d.queueID())
	d.w.send('E', nil)
	out := d.w.answer()
	d.deliver(m, raw, &out)
	if out.Quarantine != "" {
		return mta.Reply{Code: out.Reply.Code, Text: out.Quarantine}
	}
	return out.Reply
}

// isDropped: Postfix' message_drop_headers.
func isDropped(name string) bool {
	return slices.ContainsFunc([]string{"bcc", "content-length", "resent-bcc", "return-path"}, func(s string) bool { return strings.EqualFold(s, name) })
}

// deliver does what the MTA would do with the message now.
func (d *inprocess) deliver(m *Message, raw message.Raw, out *mta.Outcome) {
	switch {
	case out.Reply.Code != 250:
		return
	case out.Quarantine != "":
		d.held++
		return
	}
	var b bytes.Buffer
	for _, f := range raw.Fields {
		if !slices.ContainsFunc(out.Removed, func(n string) bool { return strings.EqualFold(n, f.Name) }) {
			fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	for _, f := range out.Fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(raw.Body)
	d.arrived = append(d.arrived, mta.Delivered{From: m.Sender, To: m.Accepted(), Data: b.Bytes()})
}

func (d *inprocess) Arrived(testing.TB) []mta.Delivered { return d.arrived }
func (d *inprocess) Held(testing.TB) int                { return d.held }
func (d *inprocess) Drain(testing.TB)                   {}

// Bounces: there is no MTA here that could report a refused local message.
func (d *inprocess) Bounces() bool { return false }

// Advance sets the clock forward.
func (d *inprocess) Advance(_ testing.TB, by time.Duration) { d.now.Add(int64(by)) }

// Kill cannot be had: the memory store would forget.
func (d *inprocess) Kill(t testing.TB) { t.Fatal("no daemon to kill") }

// Block adds a block as the operator would.
func (d *inprocess) Block(t testing.TB, subject string, length time.Duration) {
	t.Helper()
	d.blocks++
	b := state.Block{
		ID: fmt.Sprintf("BLOCK%03d", d.blocks), Subject: subject, Rule: "manual", Reason: "case", By: "operator",
		Since: d.clock(), Until: d.clock().Add(length),
	}
	if err := d.store.AddBlock(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// Lift ends every active block of the subject.
func (d *inprocess) Lift(t testing.TB, subject string) {
	t.Helper()
	blocks, err := d.store.ActiveBlocks(t.Context(), d.clock(), []string{subject})
	if err != nil || len(blocks) == 0 {
		t.Fatalf("lift %s: %d blocks, %v", subject, len(blocks), err)
	}
	for _, b := range blocks {
		if _, err := d.store.LiftBlock(t.Context(), b.ID, d.clock(), "operator", "case"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInprocess(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if c.Uses("kill") {
				t.Skip("needs a daemon that can be killed; runs behind the real servers")
			}
			runCase(t, c, newInprocess(t, strings.ReplaceAll(c.TOML, remotePlace, remoteIP)))
		})
	}
}
