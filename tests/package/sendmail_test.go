//go:build nspawn

package pkgtest

import (
	"path/filepath"
	"testing"
	"time"
)

// TestSendmail is the package on Debian 12 with Sendmail.
func TestSendmail(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short tries the package with Postfix only")
	}
	now := deb(t)
	m := boot(t, "sendmail", "Debian 12 with Sendmail", now, loadProgram(t))
	before := m.inventory()
	m.install(filepath.Base(now))
	m.do("systemctl is-active o2n-milter-postfix.socket; ls /var/spool/postfix 2>&1 | cat", `^inactive$`, `No such file`)
	m.wireSendmail()
	m.sinkOn()
	m.firstMail()
	m.reloadBad()
	m.doctor()
	m.held()
	m.killed()
	m.exposure()
	m.campaign(disturbances{every: 1500 * time.Millisecond, restarts: 3, kills: 3})
	m.removeAndPurge(before, `sed -i '/o2n-milter.m4/d' /etc/mail/sendmail.mc`, "make -s -C /etc/mail >/dev/null 2>&1 && systemctl restart sendmail",
		"rm -r /etc/systemd/system/o2n-milter-hold.service.d")
}

// wireSendmail is all that Sendmail has to be told.
func (m *Machine) wireSendmail() {
	m.step("The one line of Sendmail", "")
	m.do("cat /etc/mail/m4/o2n-milter.m4", `INPUT_MAIL_FILTER`)
	m.do("sed -i \"/^MAILER_DEFINITIONS/i include(\\`/etc/mail/m4/o2n-milter.m4')dnl\" /etc/mail/sendmail.mc")
	m.do("make -s -C /etc/mail >/dev/null 2>&1 && systemctl restart sendmail")
	m.do("mkdir -p /etc/systemd/system/o2n-milter-hold.service.d && cp /usr/share/doc/o2n-milter/examples/o2n-milter-hold-sendmail.conf " +
		"/etc/systemd/system/o2n-milter-hold.service.d/sendmail.conf && systemctl daemon-reload && systemctl restart o2n-milter-hold")
	m.do("grep -A1 '^Xo2n' /etc/mail/sendmail.cf", `F=T`)
}
