package mta

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	//go:embed files/main.cf
	mainCF string
	//go:embed files/master.cf
	masterCF string
	//go:embed files/services.cf
	servicesCF string // what stands in master.cf beside the SMTP servers
)

const postfixMaster = "/usr/lib/postfix/sbin/master"

// Postfix is a running instance from a scratch folder.
type Postfix struct {
	Dir string
	// Milter is the unix socket path, MilterTCP the address, at which it looks for the filter.
	Milter, MilterTCP string

	submit, submitTCP, inbound int
	ports                      []int // all on which it listens
	proc                       *Proc
}

var _ Server = (*Postfix)(nil)

// NewPostfix starts Postfix, relaying everything to the sink, with these lines of main.cf
// more. It ends with the test.
func NewPostfix(t testing.TB, sink *Sink, settings ...string) *Postfix {
	t.Helper()
	for _, f := range []string{"/usr/sbin/saslpasswd2", "/usr/lib/x86_64-linux-gnu/sasl2/libsasldb.so"} {
		need(t, f)
	}
	dir := postfixFolder(t)
	tcp := FreePort(t)
	p := &Postfix{
		Dir: dir, Milter: filepath.Join(dir, "run", "milter.sock"), MilterTCP: loopback(tcp),
		submit: FreePort(t), submitTCP: FreePort(t), inbound: FreePort(t),
	}
	p.ports = []int{p.submit, p.submitTCP, p.inbound}
	fill := strings.NewReplacer("DIR", dir, "HOST", Host, "SINK", strconv.Itoa(sink.Port), "TCPMILTER", strconv.Itoa(tcp),
		"MILTER", p.Milter, "SUBMIT", strconv.Itoa(p.submit), "SUBTCP", strconv.Itoa(p.submitTCP), "INBOUND", strconv.Itoa(p.inbound))
	write(t, filepath.Join(dir, "etc/main.cf"), fill.Replace(mainCF)+strings.Join(settings, "\n")+"\n")
	write(t, filepath.Join(dir, "etc/master.cf"), fill.Replace(masterCF)+servicesCF)
	writeIdentity(t, filepath.Join(dir, "etc/tls.pem"))
	write(t, filepath.Join(dir, "etc/refused"), "/^"+Refused+"@/ 550 5.1.1 no such user\n")
	// Debian's Postfix reads $config_directory/sasl, whatever cyrus_sasl_config_path says.
	db := filepath.Join(dir, "etc/sasl/sasldb2")
	write(t, filepath.Join(dir, "etc/sasl/smtpd.conf"), saslConf(db))
	makeLogins(t, db)
	chown(t, db, "postfix", "")
	p.start(t)
	return p
}

// postfixFolder makes a folder with a queue, as post-install would.
func postfixFolder(t testing.TB) string {
	t.Helper()
	needRoot(t, "a scratch Postfix")
	need(t, postfixMaster)
	dir := scratch(t, "postfix")
	for _, d := range []string{"etc/sasl", "run", "data", "queue/pid"} {
		mkdir(t, filepath.Join(dir, d), 0o755)
	}
	chown(t, filepath.Join(dir, "data"), "postfix", "")
	chown(t, filepath.Join(dir, "run"), "postfix", "")
	for _, d := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"} {
		mkdir(t, filepath.Join(dir, "queue", d), 0o700)
		chown(t, filepath.Join(dir, "queue", d), "postfix", "")
	}
	for d, mode := range map[string]os.FileMode{"maildrop": 0o730, "public": 0o710} {
		mkdir(t, filepath.Join(dir, "queue", d), mode)
		chown(t, filepath.Join(dir, "queue", d), "postfix", "postdrop")
	}
	return dir
}

func (p *Postfix) start(t testing.TB) {
	t.Helper()
	// -d: stay in the foreground. On SIGTERM master ends its children.
	p.proc = Start(t, exec.Command(postfixMaster, "-c", filepath.Join(p.Dir, "etc"), "-d"))
	Poll(t, "Postfix listens", func() bool {
		if !p.proc.Running() {
			t.Fatalf("Postfix ended: %v\n%s", p.proc.Err(), p.Log())
		}
		return !slices.ContainsFunc(p.ports, func(port int) bool { return !listens(t, port) })
	})
}

// Stop ends it as an operator would.
func (p *Postfix) Stop() { p.proc.Stop() }

// Start starts it again.
func (p *Postfix) Start(t testing.TB) { t.Helper(); p.start(t) }

