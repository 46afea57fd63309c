package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/config"
	"o2n-milter/rules"
)

func TestLevels(t *testing.T) {
	list := []Finding{{Level: Note}, {Level: Fault}, {Level: Warning}}
	if Worst(nil) != OK || Worst(list[:1]) != Note || Worst(list) != Fault {
		t.Error("Worst")
	}
	raw, err := json.Marshal(list[1])
	if err != nil || !strings.HasPrefix(string(raw), `{"level":"fault","area":"",`) {
		t.Errorf("%s, %v", raw, err)
	}
	var back Finding
	if err := json.Unmarshal(raw, &back); err != nil || back != list[1] {
		t.Errorf("%+v, %v", back, err)
	}
	if json.Unmarshal([]byte(`{"level":"bad"}`), &back) == nil {
		t.Error("level bad: no error")
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		mta, text, listen string
		want              bool
	}{
		{"postfix", "unix:/run/m.sock", "unix:/run/m.sock", true},
		{"postfix", "local:/run/m.sock", "unix:/run/m.sock", true},
		{"postfix", "unix:/run/m.sock", "unix:/run/n.sock", false},
		{"postfix", "unix:/run/m.sock", "tcp:127.0.0.1:8895", false},
		{"postfix", "inet:localhost:8895", "tcp:127.0.0.1:8895", true},
		{"postfix", "inet:127.0.0.1:8895", "tcp:localhost:8895", true},
		{"postfix", "inet:[::1]:8895", "tcp:[::1]:8895", true},
		{"postfix", "inet:[::1]:8895", "tcp:127.0.0.1:8895", false},
		{"postfix", "inet:192.0.2.1:8895", "tcp:0.0.0.0:8895", true},
		{"postfix", "inet:192.0.2.1:8895", "tcp:[::]:8895", true},
		{"postfix", "inet:192.0.2.1:8895", "tcp:192.0.2.2:8895", false},
		{"postfix", "inet:filter.example:8895", "tcp:192.0.2.2:8895", true}, // believed
		{"postfix", "inet:localhost:8895", "tcp:192.0.2.2:8895", false},
		{"postfix", "inet:127.0.0.1:8896", "tcp:127.0.0.1:8895", false},
		{"sendmail", "inet:8895@127.0.0.1", "tcp:127.0.0.1:8895", true},
		{"sendmail", "inet6:8895@[::1]", "tcp:[::1]:8895", true},
		{"sendmail", "local:/run/x/../m.sock", "unix:/run/m.sock", true},
	} {
		parse := parsePostfix
		if tt.mta == "sendmail" {
			parse = parseSendmail
		}
		a, err := parse(tt.text)
		b, err2 := ParseListen(tt.listen)
		if err != nil || err2 != nil || a.reaches(b) != tt.want {
			t.Errorf("%s reaches %s: %v, %v, %v, want %v", tt.text, tt.listen, a.reaches(b), err, err2, tt.want)
		}
	}
	for _, bad := range []string{"", "x", "unix:", "inet:1@localhost", "inet:h:0", "inet:h:65536", "inet:h:x", "tcp:h:1"} {
		if a, err := parsePostfix(bad); err == nil {
			t.Errorf("%q: got %v", bad, a)
		}
	}
	for _, good := range []string{"inet:h:1", "inet:h:65535"} {
		if _, err := parsePostfix(good); err != nil {
			t.Error(err)
		}
	}
	if _, err := ParseListen("fd:3"); err == nil {
		t.Error("fd:3: no error")
	}
}

func traffic(messages, logins, local, unjudged int64) Traffic {
	seen := map[string]int64{"i": messages, "j": messages, "mail_addr": messages, "rcpt_addr": messages, "client_addr": messages}
	return Traffic{On: "tcp:127.0.0.1:8895", Sessions: 9, Messages: messages, Logins: logins, Local: local, Unjudged: unjudged, Macros: seen}
}

