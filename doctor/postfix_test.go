package doctor

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorded is what postconf printed for a Debian installation as the README has it.
func recorded(t testing.TB) (main, services, options string) {
	t.Helper()
	var text [3]string
	for i, name := range []string{"x", "M", "xP"} {
		raw, err := os.ReadFile("testdata/postconf-" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(raw)
	}
	return text[0], text[1], text[2]
}

// changed replaces lines of a recorded output: "old\nnew". To an empty old, new is added.
func changed(t testing.TB, text string, changes ...string) string {
	t.Helper()
	for _, c := range changes {
		old, now, _ := strings.Cut(c, " => ")
		if old == "" {
			text += now + "\n"
			continue
		}
		if !strings.Contains(text, old) {
			t.Fatalf("nothing to change: %q", old)
		}
		text = strings.ReplaceAll(text, old, now)
	}
	return text
}

const chrooted = "/var/spool/postfix/o2n-milter/milter.sock"

// worse are the findings over a level, "level: what", without those about the socket
// itself, which this machine has not.
func worse(list []Finding, than Level) []string {
	var texts []string
	for _, f := range list {
		if f.Level > than && !strings.Contains(f.What, "does not exist") && !strings.Contains(f.What, "unknown user") {
			texts = append(texts, f.Level.String()+": "+f.What)
		}
	}
	return texts
}

func TestPostfixWiring(t *testing.T) {
	signed := []string{"smtpd_milters = unix:o2n-milter/milter.sock => smtpd_milters = local:opendkim/opendkim.sock unix:o2n-milter/milter.sock"}
	for _, tt := range []struct {
		name                    string
		main, services, options []string
		listen                  string   // default: chrooted
		want                    []string // worse than ok
		do                      string   // in one of them
	}{
		{name: "good"},
		{name: "no milter at all", main: []string{"\nsmtpd_milters = unix:o2n-milter/milter.sock => \nsmtpd_milters ="},
			want: []string{
				"note: smtp/inet takes no logins, and has not the filter in smtpd_milters",
				"fault: submission/inet: smtpd_milters is empty",
			}, do: "postconf -e 'smtpd_milters = unix:o2n-milter/milter.sock' && postfix reload"},
		{name: "taken off the submission service", options: []string{" => submission/inet/smtpd_milters = "},
			want: []string{"fault: submission/inet: smtpd_milters is empty"},
			do:   "postconf -P 'submission/inet/smtpd_milters=unix:o2n-milter/milter.sock' && postfix reload"},
		{name: "taken off the inbound service", options: []string{" => smtp/inet/smtpd_milters = "},
			want: []string{"note: smtp/inet takes no logins, and has not the filter in smtpd_milters"}},
		{name: "another address", options: []string{"submissions/inet/smtpd_milters = unix:o2n-milter/milter.sock => submissions/inet/smtpd_milters = inet:localhost:8891"},
			want: []string{"fault: submissions/inet: smtpd_milters: none of its milters is an address of milter.listen (unix:" + chrooted + ")"},
			do:   "postconf -P 'submissions/inet/smtpd_milters=inet:localhost:8891,unix:o2n-milter/milter.sock'"},
		{name: "Sendmail's syntax", options: []string{" => submission/inet/smtpd_milters = inet:8895@localhost"},
			want: []string{`fault: submission/inet: smtpd_milters: milter "inet:8895@localhost"; want unix:path or inet:host:port`}},
		{name: "a brace too few", options: []string{" => submission/inet/smtpd_milters = { unix:o2n-milter/milter.sock"},
			want: []string{`fault: submission/inet: smtpd_milters: milters "{ unix:o2n-milter/milter.sock": want a } to each {`}},
		{name: "a socket outside of the chroot", listen: "unix:/run/o2n-milter/milter.sock", options: []string{
			" => submission/inet/smtpd_milters = unix:/run/o2n-milter/milter.sock",
			"submissions/inet/smtpd_milters = unix:o2n-milter/milter.sock => submissions/inet/smtpd_milters = unix:/run/o2n-milter/milter.sock"},
			main: []string{"\nsmtpd_milters = unix:o2n-milter/milter.sock => \nsmtpd_milters = unix:/run/o2n-milter/milter.sock",
				"\nnon_smtpd_milters = unix:o2n-milter/milter.sock => \nnon_smtpd_milters = unix:/run/o2n-milter/milter.sock"},
			want: []string{
				"note: smtp/inet takes no logins, and has not the filter in smtpd_milters",
				"fault: submission/inet: smtpd_milters has unix:/run/o2n-milter/milter.sock, but submission/inet runs in a chroot, where that is /var/spool/postfix/run/o2n-milter/milter.sock",
				"fault: submissions/inet: smtpd_milters has unix:/run/o2n-milter/milter.sock, but submissions/inet runs in a chroot, where that is /var/spool/postfix/run/o2n-milter/milter.sock",
				"fault: cleanup/unix: non_smtpd_milters has unix:/run/o2n-milter/milter.sock, but cleanup/unix runs in a chroot, where that is /var/spool/postfix/run/o2n-milter/milter.sock",
			}, do: `[milter] listen = ["unix:/var/spool/postfix/run/o2n-milter/milter.sock"]`},
		{name: "right but for the daemon's socket", listen: "unix:/run/o2n-milter/milter.sock", want: []string{
			"note: smtp/inet takes no logins, and has not the filter in smtpd_milters",
			"fault: submission/inet: smtpd_milters: none of its milters is an address of milter.listen (unix:/run/o2n-milter/milter.sock)",
			"fault: submissions/inet: smtpd_milters: none of its milters is an address of milter.listen (unix:/run/o2n-milter/milter.sock)",
			"fault: cleanup/unix: non_smtpd_milters: none of its milters is an address of milter.listen (unix:/run/o2n-milter/milter.sock)"},
			do: `[milter] listen = ["unix:/var/spool/postfix/o2n-milter/milter.sock"], as submission/inet runs in a chroot; then postconf -e 'smtpd_milters = unix:o2n-milter/milter.sock' &&`},
		{name: "no logins", options: []string{"smtpd_sasl_auth_enable = yes => smtpd_sasl_auth_enable = no"},
			want: []string{"warning: no service of master.cf has smtpd_sasl_auth_enable = yes"}},
		{name: "a milter after us", options: []string{" => submission/inet/smtpd_milters = unix:o2n-milter/milter.sock inet:localhost:11332"},
			want: []string{"warning: submission/inet: smtpd_milters: after the filter comes inet:localhost:11332"},
			do:   "submission/inet/smtpd_milters=inet:localhost:11332,unix:o2n-milter/milter.sock"},
		{name: "a signer after us", options: []string{" => submission/inet/smtpd_milters = unix:o2n-milter/milter.sock, local:opendkim/opendkim.sock"},
			want: []string{"note: submission/inet: smtpd_milters: after the filter comes local:opendkim/opendkim.sock, by its name a signer"}},
		{name: "a signer that cannot tell whose mail it is", main: signed, options: signed,
			want: []string{
				"note: submissions/inet: milter_macro_daemon_name is mx.host.example, as on smtp/inet, and local:opendkim/opendkim.sock signs on both",
			}, do: "postconf -P 'submissions/inet/milter_macro_daemon_name=ORIGINATING' && postfix reload"},
		{name: "a signer that can", main: signed, options: slices.Concat(signed, []string{" => submissions/inet/milter_macro_daemon_name = ORIGINATING"})},
		{name: "a signer before us", options: []string{" => submission/inet/smtpd_milters = { local:opendkim/opendkim.sock, default_action=accept }, unix:o2n-milter/milter.sock"}},
		{name: "the socket is kept where there is a port too", listen: "tcp:127.0.0.1:8895 unix:" + chrooted,
			options: []string{" => submission/inet/smtpd_milters = { unix:o2n-milter/milter.sock, command_timeout=20s } inet:localhost:11332"},
			want:    []string{"warning: submission/inet: smtpd_milters: after the filter comes inet:localhost:11332"},
			do:      "submission/inet/smtpd_milters=inet:localhost:11332,{unix:o2n-milter/milter.sock,command_timeout=20s}'"},
		{name: "a socket before a port", listen: "tcp:127.0.0.1:8895 unix:" + chrooted, options: []string{" => submission/inet/smtpd_milters = "},
			want: []string{"fault: submission/inet: smtpd_milters is empty"}, do: "'submission/inet/smtpd_milters=unix:o2n-milter/milter.sock'"},
		{name: "a socket in the chroot before a port", listen: "unix:/run/o2n-milter/milter.sock tcp:127.0.0.1:8895 unix:" + chrooted + "2",
			main: []string{"unix:o2n-milter/milter.sock => inet:localhost:8895"}, options: []string{"unix:o2n-milter/milter.sock => inet:localhost:8895", " => submission/inet/smtpd_milters = "},
			want: []string{"fault: submission/inet: smtpd_milters is empty"}, do: "'submission/inet/smtpd_milters=unix:o2n-milter/milter.sock2'"},
		{name: "a port before a socket that the chroot hides", listen: "unix:/run/o2n-milter/milter.sock tcp:127.0.0.1:8895",
			main: []string{"unix:o2n-milter/milter.sock => inet:localhost:8895"}, options: []string{"unix:o2n-milter/milter.sock => inet:localhost:8895", " => submission/inet/smtpd_milters = "},
			want: []string{"fault: submission/inet: smtpd_milters is empty"}, do: "postconf -P 'submission/inet/smtpd_milters=inet:127.0.0.1:8895'"},
		{name: "a time of the milter's own", options: []string{" => submission/inet/smtpd_milters = { unix:o2n-milter/milter.sock, connect_timeout=2s, protocol=2 }"},
			want: []string{"warning: submission/inet: smtpd_milters: connect_timeout is 2s; want 10s or more", "warning: submission/inet: smtpd_milters: protocol is 2; want 6"},
			do:   "in submission/inet: smtpd_milters: connect_timeout=30s for unix:o2n-milter/milter.sock"},
		{name: "twice", options: []string{" => submission/inet/smtpd_milters = unix:o2n-milter/milter.sock, unix:/o2n-milter/milter.sock"},
			want: []string{"fault: submission/inet: smtpd_milters names the filter 2 times"},
			do:   "postconf -P 'submission/inet/smtpd_milters=unix:o2n-milter/milter.sock'"},
		{name: "fails open", options: []string{" => submission/inet/milter_default_action = accept"},
			want: []string{"fault: submission/inet: smtpd_milters: milter_default_action is accept"},
			do:   "postconf -P 'submission/inet/milter_default_action=tempfail'"},
		{name: "fails open for this milter", options: []string{" => submission/inet/smtpd_milters = { unix:o2n-milter/milter.sock, default_action = accept }"},
			want: []string{"fault: submission/inet: smtpd_milters: default_action is accept"}},
		{name: "refuses", main: []string{"milter_default_action = tempfail => milter_default_action = reject"}, want: each("warning", "milter_default_action is reject")},
		{name: "holds", main: []string{"milter_default_action = tempfail => milter_default_action = quarantine"}, want: each("warning", "milter_default_action is quarantine")},
		{name: "who knows", main: []string{"milter_default_action = tempfail => milter_default_action = shrug"}, want: each("warning", "milter_default_action is shrug")},
		{name: "too little time", main: []string{"milter_content_timeout = 300s => milter_content_timeout = 9s"}, want: each("warning", "milter_content_timeout is 9s; want 10s or more")},
		{name: "just time enough", main: []string{"milter_command_timeout = 30s => milter_command_timeout = 10"}},
		{name: "an old protocol with all macros", main: []string{"milter_protocol = 6 => milter_protocol = 2"}, want: each("warning", "milter_protocol is 2; want 6")},
		{name: "an old protocol without the login", options: []string{" => submission/inet/milter_protocol = 2", " => submission/inet/milter_mail_macros = i {mail_addr}"},
			want: []string{"warning: submission/inet: smtpd_milters: milter_protocol is 2; want 6", "fault: submission/inet: smtpd_milters: milter_mail_macros has no {auth_authen}"},
			do:   "postconf -P 'submission/inet/milter_mail_macros={auth_authen},i,{mail_addr}'"},
		{name: "a new protocol asks itself", main: []string{"milter_mail_macros = i {auth_type} {auth_authen} => milter_mail_macros = i {auth_type}"}},
		{name: "no milters by override", options: []string{" => submission/inet/receive_override_options = no_address_mappings, no_milters"},
			want: []string{"fault: submission/inet: receive_override_options has no_milters"},
			do:   "submission/inet/receive_override_options=no_address_mappings'"},
		{name: "milters by client", main: []string{"smtpd_milter_maps = => smtpd_milter_maps = cidr:/etc/postfix/milters"}, want: []string{
			"note: smtp/inet: smtpd_milter_maps is set, which was not looked at", "note: submission/inet: smtpd_milter_maps is set, which was not looked at",
			"note: submissions/inet: smtpd_milter_maps is set, which was not looked at"}},
		{name: "no local submissions", main: []string{"\nnon_smtpd_milters = unix:o2n-milter/milter.sock => \nnon_smtpd_milters ="},
			want: []string{"fault: cleanup/unix: non_smtpd_milters is empty"}, do: "postconf -e 'non_smtpd_milters = unix:o2n-milter/milter.sock' && postfix reload"},
		{name: "pickup without milters", options: []string{" => pickup/unix/receive_override_options = no_milters"},
			want: []string{"fault: pickup/unix: receive_override_options has no_milters"}},
		{name: "a cleanup of pickup's own", options: []string{" => pickup/unix/cleanup_service_name = local", " => local/unix/non_smtpd_milters = "},
			services: []string{" => local unix n - y - 0 cleanup"}, want: []string{"fault: local/unix: non_smtpd_milters is empty"}},
		{name: "bounces judged", main: []string{"internal_mail_filter_classes = => internal_mail_filter_classes = bounce, notify"},
			want: []string{"warning: internal_mail_filter_classes is bounce, notify"}, do: "postconf -e 'internal_mail_filter_classes = ' && postfix reload"},
		{name: "a content filter's way back", services: []string{" => 127.0.0.1:10025 inet n - n - - smtpd"},
			options: []string{" => submission/inet/content_filter = amavis:[127.0.0.1]:10024"},
			want:    []string{"warning: 127.0.0.1:10025/inet: the filter is asked about mail that a content filter (content_filter) hands back"}},
		{name: "a content filter's way back without milters", services: []string{" => 127.0.0.1:10025 inet n - n - - smtpd"},
			options: []string{" => submission/inet/content_filter = amavis:[127.0.0.1]:10024", " => 127.0.0.1:10025/inet/receive_override_options = no_milters"}},
		{name: "loopback without a content filter", services: []string{" => 127.0.0.1:10025 inet n - n - - smtpd"}},
		{name: "no smtpd", services: []string{"smtpd => discard"}, want: []string{"warning: master.cf has no smtpd"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			main, services, options := recorded(t)
			p, err := ReadPostfix("/etc/postfix", changed(t, main, tt.main...), changed(t, services, tt.services...), changed(t, options, tt.options...))
			if err != nil {
				t.Fatal(err)
			}
			listen := "unix:" + chrooted
			if tt.listen != "" {
				listen = tt.listen
			}
			list := CheckPostfix(p, listens(t, listen))
			want := append(tt.want, "note: local_login_sender_maps is static:*: a local user may name any envelope sender")
			if diff := cmp.Diff(want, worse(list, OK)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			wantDo(t, list, tt.do)
			everyReason(t, list)
		})
	}
}

// listens reads addresses, with spaces between them.
func listens(t testing.TB, texts string) []Address {
	t.Helper()
	var ours []Address
	for _, text := range strings.Fields(texts) {
		a, err := ParseListen(text)
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, a)
	}
	return ours
}

// each is a finding about every service that has the filter.
func each(level, what string) []string {
	var list []string
	for _, where := range []string{"smtp/inet: smtpd_milters", "submission/inet: smtpd_milters", "submissions/inet: smtpd_milters", "cleanup/unix: non_smtpd_milters"} {
		list = append(list, level+": "+where+": "+what)
	}
	return list
}

func wantDo(t *testing.T, list []Finding, text string) {
	t.Helper()
	for _, f := range list {
		if strings.Contains(f.Do, text) {
			return
		}
	}
	t.Errorf("no finding says %q to do:\n%+v", text, list)
}

// everyReason: what is not well says why, and with a warning or fault what to do.
func everyReason(t *testing.T, list []Finding) {
	t.Helper()
	for _, f := range list {
		if f.Area == "" || f.What == "" || f.Level > OK && f.Why == "" {
			t.Errorf("%+v: want an area, a what and a why", f)
		}
	}
}

func TestPostfixNotKnowing(t *testing.T) {
	main, services, options := recorded(t)
	p, err := ReadPostfix("/etc/postfix", main, services, options)
	if err != nil {
		t.Fatal(err)
	}
	list := CheckPostfix(p, nil)
	if Worst(list) != Note {
		t.Errorf("without an address of ours: %+v", list)
	}
	for _, bad := range [][3]string{
		{"", services, options}, {main, "smtp inet n", options}, {main, services, "submission = yes"}, {main, services, "submission/inet/x"},
	} {
		if _, err := ReadPostfix("/etc/postfix", bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%.40q, %.40q, %.40q: no error", bad[0], bad[1], bad[2])
		}
	}
}

func TestChrootColumn(t *testing.T) {
	for _, tt := range []struct {
		column, level string
		want          bool
	}{{"y", "3.6", true}, {"n", "0", false}, {"-", "0", true}, {"-", "", true}, {"-", "1", false}, {"-", "3.6", false}} {
		p := &Postfix{main: map[string]string{"compatibility_level": tt.level}}
		if got := p.chrooted(tt.column); got != tt.want {
			t.Errorf("column %q at level %q: got %v", tt.column, tt.level, got)
		}
	}
}

func TestPostfixTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "30": 30 * time.Second, "30s": 30 * time.Second, "5m": 5 * time.Minute, "1h": time.Hour, "2d": 48 * time.Hour, "1w": 7 * 24 * time.Hour,
		"2147483647": 2147483647 * time.Second, "2147483648": -1, "3550w": 3550 * 7 * 24 * time.Hour, "3551w": -1, "": -1, "s": -1, "-1": -1, "5x": -1, "1.5s": -1,
	} {
		got, err := postfixTime(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
}

func FuzzPostconf(f *testing.F) {
	main, services, options := recorded(f)
	f.Add("smtpd_milters = unix:a, { inet:b:1, default_action=accept }", services, options)
	f.Add(main, "x/y unix n - - - - smtpd", "x/y/unix/smtpd_milters = {")
	f.Add("compatibility_level = -", "a inet - - - - - cleanup\nb inet - - - - - pickup", "a/inet/cleanup_service_name = a")
	f.Fuzz(func(t *testing.T, main, services, options string) {
		p, err := ReadPostfix("/etc/postfix", "queue_directory=/q\nmail_owner=root\n"+main, services, options)
		if err != nil {
			return
		}
		everyReason(t, CheckPostfix(p, []Address{{Path: "/q/m"}, {Host: "127.0.0.1", Port: 1}}))
	})
}
