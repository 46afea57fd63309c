//go:build mta

package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	"o2n-milter/doctor"
	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// sound starts a daemon with which nothing is wrong: its socket is for Postfix' group.
func sound(t *testing.T, socket string) *daemon.Daemon {
	t.Helper()
	d := daemon.New(t, []string{"unix:" + socket}, "[limit.hour]\nsubject = \"account\"\nunit = \"messages\"\nmax = 1000\nwindow = \"1h\"\naction = \"reject\"\n")
	file := filepath.Join(d.Dir, "o2n-milter.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	closed := strings.Replace(string(text), `socket_mode = "0666"`, "socket_mode = \"0660\"\nsocket_group = \"postfix\"", 1)
	if err := os.WriteFile(file, []byte(closed), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Start(t)
	return d
}

// ask runs the doctor and wants the exit code that its findings stand for.
func ask(t *testing.T, d *daemon.Daemon, args ...string) []doctor.Finding {
	t.Helper()
	cmd := exec.Command(daemon.Program(t), append([]string{"doctor", "--json", "--config", filepath.Join(d.Dir, "o2n-milter.toml")}, args...)...)
	out, err := cmd.Output()
	code := 0
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		code = ended.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Worst    doctor.Level
		Findings []doctor.Finding
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	want := 0
	if said.Worst > doctor.Note {
		want = 1
	}
	if code != want || said.Worst != doctor.Worst(said.Findings) {
		t.Errorf("exit code %d, worst %v, findings %+v", code, said.Worst, said.Findings)
	}
	return said.Findings
}

// bad are the findings worse than a note.
func bad(list []doctor.Finding) string {
	var b strings.Builder
	for _, f := range list {
		if f.Level > doctor.Note {
			fmt.Fprintf(&b, "%v %s: %s\n", f.Level, f.Area, f.What)
		}
	}
	return b.String()
}

// breakage is something wrong, made by edit, and the findings that it gives, no others.
type breakage struct {
	name string
	edit []string
	want []string
}

func (b breakage) judge(t *testing.T, list []doctor.Finding) {
	t.Helper()
	got := bad(list)
	for _, want := range b.want {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%swant %q", got, want)
		}
	}
	if n := strings.Count(got, "\n"); n != len(b.want) {
		t.Errorf("%d findings, want %d:\n%s", n, len(b.want), got)
	}
}

func TestDoctorPostfix(t *testing.T) {
	p := mta.NewPostfix(t, mta.NewSink(t))
	config := filepath.Join(p.Dir, "etc")
	// The service that asks by TCP has no place here: the daemon has the socket alone.
	change(t, filepath.Join(config, "master.cf"), " -o smtpd_milters=inet:"+p.MilterTCP, "")
	d := sound(t, p.Milter)
	look := func() []doctor.Finding { return ask(t, d, "--mta", "postfix", "--config-directory", config) }
	breakage{}.judge(t, look())

	submission := p.Submission() + "/inet"
	// In master.cf, by the service's line; in main.cf the last word counts.
	line := p.Submission() + " inet n - n - - smtpd"
	option := func(o string) []string { return []string{"master.cf", line, line + " -o " + o} }
	setting := func(s string) []string {
		return []string{"main.cf", "compatibility_level", s + "\ncompatibility_level"}
	}
	for _, b := range []breakage{
		{"no milters", []string{"main.cf", "\nsmtpd_milters = ", "\nsmtpd_milters =\nnone = "}, []string{
			"fault postfix: " + submission + ": smtpd_milters is empty", "fault postfix: " + p.SubmissionTCP() + "/inet: smtpd_milters is empty"}},
		{"another address on the submission service", option("smtpd_milters=unix:/nowhere"),
			[]string{"fault postfix: " + submission + ": smtpd_milters: none of its milters is an address of milter.listen"}},
		{"no local submissions", []string{"main.cf", "\nnon_smtpd_milters = ", "\nnon_smtpd_milters =\nnone = "},
			[]string{"fault postfix: cleanup/unix: non_smtpd_milters is empty"}},
		{"fails open", option("milter_default_action=accept"), []string{"milter_default_action is accept"}},
		{"not last", option("smtpd_milters=unix:" + p.Milter + ",inet:127.0.0.1:1"), []string{"after the filter comes inet:127.0.0.1:1"}},
		{"in a chroot", []string{"master.cf", line, strings.Replace(line, "n - n", "n - y", 1)},
			[]string{"runs in a chroot, where that is " + filepath.Join(p.Dir, "queue", p.Milter)}},
		{"overridden", option("receive_override_options=no_milters"), []string{"receive_override_options has no_milters"}},
		{"an old protocol", option("milter_protocol=2"), []string{"milter_protocol is 2; want 6"}},
		{"an old protocol that is not told of logins", option("milter_protocol=2 -o milter_mail_macros=i,{mail_addr}"),
			[]string{"milter_protocol is 2; want 6", "milter_mail_macros has no {auth_authen}"}},
		{"not last, with settings of its own", option("smtpd_milters={unix:" + p.Milter + ",command_timeout=20s},inet:127.0.0.1:1"),
			[]string{"after the filter comes inet:127.0.0.1:1"}},
		{"bounces judged", setting("internal_mail_filter_classes = bounce"), []string{"internal_mail_filter_classes is bounce"}},
	} {
		t.Run(b.name, func(t *testing.T) {
			defer change(t, filepath.Join(config, b.edit[0]), b.edit[1], b.edit[2])()
			list := look()
			b.judge(t, list)
			if mend(t, list) {
				breakage{}.judge(t, look())
			}
		})
	}
	t.Run("socket closed to Postfix", func(t *testing.T) {
		if err := os.Chmod(p.Milter, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(p.Milter, 0o660)
		breakage{want: []string{"is closed to user postfix"}}.judge(t, look())
	})
	t.Run("traffic", func(t *testing.T) { healthyTraffic(t, d, p, look) })
	t.Run("a later milter refuses", func(t *testing.T) {
		later := deferring(t)
		change(t, filepath.Join(config, "master.cf"), line, line+" -o smtpd_milters=unix:"+p.Milter+",inet:"+later)
		p.Stop()
		p.Start(t)
		for range 5 {
			for range 2 { // the second time the client comes again
				c := mta.Login(t, p.Submission(), "alice@client-a.example")
				if r := deliver(c, 0); r.Code != 451 {
					t.Fatalf("got %v, want the later milter's 451", r)
				}
				c.Quit()
			}
		}
		breakage{want: []string{"after the filter comes inet:" + later, "9 messages came again after they had passed"}}.judge(t, look())
	})
	t.Run("daemon down", func(t *testing.T) {
		d.Proc.Stop()
		breakage{want: []string{"fault daemon: ", "fault sockets: ", "after the filter comes", "does not exist"}}.judge(t, look())
	})
}

// mend does what the findings say, as far as that is postconf's; false: nothing is.
func mend(t *testing.T, list []doctor.Finding) (done bool) {
	t.Helper()
	for _, f := range list {
		command, _, _ := strings.Cut(f.Do, " && ") // no reload: the doctor reads the files
		if f.Level <= doctor.Note || !strings.HasPrefix(command, "postconf ") {
			continue
		}
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
		done = true
	}
	return done
}

// change replaces text in a file, which has to be there; what it returns puts it back.
func change(t *testing.T, file, old, now string) (back func()) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%s: want %q once in\n%s", file, old, text)
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		// Postfix waits for a second before it reads what was written just now.
		old := time.Now().Add(-time.Minute)
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(string(text), old, now, 1))
	return func() { write(string(text)) }
}

