package mta

import (
	"bytes"
	_ "embed"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var (
	//go:embed files/sendmail.mc
	sendmailMC string
	//go:embed files/submit.mc
	submitMC string
)

// inside is where Sendmail sees its scratch folder: it refuses paths below folders that others may write, like /tmp.
const inside = "/mnt"

// Sendmail is a running instance in a mount namespace of its own.
type Sendmail struct {
	Dir string
	// Milter is the unix socket path at which it looks for the filter.
	Milter string

	tree          string // where tests/install unpacked it
	submit, local int
	inbound       int
	proc          *Proc

	mu  sync.Mutex
	log bytes.Buffer
}

var _ Server = (*Sendmail)(nil)

// NewSendmail starts Sendmail, relaying everything to the sink. It ends with the test.
func NewSendmail(t testing.TB, sink *Sink) *Sendmail {
	t.Helper()
	needRoot(t, "a scratch Sendmail")
	needStranger(t)
	tree := sendmailTree(t)
	dir := scratch(t, "sendmail")
	s := &Sendmail{
		Dir: dir, Milter: filepath.Join(dir, "run", "milter.sock"), tree: tree,
		submit: FreePort(t), local: FreePort(t),
	}
	s.inbound = FreePort(t)
	for _, d := range []string{"mail", "queue", "mspqueue", "run", "sasl", "tls", "dev"} {
		mkdir(t, filepath.Join(dir, d), 0o755)
	}
	chown(t, filepath.Join(dir, "mspqueue"), "mail", "mail")
	writeIdentity(t, filepath.Join(dir, "tls/tls.pem"))
	s.listenLog(t)
	s.configure(t, sink)
	s.start(t)
	return s
}

// sendmailTree finds what tests/install unpacked.
func sendmailTree(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir() // XDG_CACHE_HOME, else ~/.cache
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(cache, "o2n-milter", "sendmail")
	need(t, filepath.Join(tree, "usr/libexec/sendmail/sendmail"))
	need(t, "/usr/sbin/saslpasswd2")
	need(t, "/usr/bin/m4")
	if out, err := exec.Command("unshare", "--mount", "--uts", "true").CombinedOutput(); err != nil {
		SkipOrFail(t, "the right to make mount and host name namespaces (unshare: "+strings.TrimSpace(string(out))+")")
	}
	return tree
}

// Mail from elsewhere comes in at public, from stranger (RFC 5737): Sendmail has
// no XCLIENT. Only the network that tests/isolated makes has these addresses, so
// nothing is ever sent to a real one.
const (
	public   = "192.0.2.10"
	stranger = "192.0.2.11"
)

func needStranger(t testing.TB) {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.String() == stranger {
			return
		}
	}
	SkipOrFail(t, "a network with the address "+stranger+" (run the tests by tests/isolated)")
}

func (s *Sendmail) configure(t testing.TB, sink *Sink) {
	t.Helper()
	fill := strings.NewReplacer("@HOST@", Host, "@SUBMIT@", strconv.Itoa(s.submit), "@LOCAL@", strconv.Itoa(s.local),
		"@INBOUND@", strconv.Itoa(s.inbound), "@ADDR@", public, "@SINK@", strconv.Itoa(sink.Port), "@REFUSED@", Refused)
	cf := filepath.Join(s.tree, "usr/share/sendmail/cf")
	for name, text := range map[string]string{"sendmail": sendmailMC, "submit": submitMC} {
		cmd := exec.Command("m4", "-D_CF_DIR_="+cf+"/", filepath.Join(cf, "m4/cf.m4"), "-")
		cmd.Stdin = strings.NewReader(fill.Replace(text))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("m4 %s.mc: %v", name, err)
		}
		write(t, filepath.Join(s.Dir, "mail", name+".cf"), string(out))
	}
	write(t, filepath.Join(s.Dir, "mail/service.switch"), "hosts\tfiles\naliases\tfiles\n")
	write(t, filepath.Join(s.Dir, "mail/local-host-names"), "")
	write(t, filepath.Join(s.Dir, "mail/trusted-users"), "root\n")
	write(t, filepath.Join(s.Dir, "hosts"), "127.0.0.1 "+Host+" localhost\n")
	write(t, filepath.Join(s.Dir, "sasl/Sendmail.conf"), saslConf(inside+"/sasl/sasldb2"))
	makeLogins(t, filepath.Join(s.Dir, "sasl/sasldb2"))
}

// enter runs Sendmail in the namespaces.
func (s *Sendmail) enter(args ...string) *exec.Cmd {
	return s.Inside(append([]string{s.program()}, args...)...)
}

func (s *Sendmail) program() string { return filepath.Join(s.tree, "usr/libexec/sendmail/sendmail") }

