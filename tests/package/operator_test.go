//go:build nspawn

package pkgtest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// What an operator does on every kind of host. Expectations stand beside each command.

// install installs a package as README.Debian says, and looks at what runs then.
func (m *Machine) install(file string) {
	m.step("Install", "")
	m.do("apt-get install -y ./"+file, `^Setting up o2n-milter`, `!(?i)error`, `!(?i)fail`)
	m.do("systemctl is-active o2n-milter.service o2n-milter.socket o2n-milter-admin.socket o2n-milter-web.socket o2n-milter-hold.socket")
	m.do("systemctl is-enabled o2n-milter.service o2n-milter.socket o2n-milter-postfix.socket o2n-milter-admin.socket o2n-milter-web.socket o2n-milter-hold.socket")
	m.do("systemctl --no-legend --failed", `^$`)
	m.do("stat -c '%A %U:%G %n' /etc/o2n-milter /etc/o2n-milter/* /var/lib/o2n-milter /run/o2n-milter/*.sock",
		`^drwxr-x--- root:o2n-milter /etc/o2n-milter$`,
		`^-rw-r----- root:o2n-milter /etc/o2n-milter/o2n-milter.toml$`,
		`^-rw------- o2n-milter:o2n-milter /etc/o2n-milter/link.key$`,
		`^drwxr-x--- o2n-milter:o2n-milter /var/lib/o2n-milter$`,
		`^srw-rw---- o2n-milter:o2n-milter /run/o2n-milter/milter.sock$`,
		`^srw-rw---- \S+:o2n-milter /run/o2n-milter/admin.sock$`,
		`^srw-rw---- \S+:o2n-milter /run/o2n-milter/hold.sock$`)
	m.do("o2n-milter version", `1\.0\.0`)
	m.do("journalctl -q --no-pager -o cat -u o2n-milter | grep level=", `!level=(WARN|ERROR)`)
	m.do("ls /usr/share/doc/o2n-milter /usr/share/man/man*/o2n-milter*", `README.Debian`, `o2n-milter\.8`, `o2n-milter\.toml\.5`)
}

// firstWeek looks on: nothing is refused, and what would have been is listed.
func (m *Machine) firstWeek() {
	m.step("First only look", "In the first week everything passes, and the operator sees whom the rules would have hit.")
	m.do("cp /usr/share/doc/o2n-milter/examples/first-week.toml /etc/o2n-milter/conf.d/ && systemctl reload o2n-milter", `!\S`)
	m.mail("--h-From 'The Boss <ceo@bank.example>'", "250")
	m.until(10*time.Second, "o2n-milter status --shadow | grep identity.header_from")
	m.do("rm /etc/o2n-milter/conf.d/first-week.toml && systemctl reload o2n-milter", `!\S`)
}

// sinkOn takes what the mail server relays, into /root/arrived.
func (m *Machine) sinkOn() {
	m.quiet("mkdir -p /root/arrived && cat >/root/.swaksrc <<'END'\n" + swaksrc + "END\n")
	m.quiet("systemd-run -q --unit=sink /root/load -receive /root/arrived")
	m.poll(bootTimeout, "the sink listens", func() bool {
		_, code := m.sh("ss -ltn | grep -q 127.0.0.1:2525")
		return code == 0
	})
}

func (m *Machine) sinkOff() {
	m.quiet("systemctl stop sink; systemctl reset-failed sink 2>/dev/null || true")
}

// swaksrc is what swaks sends unless told otherwise: a letter of alice's to one reader.
const swaksrc = `--server 127.0.0.1
--auth-user alice@client-a.example
--auth-password secret
--from alice@client-a.example
--to reader@remote.example
--hide-send
--hide-informational
--suppress-data
`

// asBob writes as another login: what is refused strikes, and alice shall not be blocked for it.
const asBob = "--auth-user bob@client-a.example --from bob@client-a.example "

// mail sends a message with swaks, and wants the reply that ends it.
func (m *Machine) mail(args, want string) string {
	m.t.Helper()
	line := strings.TrimSpace("swaks " + args)
	text, code := m.sh(line)
	if (code == 0) != strings.HasPrefix(want, "250") {
		m.t.Errorf("%s: exit code %d\n%s", line, code, text)
	}
	// What the server says before MAIL and after the message is always the same.
	_, replies, _ := strings.Cut(text, "Authentication successful\n")
	if _, after, found := strings.Cut(text, " 2.0.0 OK Authenticated\n"); found { // Sendmail
		replies = after
	}
	replies, _, _ = strings.Cut(replies, "<-  221")
	m.log.command(line, replies, code)
	m.match(line, text, []string{`^<[-~*]+ +` + want})
	return text
}