// healthyTraffic sends enough for the doctor to judge by: every macro has come.
func healthyTraffic(t *testing.T, d *daemon.Daemon, s mta.Server, look func() []doctor.Finding) {
	const messages = 20
	c := mta.Login(t, s.Submission(), "alice@client-a.example")
	for i := range messages {
		if r := deliver(c, i+1); r.Code != 250 {
			t.Fatal(r)
		}
	}
	c.Quit()
	list := look()
	breakage{}.judge(t, list)
	for _, f := range list {
		if f.Area == "traffic" && f.Level == doctor.OK && strings.Contains(f.What, "20 messages, 20 with a login") {
			return
		}
	}
	t.Errorf("no word of 20 messages with a login: %+v\n%s", list, d.Log())
}

// deliver sends a letter of this number in a session that has logged in.
func deliver(c *mta.Client, number int) mta.Reply {
	c.Must(250, "MAIL FROM:<alice@client-a.example>")
	c.Must(250, "RCPT TO:<friend@remote.example>")
	c.Must(354, "DATA")
	return c.Data(fmt.Appendf(nil, "From: alice@client-a.example\r\nTo: friend@remote.example\r\nMessage-ID: <%d@client-a.example>\r\n\r\nGood morning.\r\n", number))
}

// later is a milter that defers all mail.
type later struct{ milter.NoOpMilter }

func (later) Body(*milter.Modifier) (milter.Response, error) { return milter.RespTempFail, nil }

// deferring starts one and gives its address.
func deferring(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := milter.Server{NewMilter: func() milter.Milter { return later{} }}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() { ln.Close(); <-ended })
	return ln.Addr().String()
}

func TestDoctorSendmail(t *testing.T) {
	s := mta.NewSendmail(t, mta.NewSink(t))
	d := sound(t, s.Milter)
	// Sendmail sees its folder at /mnt; the doctor is outside.
	copied := t.TempDir()
	write := func(edit ...string) {
		for _, name := range []string{"sendmail.cf", "submit.cf"} {
			text, err := os.ReadFile(filepath.Join(s.Dir, "mail", name))
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.NewReplacer(append(edit, "/mnt/", s.Dir+"/")...).Replace(string(text))
			if err := os.WriteFile(filepath.Join(copied, name), []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	look := func() []doctor.Finding { return ask(t, d, "--mta", "sendmail", "--config-directory", copied) }
	for _, b := range []breakage{
		{"none", nil, nil},
		{"no filter", []string{"O InputMailFilters=o2n", "#"}, []string{"filter o2n is defined, and InputMailFilters does not name it"}},
		{"fails open", []string{", F=T", ""}, []string{"Xo2n has no F="}},
		{"another address", []string{"S=local:/mnt/", "S=local:/nowhere/"}, []string{"no filter has an address of milter.listen"}},
		{"hands over elsewhere", []string{"D{MTAHost}[127.0.0.1]", "D{MTAHost}mail.example"}, []string{`hands over to "mail.example"`}},
		{"not last", []string{"O InputMailFilters=o2n", "O InputMailFilters=o2n, other"}, []string{"after the filter comes other"}},
	} {
		t.Run(b.name, func(t *testing.T) {
			write(b.edit...)
			b.judge(t, look())
		})
	}
	write()
	t.Run("traffic", func(t *testing.T) { healthyTraffic(t, d, s, look) })
}
