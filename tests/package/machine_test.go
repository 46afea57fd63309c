//go:build nspawn

package pkgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// Machine is a Debian system in a container, with systemd as its first process.
type Machine struct {
	t    *testing.T
	root string
	init string // process id of its systemd, as this machine counts
	log  *chapter

	nspawn *mta.Proc
	begun  time.Time // for the times in the test's log
}

// bootTimeout and commandTimeout bound what takes 2 s, and 15 s (an installation
// with everything unpacked, configured and started), on two busy cores.
const (
	bootTimeout    = time.Minute
	commandTimeout = 3 * time.Minute
)

// slow is when a command is worth a line in the test's log.
const slow = 3 * time.Second

// boot unpacks a system that tree makes, with some files of ours in /root, and
// starts it. It ends with the test. What is done in it becomes a chapter of the transcript.
func boot(t *testing.T, kind, title string, files ...string) *Machine {
	t.Helper()
	needNspawn(t)
	tar, err := command("./tree", kind).Output()
	if err != nil {
		t.Fatalf("tree %s: %v", kind, err)
	}
	root, err := os.MkdirTemp("", "o2n-"+kind+"-") // run says where
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if out, err := command("tar", "-xf", strings.TrimSpace(string(tar)), "-C", root, "--numeric-owner").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	m := &Machine{t: t, root: root, log: newChapter(title), begun: time.Now()}
	for _, file := range files {
		m.put(file, "/root/"+filepath.Base(file))
	}
	m.start()
	t.Cleanup(m.lastWords)
	return m
}

// command is one whose errors are seen.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	if name == "tar" {
		cmd.Stderr = nil
	}
	return cmd
}

// start boots the system, and waits until everything that starts with it has.
func (m *Machine) start() {
	m.t.Helper()
	// Neither machined nor a unit of this machine's systemd is needed, and its
	// network stays out of reach.
	m.nspawn = mta.Start(m.t, exec.Command("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
		"--console=pipe", "--boot", "-D", m.root))
	m.poll(bootTimeout, "systemd is the first process", func() bool {
		if !m.nspawn.Running() {
			m.t.Fatalf("systemd-nspawn ended: %v", m.nspawn.Err())
		}
		m.init = firstProcess(m.nspawn.Cmd.Process.Pid)
		return m.init != ""
	})
	m.poll(bootTimeout, "the system is up", func() bool {
		state, _ := m.sh("systemctl is-system-running")
		return state == "running" || state == "degraded"
	})
}

// firstProcess is the child of nspawn that is process 1 of a namespace of its own; ""
// while there is none.
func firstProcess(nspawn int) string {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	for _, pid := range strings.Fields(string(children)) {
		status, _ := os.ReadFile("/proc/" + pid + "/status")
		if regexp.MustCompile(`(?m)^NSpid:\s+\d+\s+1$`).Match(status) {
			return pid
		}
	}
	return ""
}

// needNspawn skips, loudly, where no container can be booted.
func needNspawn(t *testing.T) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	}
	for _, program := range []string{"systemd-nspawn", "nsenter", "mmdebstrap"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = program
		}
	}
	if missing == "" {
		return
	}
	const advice = "run tests/package/install as root"
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT RUN: %s is missing, and CI=true does not allow that; %s", missing, advice)
	}
	t.Skipf("SKIPPED: %s is missing, so the package is not tried; %s", missing, advice)
}

// poll asks until done says true, and fails the test when it does not in time.
func (m *Machine) poll(patience time.Duration, what string, done func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("still not after %v: %s", patience, what)
		}
	}
}

// inside is a command of bash in the machine, as root.
func (m *Machine) inside(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", "--target", m.init, "--all", "bash", "-c", "cd; "+line)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb",
		"DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0"}
	cmd.WaitDelay = time.Second // what it left in the background may hold its output
	return cmd
}

// sh runs a command in the machine: what it printed, without the last newline, and
// its exit code.
func (m *Machine) sh(line string) (string, int) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	out, err := m.inside(ctx, line).CombinedOutput()
	text := strings.TrimRight(string(out), "\n")
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		return text, ended.ExitCode()
	} else if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		m.t.Fatalf("%s: %v\n%s", line, err, text)
	}
	return text, 0
}

// quiet is a command that is no part of the story, and has to work.
func (m *Machine) quiet(line string) string {
	m.t.Helper()
	text, code := m.sh(line)
	if code != 0 {
		m.t.Fatalf("%s: exit code %d\n%s", line, code, text)
	}
	return text
}

// do runs a command, which has to work, and wants patterns in what it prints; a
// pattern that begins with ! is not wanted.
func (m *Machine) do(line string, patterns ...string) string {
	m.t.Helper()
	return m.fails(0, line, patterns...)
}

// fails is do for a command that has to end with this exit code.
func (m *Machine) fails(want int, line string, patterns ...string) string {
	m.t.Helper()
	begun := time.Now()
	text, code := m.sh(line)
	if took := time.Since(begun); took > slow {
		m.t.Logf("%.0f s: %s", took.Seconds(), line)
	}
	m.log.command(line, text, code)
	if code != want {
		m.t.Fatalf("%s: exit code %d, want %d\n%s", line, code, want, text)
	}
	m.match(line, text, patterns)
	return text
}

func (m *Machine) match(what, text string, patterns []string) {
	m.t.Helper()
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		if regexp.MustCompile("(?m)"+p).MatchString(text) == not {
			m.t.Errorf("%s: match of %q is %v, in\n%s", what, p, !not, text)
		}
	}
}

// until waits for a command to work. The transcript has it once.
func (m *Machine) until(patience time.Duration, line string) string {
	m.t.Helper()
	var text string
	m.poll(patience, line, func() bool {
		var code int
		text, code = m.sh(line)
		return code == 0
	})
	m.log.command(line, text, 0)
	return text
}

// step begins a section of the transcript, with words on what it shows.
func (m *Machine) step(title, words string) {
	m.t.Logf("%3.0f s: %s", time.Since(m.begun).Seconds(), title)
	m.log.section(title, words)
}

// put copies a file of this machine into the other.
func (m *Machine) put(from, to string) {
	m.t.Helper()
	in, err := os.Open(from)
	if err != nil {
		m.t.Fatal(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := os.OpenFile(filepath.Join(m.root, to), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		m.t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		m.t.Fatal(err)
	}
}

// write makes a file in the machine, and tells so.
func (m *Machine) write(path, text string) {
	m.t.Helper()
	m.do(fmt.Sprintf("cat >%s <<'END'\n%sEND", path, text))
}

// mainPID is the daemon's process, as the machine counts.
func (m *Machine) mainPID() int {
	m.t.Helper()
	pid, err := strconv.Atoi(m.quiet("systemctl show --value -p MainPID o2n-milter"))
	if err != nil {
		m.t.Fatal(err)
	}
	return pid
}

// lastWords shows the journal of a test that failed.
func (m *Machine) lastWords() {
	if m.t.Failed() {
		text, _ := m.sh("systemctl --no-pager --failed; o2n-milter block list; journalctl --no-pager -u 'o2n-milter*' | grep -v msg=message | grep -v 0x | tail -60")
		m.t.Logf("journal:\n%s", text)
	}
}
