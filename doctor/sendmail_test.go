package doctor

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func recordedCF(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func readCF(t testing.TB, name, text string) *Sendmail {
	t.Helper()
	s, err := ReadSendmail(name, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSendmailWiring(t *testing.T) {
	const x = "Xo2n, S=local:/run/o2n-milter/milter.sock, F=T, T=S:30s;R:30s;E:5m"
	for _, tt := range []struct {
		name    string
		changes []string
		submit  []string
		listen  string // default: /run/o2n-milter/milter.sock
		want    []string
		do      string
	}{
		{name: "good"},
		{name: "no filter", changes: []string{x + " => ", "O InputMailFilters=o2n => #O InputMailFilters"},
			want: []string{"fault: sendmail.cf: no filter has an address of milter.listen (unix:/run/o2n-milter/milter.sock)"},
			do:   "INPUT_MAIL_FILTER(`o2n-milter', `S=local:/run/o2n-milter/milter.sock, F=T, T=S:30s;R:30s;E:5m')dnl"},
		{name: "another address", changes: []string{"o2n-milter/milter.sock => other/milter.sock"},
			want: []string{"fault: sendmail.cf: no filter has an address of milter.listen (unix:/run/o2n-milter/milter.sock)"}},
		{name: "MAIL_FILTER alone", changes: []string{"O InputMailFilters=o2n => O InputMailFilters="},
			want: []string{"fault: sendmail.cf: filter o2n is defined, and InputMailFilters does not name it (MAIL_FILTER defines only)"}},
		{name: "by TCP", listen: "tcp:127.0.0.1:8895", changes: []string{"local:/run/o2n-milter/milter.sock => inet:8895@localhost"}},
		{name: "by TCP, another port", listen: "tcp:127.0.0.1:8895", changes: []string{"local:/run/o2n-milter/milter.sock => inet:8896@localhost"},
			want: []string{"fault: sendmail.cf: no filter has an address of milter.listen (tcp:127.0.0.1:8895)"}, do: "S=inet:8895@127.0.0.1, F=T"},
		{name: "fails open", changes: []string{", F=T => "}, want: []string{"fault: sendmail.cf: Xo2n has no F="}},
		{name: "fails open, and listens on a port too", listen: "tcp:127.0.0.1:8895 unix:/run/o2n-milter/milter.sock", changes: []string{", F=T => "},
			want: []string{"fault: sendmail.cf: Xo2n has no F="}, do: "S=local:/run/o2n-milter/milter.sock, F=T"},
		{name: "by TCP, and listens on a socket too", listen: "unix:/run/o2n-milter/milter.sock tcp:127.0.0.1:8895",
			changes: []string{"local:/run/o2n-milter/milter.sock, F=T => inet:8895@localhost, F=R"}, want: []string{"warning: sendmail.cf: Xo2n: F=R"}, do: "S=inet:8895@localhost, F=T"},
		{name: "refuses", changes: []string{", F=T => , F=R"}, want: []string{"warning: sendmail.cf: Xo2n: F=R"}},
		{name: "hangs up", changes: []string{", F=T => , F=4"}, want: []string{"note: sendmail.cf: Xo2n: F=4"}},
		{name: "shrugs", changes: []string{", F=T => , F=x"}, want: []string{"warning: sendmail.cf: Xo2n: F=x"}},
		{name: "no T=", changes: []string{", T=S:30s;R:30s;E:5m => "}, want: []string{"note: sendmail.cf: Xo2n: T= has no R"}},
		{name: "short R", changes: []string{"R:30s => R:9s"}, want: []string{"warning: sendmail.cf: Xo2n: T=R:9s; want 10s or more"}},
		{name: "just long enough", changes: []string{"R:30s => R:10s"}},
		{name: "no login for old Sendmails", changes: []string{"{auth_type}, {auth_authen}, => {auth_type},"},
			want: []string{"note: sendmail.cf: Milter.macros.envfrom has no {auth_authen}"}},
		{name: "continued line", changes: []string{"milter.sock, F=T, => milter.sock,\n\tF=T,"}},
		{name: "a filter after us", changes: []string{"O InputMailFilters=o2n => O InputMailFilters=o2n, rspamd"},
			want: []string{"warning: sendmail.cf: InputMailFilters: after the filter comes rspamd"}},
		{name: "a signer after us", changes: []string{"O InputMailFilters=o2n => O InputMailFilters=o2n, opendkim"},
			want: []string{"note: sendmail.cf: InputMailFilters: after the filter comes opendkim, by its name a signer"}},
		{name: "a filter before us", changes: []string{"O InputMailFilters=o2n => O InputMailFilters=rspamd, o2n"}},
		{name: "twice", changes: []string{"O InputMailFilters=o2n => O InputMailFilters=o2n, again", " => Xagain, S=unix:/run/o2n-milter/milter.sock"},
			want: []string{"fault: sendmail.cf: InputMailFilters names the filter 2 times"}},
		{name: "an MSA without logins", changes: []string{"M=Ea => M=E"},
			want: []string{"warning: sendmail.cf: daemon MSA (port 587) takes mail without a login"}, do: "DAEMON_OPTIONS(`Port=587, Name=MSA, M=Ea')dnl"},
		{name: "a daemon with filters of its own", changes: []string{"Port=25 => Port=25, InputMailFilters=rspamd"},
			want: []string{"fault: sendmail.cf: daemon MTA (port 25) has InputMailFilters=rspamd of its own, without the filter"}},
		{name: "a daemon that names us", changes: []string{"Port=25 => Port=25, InputMailFilters=o2n"}},
		{name: "sendmail(1) hands over elsewhere", submit: []string{"[127.0.0.1] => mail.example"},
			want: []string{`warning: submit.cf hands over to "mail.example"`}},
		{name: "by IPv6", submit: []string{"[127.0.0.1] => [IPv6:::1]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			listen := "unix:/run/o2n-milter/milter.sock"
			if tt.listen != "" {
				listen = tt.listen
			}
			s := readCF(t, "sendmail.cf", changed(t, recordedCF(t, "sendmail.cf"), tt.changes...))
			submit := readCF(t, "submit.cf", changed(t, recordedCF(t, "submit.cf"), tt.submit...))
			list := CheckSendmail(s, submit, listens(t, listen))
			if diff := cmp.Diff(tt.want, worse(list, OK)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			wantDo(t, list, tt.do)
			everyReason(t, list)
		})
	}
}

func TestSendmailNotKnowing(t *testing.T) {
	s := readCF(t, "sendmail.cf", recordedCF(t, "sendmail.cf"))
	if got := Worst(CheckSendmail(s, nil, nil)); got != Note {
		t.Errorf("without an address of ours: %v, want a note", got)
	}
	want := []string{"note: submit.cf was not found"}
	if diff := cmp.Diff(want, worse(CheckSendmail(s, nil, []Address{{Path: "/run/o2n-milter/milter.sock"}}), OK)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if _, err := ReadSendmail("x.cf", strings.NewReader(strings.Repeat("x", maxCFLine+1))); err == nil {
		t.Error("a line without end: no error")
	}
}

func FuzzSendmailCF(f *testing.F) {
	f.Add(recordedCF(f, "sendmail.cf"), recordedCF(f, "submit.cf"))
	f.Add("Xa, S=inet6:1@[::1]\n\tF=\nO InputMailFilters=a;a", "D{MTAHost}[IPv6:::1]")
	f.Add("O DaemonPortOptions=P=587,M=,I=\nX", "D{MTAHost}")
	f.Fuzz(func(t *testing.T, daemon, submit string) {
		s, err := ReadSendmail("sendmail.cf", strings.NewReader(daemon))
		if err != nil {
			return
		}
		sub, err := ReadSendmail("submit.cf", strings.NewReader(submit))
		if err != nil {
			sub = nil
		}
		everyReason(t, CheckSendmail(s, sub, []Address{{Path: "/run/o2n-milter/milter.sock"}, {Host: "::1", Port: 1}}))
	})
}