// Inside runs a command in the namespaces: the scratch folder at /mnt, a host name with a dot (else Sendmail
// sleeps a minute), its own /etc/hosts, Sendmail as /usr/sbin/sendmail, and /usr/lib/sasl2, the only place where
// libsasl looks for Sendmail.conf.
func (s *Sendmail) Inside(args ...string) *exec.Cmd {
	const script = `set -e
hostname "$1"
mount --bind "$2" /mnt
mount --bind /mnt/hosts /etc/hosts
mount --bind /mnt/sasl /usr/lib/sasl2
[ ! -e /usr/sbin/sendmail ] || mount --bind "$3" /usr/sbin/sendmail
# A /dev in which syslog(3) finds the socket of this test.
mount -t tmpfs -o mode=755 tmpfs /mnt/dev
for n in null zero random urandom; do : >/mnt/dev/$n; mount --bind /dev/$n /mnt/dev/$n; done
ln -s /mnt/run/log /mnt/dev/log
mount --move /mnt/dev /dev
shift 3
exec "$@"`
	argv := append([]string{"--mount", "--uts", "--propagation", "private", "sh", "-c", script, "sh", Host, s.Dir, s.program()}, args...)
	return exec.Command("unshare", argv...)
}

func (s *Sendmail) start(t testing.TB) {
	t.Helper()
	cmd := s.enter("-bD", "-q1m", "-C", inside+"/mail/sendmail.cf")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	s.proc = Start(t, cmd)
	Poll(t, "Sendmail listens", func() bool {
		if !s.proc.Running() {
			t.Fatalf("Sendmail ended: %v\n%s", s.proc.Err(), out.String())
		}
		return listens(t, s.submit) && listens(t, s.local) && listens(t, s.inbound)
	})
}

// Stop ends it as an operator would.
func (s *Sendmail) Stop() { s.proc.Stop() }

// Start starts it again.
func (s *Sendmail) Start(t testing.TB) { t.Helper(); s.start(t) }

// listenLog takes the place of syslogd.
func (s *Sendmail) listenLog(t testing.TB) {
	t.Helper()
	path := filepath.Join(s.Dir, "run/log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // the submission program runs as another user
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.log.Write(append(bytes.TrimSpace(buf[:n]), '\n'))
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
}

// Log is the mail log so far.
func (s *Sendmail) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Submission is the address that wants a login.
func (s *Sendmail) Submission() string { return loopback(s.submit) }

// Loopback is also where sendmail(1) hands over.
func (s *Sendmail) Loopback() string { return loopback(s.local) }

// Remote comes from stranger.
func (s *Sendmail) Remote(t testing.TB) *Client {
	t.Helper()
	c := DialFrom(t, stranger, net.JoinHostPort(public, strconv.Itoa(s.inbound)))
	c.Must(250, "EHLO client.example")
	return c
}

// RemoteIP is what Remote comes from.
func (s *Sendmail) RemoteIP() string { return stranger }

// smtpReply finds replies in what sendmail -v prints; the last refusal counts.
var smtpReply = regexp.MustCompile(`(?m)^[45]\d\d [^\r\n]*`)

// Submit is sendmail(1), which hands over by SMTP and says so with -v.
func (s *Sendmail) Submit(t testing.TB, sender string, rcpts []string, msg []byte) Reply {
	t.Helper()
	cmd := s.enter(append([]string{"-C", inside + "/mail/submit.cf", "-Ac", "-v", "-i", "-odi", "-f", sender, "--"}, rcpts...)...)
	cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n")))
	out, err := cmd.CombinedOutput()
	first := smtpReply.Find(out)
	if first == nil {
		if err != nil {
			t.Fatalf("sendmail: %v\n%s", err, out)
		}
		return Reply{}
	}
	r, err := ParseReply(string(first))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// count counts queue files by prefix: qf waits, hf is on hold.
func (s *Sendmail) count(t testing.TB, pattern string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// Held counts the messages on hold.
func (s *Sendmail) Held(t testing.TB) int { t.Helper(); return s.count(t, "queue/hf*") }

// Drain waits until nothing waits for delivery.
func (s *Sendmail) Drain(t testing.TB) {
	t.Helper()
	Poll(t, "Sendmail's queues are empty", func() bool { return s.count(t, "queue/[qtx]f*")+s.count(t, "mspqueue/qf*") == 0 })
}

// Purge deletes everything queued or held.
func (s *Sendmail) Purge(t testing.TB) {
	t.Helper()
	for _, pattern := range []string{"queue/*", "mspqueue/*"} {
		files, err := filepath.Glob(filepath.Join(s.Dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
}
