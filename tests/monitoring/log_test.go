package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	program "o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// Nobody reads the daemon's standard error, then it is gone: mail is answered.
func TestMailDoesNotWaitForTheLog(t *testing.T) {
	d := program.New(t, []string{"unix:milter.sock"}, settings)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(program.Program(t), "serve", "--config", filepath.Join(d.Dir, "o2n-milter.toml"))
	cmd.Stderr, cmd.Env = w, append(os.Environ(), "JOURNAL_STREAM="+stream(t, w))
	d.Proc = mta.Start(t, cmd)
	mta.Poll(t, "o2n-milter is ready", func() bool { return d.Get("/readyz") == 200 })
	w.Close()
	var first [8000]byte
	if n, err := r.Read(first[:]); err != nil || !regexp.MustCompile(`^((<3>level=ERROR|<4>level=WARN|<6>level=INFO) msg=.*\n)+$`).Match(first[:n]) {
		t.Errorf("as for the journal: %v, %q", err, first[:n])
	}

	m := traffic()[0] // passes, however often
	m.Sender = strings.Repeat("x", 900) + "@else.example"
	send := func(times int) {
		f, err := mta.DialFilter("unix", filepath.Join(d.Dir, "milter.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Connect(m.name, m.Client, m.port); err != nil {
			t.Fatal(err)
		}
		for i := range times {
			if out, err := f.Deliver(m.Letter); err != nil || out.Reply.Code != m.want {
				t.Fatalf("letter %d: %v, %v", i, out.Reply, err)
			}
		}
	}
	send(150) // at some 1,100 octets a line the 64 KiB of the pipe are full after 60
	if lost := d.Metric(t, "o2n_milter_log_lines_lost_total"); lost != 0 {
		t.Errorf("%v lines are lost already", lost)
	}
	r.Close()
	send(10)
	mta.Poll(t, "lost lines are counted", func() bool { return d.Metric(t, "o2n_milter_log_lines_lost_total") != 0 })
	if !d.Proc.Running() || d.Get("/readyz") != 200 {
		t.Errorf("o2n-milter is gone: %v", d.Proc.Err())
	}
}

// stream is what systemd tells of a standard error that it has connected to the journal.
func stream(t *testing.T, f *os.File) string {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// A configuration that keeps the daemon from starting is an error in the journal too.
func TestFaultsInTheJournal(t *testing.T) {
	d := program.New(t, []string{"unix:milter.sock"}, "[log]\nlevel = \"loud\"\n")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--config", filepath.Join(d.Dir, "o2n-milter.toml")}, `^<3>.*log\.level: "loud".*\n$`},
		{[]string{"serve", "--nonsense"}, `^<3>o2n-milter: unknown flag.*\n$`},
	} {
		cmd := exec.Command(program.Program(t), c.args...)
		cmd.Stderr, cmd.Env = w, append(os.Environ(), "JOURNAL_STREAM="+stream(t, w))
		if err := cmd.Run(); err == nil {
			t.Fatalf("%v runs", c.args)
		}
		var said [4000]byte
		if n, err := r.Read(said[:]); err != nil || !regexp.MustCompile(c.want).Match(said[:n]) {
			t.Errorf("%v: %v, %q", c.args, err, said[:n])
		}
	}
	w.Close()
}

// A reload changes format, level and which messages are told; keys keep their order.
func TestLogSettingsAreReloaded(t *testing.T) {
	d := program.Start(t, []string{"unix:milter.sock"}, settings)
	addr := filepath.Join(d.Dir, "milter.sock")
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(d.Dir, "conf.d", "log.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d.Reload(t)
	}
	passes, refused := traffic()[0], traffic()[5]
	lines := func(want int) []string {
		t.Helper()
		var found []string
		mta.Poll(t, "lines about messages", func() bool {
			found = regexp.MustCompile(`(?m)^.*msg"?[=:]"?message\b.*$`).FindAllString(d.Log(), -1)
			return len(found) >= want
		})
		if len(found) != want {
			t.Errorf("%d lines, want %d:\n%s", len(found), want, strings.Join(found, "\n"))
		}
		return found
	}

	deliver(t, addr, passes)
	keys := strings.Join(regexp.MustCompile(`(?:^| )([a-z]+)=`).FindAllString(lines(1)[0], -1), "")
	if want := "time= level= msg= action= rule= id= account= client= qid= from= rcpts= code= evidence= took="; keys != want {
		t.Errorf("keys\n%s, want\n%s", keys, want)
	}
	reload("[log]\nformat = \"json\"\nmessages = \"refused\"\n")
	deliver(t, addr, passes)
	deliver(t, addr, refused)
	line := lines(2)[1]
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["rule"] != "identity.header_from" {
		t.Errorf("%v in %s", err, line)
	}
	keys = strings.Join(regexp.MustCompile(`[{,]"[a-z]+":`).FindAllString(line, -1), " ")
	if want := `{"time": ,"level": ,"msg": ,"action": ,"rule": ,"id": ,"account": ,"client": ,"qid": ,"from": ,"rcpts": ,"code": ,"evidence": ,"took":`; keys != want {
		t.Errorf("keys\n%s, want\n%s", keys, want)
	}
	reload("[log]\nlevel = \"error\"\n")
	deliver(t, addr, passes)
	reload("")
	deliver(t, addr, passes)
	lines(3)
}