func TestTraffic(t *testing.T) {
	const where = "tcp:127.0.0.1:8895, in 1m0s: "
	without := func(tr Traffic, macro string) Traffic { tr.Macros[macro] = 0; return tr }
	again := func(n int64, tr Traffic) Traffic { tr.Again = n; return tr }
	deaf := traffic(few, few, 0, 0)
	deaf.Deaf, deaf.CannotHold = 1, 1
	for _, tt := range []struct {
		name string
		in   Traffic
		want []string
	}{
		{"good", traffic(few, few, 0, 0), nil},
		{"too few", without(traffic(few-1, 0, 0, few-1), "i"), []string{"note: " + where + "19 messages"}},
		{"no queue id", without(traffic(few, few, 0, 0), "i"), []string{"fault: " + where + "no message had the macro i"}},
		{"no host", without(traffic(few+1, few, 0, 0), "j"), []string{"fault: " + where + "no message had the macro j"}},
		{"no sender", without(traffic(few, few, 0, 0), "mail_addr"), []string{"warning: " + where + "no message had the macro mail_addr"}},
		{"no client", without(traffic(few, few, 0, 0), "client_addr"), []string{"note: " + where + "no message had the macro client_addr"}},
		{"no login ever", traffic(few, 0, 0, few), []string{"warning: " + where + "none of 20 messages from elsewhere had a login, all passed unjudged"}},
		{"no login, too few from elsewhere", traffic(few, 0, 1, few-1), nil},
		{"no login, but listed networks", traffic(few, 0, 0, few-1), nil},
		{"half of it inbound", traffic(100, 50, 0, 50), nil},
		{"more inbound", traffic(100, 49, 0, 51), []string{"note: " + where + "51% of the messages were inbound and passed unjudged"}},
		{"some come again", again(someAgain-1, traffic(100, 100, 0, 0)), nil},
		{"many come again", again(someAgain, traffic(100, 100, 0, 0)), []string{
			"warning: " + where + "5 messages came again after they had passed, with the same Message-ID, sender and recipients"}},
		{"one in a hundred", again(someAgain, traffic(100*someAgain, 100*someAgain, 0, 0)), []string{
			"warning: " + where + "5 messages came again after they had passed, with the same Message-ID, sender and recipients"}},
		{"fewer than one in a hundred", again(someAgain, traffic(100*someAgain+1, 100*someAgain+1, 0, 0)), nil},
		{"an old MTA", deaf, []string{
			"warning: " + where + "1 of 9 sessions were of an MTA that cannot be asked for macros", "warning: " + where + "1 of 9 sessions were of an MTA that cannot put mail on hold"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			list := CheckTraffic([]Traffic{tt.in}, now.Add(-time.Minute), now)
			want := append(tt.want, "note: what a milter after the filter refuses for good does not show here")
			if diff := cmp.Diff(want, worse(list, OK)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			everyReason(t, list)
		})
	}
	if got := Worst(CheckTraffic(nil, time.Time{}, time.Time{})); got != Note {
		t.Errorf("no socket: %v", got)
	}
}

func TestClock(t *testing.T) {
	everyReason(t, CheckClock())
	for ahead, want := range map[time.Duration]Level{
		0: OK, mostOff: OK, -mostOff: OK, mostOff + 1: Warning, -mostOff - 1: Warning,
	} {
		if got := Worst(CheckOffset(ahead)); got != want {
			t.Errorf("%v ahead: %v, want %v", ahead, got, want)
		}
	}
}

func TestRules(t *testing.T) {
	limit := func(a rules.Action) []rules.Limit { return []rules.Limit{{Name: "hour", Action: a}} }
	for _, tt := range []struct {
		name  string
		set   rules.Settings
		want  []string
		holds bool
	}{
		{"enforced", rules.Settings{Limits: limit(rules.Reject), Actions: map[string]rules.Action{"identity.header_from": rules.Reject}}, nil, false},
		{"no limit", rules.Settings{Actions: map[string]rules.Action{"identity.header_from": rules.Reject}}, []string{"warning: there is no [limit.NAME]"}, false},
		{"all off", rules.Settings{Actions: map[string]rules.Action{"identity.header_from": rules.Off, "store.unavailable": rules.Tempfail}},
			[]string{"warning: there is no [limit.NAME]", "warning: every rule is off"}, false},
		{"shadow", rules.Settings{Limits: limit(rules.Shadow)}, []string{"note: no rule stops mail: the strongest action is shadow"}, false},
		{"all in shadow", rules.Settings{AllShadow: true, Limits: limit(rules.Reject)}, []string{"note: no rule stops mail: the strongest action is shadow"}, false},
		{"a limit that holds local mail", rules.Settings{Limits: limit(rules.Tempfail)}, nil, true},
		{"a limit that holds", rules.Settings{Limits: limit(rules.Quarantine)}, nil, true},
		{"a rule that holds", rules.Settings{Limits: limit(rules.Reject), Actions: map[string]rules.Action{"bulk.reason": rules.Quarantine}}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, worse(CheckRules(&tt.set), OK)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if Holds(&tt.set) != tt.holds {
				t.Errorf("Holds: got %v", !tt.holds)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	f := config.Fault{File: "a.toml", Line: 3, Key: "x", Problem: "is no key", Want: "one"}
	list := CheckConfig(&config.Config{Notes: []config.Fault{f}}, []config.Fault{f})
	if diff := cmp.Diff([]string{"fault: a.toml:3: x: is no key; want one", "note: a.toml:3: x: is no key; want one"}, worse(list, OK)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := Worst(CheckConfig(&config.Config{Files: []string{"a.toml"}}, nil)); got != OK {
		t.Errorf("without a fault: %v", got)
	}
	if got := Worst(CheckConfig(&config.Config{}, nil)); got != Note {
		t.Errorf("without a file: %v", got)
	}
}

// files writes a configuration with a password and a store, all as they should be.
func files(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := &config.Config{Files: []string{filepath.Join(dir, "o2n-milter.toml")}}
	cfg.State = config.State{Backend: "badger", Path: filepath.Join(dir, "store"), MinFree: 1, Redis: "redis://u:secret@127.0.0.1/0"}
	cfg.Rules.Origin = func(string) (string, int) { return cfg.Files[0], 1 }
	cfg.Web.LinkKeyFile = filepath.Join(dir, "link.key")
	for _, name := range []string{cfg.Files[0], cfg.Web.LinkKeyFile} {
		if err := os.WriteFile(name, nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(cfg.State.Path, 0o750); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: wants root: the files of a configuration are root's")
	}
	chmod := func(path string, mode os.FileMode) {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*config.Config)
		want  string // the worst
	}{
		{"good", func(*config.Config) {}, ""},
		{"anybody writes the configuration", func(c *config.Config) { chmod(c.Files[0], 0o642) }, "warning: CONFIG: mode 0642, owner root"},
		{"its group does", func(c *config.Config) { chmod(c.Files[0], 0o660) }, "warning: CONFIG: mode 0660, owner root"},
		{"it is another's", func(c *config.Config) {
			if err := os.Chown(c.Files[0], 1, -1); err != nil {
				t.Fatal(err)
			}
		}, "warning: CONFIG: mode 0640, owner daemon"},
		{"anybody reads the password", func(c *config.Config) { chmod(c.Files[0], 0o644) }, "warning: CONFIG holds a password of Redis, and every user may read it (mode 0644)"},
		{"anybody reads what is no secret", func(c *config.Config) { chmod(c.Files[0], 0o644); c.State.Redis = "redis://127.0.0.1/0" }, ""},
		{"a password in another file", func(c *config.Config) {
			chmod(c.Files[0], 0o644)
			c.Rules.Origin = func(string) (string, int) { return "conf.d/state.toml", 1 }
		}, ""},
		{"nothing lasts", func(c *config.Config) { c.State.Backend = "memory" }, "warning: state.backend is memory"},
		{"no link key", func(c *config.Config) { os.Remove(c.Web.LinkKeyFile) }, "warning: web.link_key_file: KEY does not exist"},
		{"anybody looks into the store", func(c *config.Config) { chmod(c.State.Path, 0o755) }, "warning: state.path: STORE: mode 0755, owner root"},
		{"its group writes the store", func(c *config.Config) { chmod(c.State.Path, 0o770) }, "warning: state.path: STORE: mode 0770, owner root"},
		{"no room", func(c *config.Config) { c.State.MinFree = 1 << 62 }, "fault: state.path: STORE has FREE"},
		{"not made yet", func(c *config.Config) { os.Remove(c.State.Path) }, "note: state.path: STORE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := files(t)
			tt.spoil(cfg)
			list := CheckFiles(cfg, nil)
			everyReason(t, list)
			names := strings.NewReplacer(cfg.Files[0], "CONFIG", cfg.Web.LinkKeyFile, "KEY", cfg.State.Path, "STORE")
			got := ""
			for _, f := range list {
				if f.Level == Worst(list) && f.Level > OK {
					got = names.Replace(f.Level.String() + ": " + f.What)
				}
			}
			if wantStart, _, _ := strings.Cut(tt.want, "FREE"); !strings.HasPrefix(got, wantStart) || tt.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRoom(t *testing.T) {
	for free, want := range map[int64]Level{99: Fault, 100: Warning, 199: Warning, 200: OK, 201: OK} {
		if got := roomLevel(free, 100); got != want {
			t.Errorf("%d free of 100 wanted: %v, want %v", free, got, want)
		}
	}
}

func TestFilesOfAFaultyKey(t *testing.T) {
	cfg := &config.Config{State: config.State{Backend: "redis", Path: filepath.Join(t.TempDir(), "store")}, Web: config.Web{LinkKeyFile: "/nowhere/link.key"}}
	if got := Worst(CheckFiles(cfg, nil)); got != Warning {
		t.Errorf("no link key: %v, want a warning", got)
	}
	if got := CheckFiles(cfg, []config.Fault{{Key: "web.link_key_file"}}); Worst(got) > Note { // the store is not made yet
		t.Errorf("a link key that cannot be read: %+v", got)
	}
}