// passes sends honest mail, and waits until it has arrived.
func (m *Machine) passes() {
	m.t.Helper()
	before := m.arrived()
	m.mail("", "250 2.0.0")
	m.poll(bootTimeout, "the mail arrives", func() bool { return m.arrived() > before })
}

func (m *Machine) arrived() int {
	m.t.Helper()
	return len(strings.Fields(m.quiet("ls /root/arrived")))
}

// firstMail is the first that passes and the first that is refused.
func (m *Machine) firstMail() {
	m.step("First mail", "`swaks` writes as alice@client-a.example to one reader. An honest letter passes and arrives. One in another's name is refused, and the reply says which decision that was.")
	m.passes()
	reply := m.mail("--h-From 'The Boss <ceo@bank.example>'", `550 5\.7\.1 .* \[identity\.header_from \w+\]`)
	id := regexp.MustCompile(`\[identity\.header_from (\w+)\]`).FindStringSubmatch(reply)
	if id == nil {
		return // said above
	}
	m.until(10*time.Second, "o2n-milter explain "+id[1])
	m.do("o2n-milter history account:alice@client-a.example", `identity\.header_from`, `accept`)
	m.do("o2n-milter status")
}

// doctor finds nothing to mend.
func (m *Machine) doctor() {
	m.step("Doctor", "")
	m.do("o2n-milter doctor")
}

// reloadGood puts a new rule in force.
func (m *Machine) reloadGood() {
	m.step("Reload", "A new rule is in force when the command returns.")
	m.mail(asBob+"--to reader@remote.example,second@remote.example", "250")
	m.write(rulesFile, "[recipients]\nmax_envelope = 1\n")
	m.do("systemctl reload o2n-milter", `!\S`)
	m.mail(asBob+"--to reader@remote.example,second@remote.example", `550 5\.5\.3 .* \[recipients\.envelope \w+\]`)
}

const rulesFile = "/etc/o2n-milter/conf.d/10-rules.toml"

// reloadBad is refused, says where the fault is, and leaves the rules as they were.
func (m *Machine) reloadBad() {
	m.step("Reload with a fault", "The reload fails and says where the fault is; the old rules serve on, in the same process.")
	pid := m.mainPID()
	m.write(rulesFile, "[recipients]\nmax_envelope = 1\nmax_visibel = 3\n")
	m.fails(1, "systemctl reload o2n-milter")
	m.do("journalctl -q --no-pager -o cat -u o2n-milter -n 6", regexp.QuoteMeta(rulesFile)+`:3: .*max_visibel`)
	m.do("systemctl is-active o2n-milter", `^active$`)
	if now := m.mainPID(); now != pid {
		m.t.Errorf("process %d became %d", pid, now)
	}
	m.mail(asBob+"--h-From ceo@bank.example", `550 5\.7\.1 .*identity\.header_from`)
	m.do("rm "+rulesFile+"; systemctl reload o2n-milter", `!\S`)
}

// restart, and two deaths: the sockets stay, so mail waits for the daemon.
func (m *Machine) restart() {
	m.step("Restart", "")
	m.do("systemctl restart o2n-milter", `!\S`)
	m.passes()
}

func (m *Machine) killed() {
	m.step("Kill -9", "systemd starts it again; the mail that is sent meanwhile waits.")
	pid := m.mainPID()
	m.do(kill9)
	m.passes()
	if m.mainPID() == pid {
		m.t.Errorf("still process %d", pid)
	}
}

// hung stops the process without ending it: only the watchdog notices.
func (m *Machine) hung() {
	m.step("Watchdog", "A daemon that hangs is killed and started again.")
	pid := m.mainPID()
	m.do(fmt.Sprintf("kill -STOP %d", pid))
	m.poll(2*time.Minute, "the watchdog starts it again", func() bool { now := m.mainPID(); return now != pid && now != 0 })
	m.do("journalctl -q --no-pager -o cat -u o2n-milter --since '-2min' | grep -i watchdog", `Watchdog timeout`)
	m.passes()
}

