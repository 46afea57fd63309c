//go:build nspawn

package pkgtest

import "strings"

// dialog is an SMTP session in bash: "say COMMAND" sends a line and prints the reply's
// last line, "body" a letter of alice's.
const dialog = `exec 3<>/dev/tcp/127.0.0.1/25
hear() { while IFS= read -r -t 60 line <&3; do case $line in ???-*) ;; *) echo "<- ${line%$'\r'}"; return ;; esac; done; echo "<- nothing"; }
say() { echo "-> $1"; printf '%s\r\n' "$1" >&3; hear; }
body() { printf 'From: <alice@client-a.example>\r\nTo: <reader@remote.example>\r\n\r\nHello.\r\n.\r\n' >&3; hear; }
die() { echo "(kill -9)"; ` + kill9 + `; }
renew() { echo "(restart)"; systemctl restart o2n-milter; }
login() { hear; say 'EHLO client.example'; say "AUTH PLAIN $(printf '\0alice@client-a.example\0secret' | base64)"; }
mail() { say 'MAIL FROM:<alice@client-a.example>'; }
rcpt() { say 'RCPT TO:<reader@remote.example>'; }
`

// session is one SMTP session that outlives the daemon's process at every place.
func (m *Machine) session() {
	m.step("One session, many processes", "The daemon dies or is restarted between any two commands of one SMTP session, and no command of it fails. "+
		"(Functions of bash: `mail`, `rcpt` and the like send a command and print the reply, `die` is kill -9, `renew` is systemctl restart.)")
	const reset = "o2n-milter reset account:alice@client-a.example" // ten messages a minute are the limit
	m.quiet(reset)
	m.quiet("cat >/root/dialog <<'END'\n" + dialog + "END\n")
	for _, line := range []string{
		"login; die; mail; rcpt; say DATA; body",
		"login; mail; die; rcpt; say DATA; body",
		"login; mail; rcpt; die; say DATA; body",
		"login; mail; rcpt; say DATA; die; body",
		"login; mail; rcpt; say DATA; body; die; mail; rcpt; say DATA; body",
		"renew; login; renew; mail; renew; rcpt; renew; say DATA; renew; body; renew; mail; rcpt; say DATA; body",
	} {
		out := m.do("exec 2>&1; . /root/dialog; "+line+"; say QUIT", `!^<- [45]`, `!^<- nothing`)
		if got, want := strings.Count(out, "queued as"), strings.Count(line, "body"); got != want {
			m.t.Errorf("%s: %d messages queued, want %d\n%s", line, got, want, out)
		}
		m.poll(bootTimeout, "o2n-milter is back", func() bool {
			_, code := m.sh("o2n-milter status")
			return code == 0
		})
	}
	m.quiet(reset)
}
