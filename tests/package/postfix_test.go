//go:build nspawn

package pkgtest

import (
	"path/filepath"
	"testing"
	"time"
)

// TestPostfix is an operator's life with the package on Debian 12 with its chrooted
// Postfix. With -short it is the part that every change is tried with.
func TestPostfix(t *testing.T) {
	now := deb(t)
	next := []string{later(t, now, "later1")}
	if !testing.Short() {
		next = append(next, later(t, now, "later2"), later(t, now, "later3"))
	}
	m := boot(t, "postfix", "Debian 12 with Postfix", append(next, now, loadProgram(t))...)
	before := m.inventory()
	m.install(filepath.Base(now))
	m.wirePostfix()
	m.sinkOn()
	m.firstMail()
	m.reloadBad()
	if testing.Short() {
		m.campaign(disturbances{every: 2 * time.Second, restarts: 1, kills: 1, upgrades: next})
	} else {
		m.rest(next[0], next[1:])
	}
	m.removeAndPurge(before, "postconf -X smtpd_milters non_smtpd_milters milter_default_action", "systemctl reload postfix")
	m.do("ls -d /var/spool/postfix/o2n-milter 2>&1 || true", `No such file`)
}

// rest is what takes minutes.
func (m *Machine) rest(next string, others []string) {
	m.firstWeek()
	m.doctor()
	m.reloadGood()
	m.do("rm " + rulesFile + "; systemctl reload o2n-milter")
	m.restart()
	m.killed()
	m.session()
	m.held()
	m.exposure()
	m.faultyUpgrade(filepath.Base(next), version(m.t, next))
	m.campaign(disturbances{every: 1500 * time.Millisecond, restarts: 10, kills: 3, upgrades: others})
	m.hung()
	m.exposure()
	m.reboot()
}

// wirePostfix is all that Postfix has to be told.
func (m *Machine) wirePostfix() {
	m.step("The one line of Postfix", "")
	m.do("stat -c '%A %U:%G %n' /var/spool/postfix/o2n-milter/milter.sock", `^srw-rw---- o2n-milter:postfix `)
	m.do("postconf -e smtpd_milters=unix:o2n-milter/milter.sock 'non_smtpd_milters=$smtpd_milters' milter_default_action=tempfail")
	m.do("systemctl reload postfix")
}