// Log is the mail log so far.
func (p *Postfix) Log() string {
	b, err := os.ReadFile(filepath.Join(p.Dir, "mail.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Submission asks the filter through its unix socket.
func (p *Postfix) Submission() string { return loopback(p.submit) }

// SubmissionTCP is Submission with the filter asked over TCP.
func (p *Postfix) SubmissionTCP() string { return loopback(p.submitTCP) }

// Loopback is a port like 25: a client on loopback is in mynetworks.
func (p *Postfix) Loopback() string { return loopback(p.inbound) }

// Remote uses XCLIENT, which needs no second machine.
func (p *Postfix) Remote(t testing.TB) *Client {
	t.Helper()
	c := Dial(t, p.Loopback())
	c.Must(250, "EHLO client.example")
	c.Must(220, "XCLIENT ADDR="+p.RemoteIP()+" NAME=client.example")
	c.Must(250, "EHLO client.example")
	return c
}

// RemoteIP is what Remote comes from (RFC 5737).
func (p *Postfix) RemoteIP() string { return "198.51.100.7" }

// Submit is sendmail(1). It exits 0 whatever the filter says, so the reply is read from the log.
func (p *Postfix) Submit(t testing.TB, sender string, rcpts []string, msg []byte) Reply {
	t.Helper()
	before := len(p.Log())
	cmd := exec.Command("/usr/sbin/sendmail", append([]string{"-C", filepath.Join(p.Dir, "etc"), "-i", "-f", sender, "--"}, rcpts...)...)
	cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n")))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sendmail: %v\n%s", err, out)
	}
	var line string
	Poll(t, "cleanup(8) is done with the local submission", func() bool {
		line = milterLine(p.Log()[before:])
		return line != ""
	})
	return localReply(line)
}

// pickedUp is pickup's line about a new local submission.
var pickedUp = regexp.MustCompile(`/pickup\[\d+\]: (\w+): uid=`)

// milterLine finds what became of the first local submission in the log: refused or held by the filter, or queued.
// Reports on earlier ones are queued in between.
func milterLine(log string) string {
	id := pickedUp.FindStringSubmatch(log)
	if id == nil {
		return ""
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, ": "+id[1]+": milter-") || strings.Contains(line, ": "+id[1]+": from=") && strings.Contains(line, "queue active") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// localReply makes a reply of
// "milter-reject: END-OF-MESSAGE from localhost[127.0.0.1]: 5.7.1 TEXT; from=<...".
// The log leaves the code out; the class of the enhanced code is that of the code.
func localReply(line string) Reply {
	_, rest, ok := strings.Cut(line, "milter-reject: ")
	if !ok {
		return Reply{}
	}
	_, rest, _ = strings.Cut(rest, "]: ")
	text, _, _ := strings.Cut(rest, "; from=<")
	code := map[byte]string{'4': "451 ", '5': "550 "}[(text + " ")[0]]
	r, err := ParseReply(code + text)
	if err != nil {
		return Reply{Text: line}
	}
	return r
}

// queue lists the messages by queue name.
func (p *Postfix) queue(t testing.TB) map[string]int {
	t.Helper()
	out, err := exec.Command("postqueue", "-c", filepath.Join(p.Dir, "etc"), "-j").Output()
	if err != nil {
		t.Fatalf("postqueue: %v", err)
	}
	count := map[string]int{}
	for line := range bytes.Lines(out) {
		var m struct {
			Name string `json:"queue_name"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("postqueue: %v in %q", err, line)
		}
		count[m.Name]++
	}
	return count
}

// Held counts the messages on hold.
func (p *Postfix) Held(t testing.TB) int { t.Helper(); return p.queue(t)["hold"] }

// Drain waits for the queue; what has been deferred is a fault of the test's set-up.
func (p *Postfix) Drain(t testing.TB) {
	t.Helper()
	Poll(t, "Postfix' queue is empty", func() bool {
		q := p.queue(t)
		if q["deferred"] > 0 {
			t.Fatalf("mail was deferred on its way to the sink:\n%s", p.Log())
		}
		return q["active"]+q["incoming"]+q["maildrop"] == 0
	})
}

// Purge deletes everything queued or held.
func (p *Postfix) Purge(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("postsuper", "-c", filepath.Join(p.Dir, "etc"), "-d", "ALL").CombinedOutput(); err != nil {
		t.Fatalf("postsuper: %v\n%s", err, out)
	}
}

func chown(t testing.TB, path, owner, group string) {
	t.Helper()
	u, err := user.Lookup(owner)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid) // numeric on every Unix
	gid, _ := strconv.Atoi(u.Gid)
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			t.Fatal(err)
		}
		gid, _ = strconv.Atoi(g.Gid)
	}
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(fmt.Errorf("chown: %w", err))
	}
}