// exposure is what systemd says of the unit while it serves; 10 is no sandbox at all.
func (m *Machine) exposure() {
	m.step("Exposure", "Of the running daemon, with its store open and mail going through.")
	out := m.do("systemd-analyze security --no-pager o2n-milter.service | tail -1", `exposure level for o2n-milter.service: (0\.\d|1\.0) `)
	m.do("systemd-analyze security --no-pager o2n-milter-hold.service | tail -1")
	m.t.Log(out)
}

// held mail leaves by the agent, under the agent's units.
func (m *Machine) held() {
	m.step("Held mail", "A rule holds a message in the MTA's queue; the operator releases it, and it arrives.")
	m.write(rulesFile, "[identity]\ndisplay_name = \"quarantine\"\n")
	m.do("systemctl reload o2n-milter")
	before := m.arrived()
	m.mail("--h-From '\"ceo@bank.example\" <alice@client-a.example>'", "250")
	list := m.until(20*time.Second, "o2n-milter held list | grep identity.display_name")
	id := strings.Fields(list)[0]
	if n := m.arrived(); n != before {
		m.t.Errorf("%d messages arrived though held", n-before)
	}
	m.do("o2n-milter held release " + id)
	m.poll(bootTimeout, "what was released arrives", func() bool { return m.arrived() == before+1 })
	m.do("systemctl is-active o2n-milter-hold.service", `^active$`)
	// A warning is in order where the daemon was killed while the agent answered it.
	m.do("journalctl -q --no-pager -o cat -u o2n-milter-hold | grep level=", `"hold agent: release".* done=\w+`, `!level=ERROR`)
	m.do("rm " + rulesFile + "; systemctl reload o2n-milter")
}

// reboot comes back to what was there, without a hand.
func (m *Machine) reboot() {
	m.step("Reboot", "")
	m.do("o2n-milter block add account:bob@client-a.example --for 4h --reason 'stolen password'")
	m.sh("systemctl poweroff") // which may take the command itself away
	m.poll(bootTimeout, "the system is off", func() bool { return !m.nspawn.Running() })
	m.start()
	m.do("systemctl is-system-running; systemctl --no-legend --failed", `^running$`, `!failed`)
	m.do("systemctl is-active o2n-milter.service o2n-milter.socket o2n-milter-postfix.socket o2n-milter-admin.socket o2n-milter-web.socket o2n-milter-hold.socket")
	m.sinkOn()
	m.passes()
	m.mail(asBob, `550 5\.7\.1 .* \[block\.active \w+\]`)
}

// inventory lists the files of the system, but for what changes by itself.
func (m *Machine) inventory() map[string]bool {
	m.t.Helper()
	out := m.quiet(`find / -xdev \( -path /root -o -path /proc -o -path /sys -o -path /tmp -o -path /var/tmp -o -path /var/log ` +
		`-o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path '/var/spool/postfix/*' ` +
		`-o -path /var/spool/mqueue -o -path /var/spool/mqueue-client \) -prune -o -print; find /run -name '*o2n*'`)
	all := map[string]bool{}
	for path := range strings.Lines(out) {
		all[strings.TrimSpace(path)] = true
	}
	return all
}

// remove keeps what the operator has written; purge leaves nothing but the user.
func (m *Machine) removeAndPurge(before map[string]bool, unwire ...string) {
	m.step("Remove and purge", "Removed, its configuration and store stay. Purged, nothing of it does, but for the user: its number must not become another's.")
	for _, line := range unwire {
		m.do(line)
	}
	m.do("apt-get remove -y o2n-milter", `!(?i)error`)
	m.do("ls -d /etc/o2n-milter/conf.d /etc/o2n-milter/link.key /var/lib/o2n-milter")
	m.mail("", "250")
	m.do("apt-get purge -y o2n-milter", `!(?i)error`, `!(?i)warning`)
	m.do("systemctl list-units --no-legend 'o2n*'; systemctl list-unit-files --no-legend 'o2n*' | cat", `!\S`)
	m.do("getent passwd o2n-milter", `nologin`)
	left := ""
	for path := range m.inventory() {
		if !before[path] && !kept.MatchString(path) {
			left += path + "\n"
		}
	}
	if left != "" {
		m.t.Errorf("left after purge:\n%s", left)
	}
}

// kept are files that are there because of the user, or because the system ran.
var kept = regexp.MustCompile(`^/etc/(passwd|group|shadow|gshadow)-$|^/etc/\.pwd\.lock$|^/var/lib/postfix/|^/etc/mail/|^/var/lib/sendmail/`)
