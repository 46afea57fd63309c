package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
	"o2n-milter/rules"
)

// write makes files below a new folder and returns the folder.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loadFaults loads main.toml of the files; faults come without the folder.
func loadFaults(t testing.TB, files map[string]string) (*Config, []string) {
	t.Helper()
	dir := write(t, files)
	c, faults := Load(filepath.Join(dir, "main.toml"), true)
	var texts []string
	for _, f := range faults {
		texts = append(texts, strings.ReplaceAll(f.Error(), dir+"/", ""))
	}
	if (c == nil) != (len(faults) > 0) {
		t.Errorf("a config beside %d faults: %v", len(faults), c != nil)
	}
	return c, texts
}

func good(t testing.TB, text string) *Config {
	t.Helper()
	c, faults := loadFaults(t, map[string]string{"main.toml": text})
	if faults != nil {
		t.Fatalf("faults: %q", faults)
	}
	return c
}

// The files in testdata/bad-*.toml hold one fault each; the first line wants it.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad-*.toml")
	if err != nil || len(files) < 90 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			want, ok := strings.CutPrefix(first, "# want: ")
			if !ok {
				t.Fatalf("first line is %q", first)
			}
			_, got := loadFaults(t, map[string]string{"main.toml": string(text)})
			if diff := cmp.Diff([]string{"main.toml:" + want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good-*.toml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			good(t, string(text))
		})
	}
}

func TestDefaults(t *testing.T) {
	dir := t.TempDir()
	c, faults := Load(filepath.Join(dir, "main.toml"), false)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if c.Accounts.File != filepath.Join(dir, "accounts.toml") {
		t.Errorf("accounts.file is %q", c.Accounts.File)
	}
	file, line := c.Rules.Origin("identity.header_from")
	if file != "" || line != 0 {
		t.Errorf("origin of a default is %s:%d", file, line)
	}
	list, err := c.Accounts.Read()
	if err != nil || len(list) > 0 {
		t.Errorf("accounts %v, %v", list, err)
	}
	c.File, c.Accounts.File, c.Accounts.Read, c.Rules.Origin, c.Rules.Value, c.Rules.Version = "", "", nil, nil, nil, ""
	want := &Config{
		Milter: Milter{Listen: []string{"tcp:127.0.0.1:8895"}, SocketMode: 0o660, MaxSessions: 1000, MaxPerClient: 500,
			ShutdownTimeout: 20 * time.Second},
		State: State{Backend: "badger", Path: "/var/lib/o2n-milter", Durability: "process",
			Cache: 64e6, MinFree: 96e6, MaxSize: 2e9,
			Redis: "redis://127.0.0.1:6379/0", Retention: 30 * 24 * time.Hour},
		Accounts: Accounts{Table: map[string]*accounts.Account{}},
		Rules: rules.Settings{
			Actions: map[string]rules.Action{
				"message.malformed": rules.Reject, "message.too_complex": rules.Tempfail,
				"accounts.unavailable": rules.Tempfail, "store.unavailable": rules.Tempfail,
				"identity.header_from": rules.Reject, "identity.sender": rules.Reject, "identity.reply_to": rules.Reject,
				"identity.envelope_from": rules.Reject, "identity.display_name": rules.Shadow, "identity.malformed": rules.Reject,
				"recipients.visible": rules.Reject, "recipients.envelope": rules.Reject, "recipients.duplicate": rules.Reject,
				"bulk.unsubscribe": rules.Reject, "bulk.one_click": rules.Shadow, "bulk.reason": rules.Shadow,
				"bulk.volume": rules.Reject, "bulk.pace": rules.Off, "block.active": rules.Reject, "hold.full": rules.Tempfail,
				"content.score": rules.Shadow, "content.unavailable": rules.Shadow,
			},
			MaxVisible: 10, MaxEnvelope: 10, MaxDuplicates: 1,
			Networks: []netip.Prefix{}, Hosts: []string{},
			Content: rules.Content{At: 15, Steps: map[rules.Action]float64{}},
			Blocking: rules.Blocking{
				Automatic: rules.Reject, Strikes: 5, Within: time.Hour, Weights: map[string]int{}, Remember: 30 * day,
				Durations:  []time.Duration{time.Hour, 4 * time.Hour, day, 0},
				MaxPerHour: 100, MaxShare: 10, CustomerAfter: 3, IPAfter: 3, Reachable: []string{},
			},
			SelfUnblock: 2,
			Bulk: rules.Bulk{
				Similar: 20, Window: day, MaxCampaign: 200, PaceMax: 10, PaceWindow: time.Minute,
				UnsubscribePhrases: rules.UnsubscribePhrases, ReasonPhrases: rules.ReasonPhrases,
			},
			BulkService: "https://bulk.example/",
			Language:    "en", HelpURL: "https://help.example/sending-rules",
		},
		Hold: Hold{MTA: "auto", Agent: "/run/o2n-milter/hold.sock", MaxAge: 72 * time.Hour, MaxPerSubject: 1000, MaxMessages: 10_000,
			Keep: []string{}},
		Content: Content{Timeout: 2 * time.Second},
		Admin:   Admin{Socket: "/run/o2n-milter/admin.sock", Mode: 0o660},
		Notify: Notify{
			Operator: []string{}, SMTP: "127.0.0.1:25", Exec: map[string][]string{}, Digest: day, Timeout: 30 * time.Second,
		},
		Web: Web{Listen: "127.0.0.1:8896", PublicURL: "https://sending.example",
			LinkKeyFile: "/etc/o2n-milter/link.key", TrustedProxy: []netip.Prefix{}},
	}
	if diff := cmp.Diff(want, c, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestEveryValue(t *testing.T) {
	dir := write(t, map[string]string{
		"main.toml": `
[milter]
listen = ["unix:run/m.sock", "tcp:[::1]:8895", "tcp:192.0.2.1:8895"]
allow_remote = true
socket_mode = "0600"
shutdown_timeout = "0s"
[state]
backend = "memory"
path = "store"
durability = "power"
redis = "rediss://127.0.0.1:6379/0"
cache = "8MiB"
min_free = "6MB"
max_size = "100000000000kB"
redis_password_file = "secret"
redis_ca_file = "ca.pem"
on_failure = "accept"
retention = "1d12h"
[accounts]
unknown = "reject"
default_realm = "Bücher.example."
file = "map/a.toml"
networks = ["192.0.2.0/24", "2001:db8::1"]
hosts = ["WEB1.example"]
[account."Alice@Client-A.example"]
customer = "C-1001"
plan = "mailbox"
addresses = ["Alice@Bücher.example"]
domains = ["client-a.example"]
reply_to = ["desk@help.example", "Help.example"]
scripts = ["WWW-data@web1.example"]
ips = ["192.0.2.7", "2001:db8::/64"]
[identity]
alignment = "strict"
sender = "off"
[limit.b]
max = 1
window = "1d"
[limit.a]
subject = "account+domain"
unit = "bytes"
max = 9007199254740992
window = "90s"
action = "shadow"
plans = { pro = 60, "big one" = 100 }
[web]
listen = "0.0.0.0:80"
allow_remote = true
[recipients]
max_visible = 1
max_duplicates = 0
`,
		"map/a.toml": "[account.bob]\ndomains = ['b.example']\n",
		"secret":     "s3cret\n",
		"ca.pem":     certificate,
	})
	file := filepath.Join(dir, "main.toml")
	c, faults := Load(file, true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	wantAccount := &accounts.Account{
		Login: "alice@client-a.example", Customer: "C-1001", Plan: "mailbox",
		Addresses: []string{"alice@xn--bcher-kva.example"}, Domains: []string{"client-a.example"},
		ReplyTo: []string{"desk@help.example", "help.example"}, Scripts: []string{"www-data@web1.example"},
		IPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/64")},
	}
	bob := &accounts.Account{Login: "bob", Addresses: []string{}, Domains: []string{"b.example"}, ReplyTo: []string{},
		Scripts: []string{}, IPs: []netip.Prefix{}}
	list, err := c.Accounts.Read()
	if err != nil {
		t.Fatal(err)
	}
	wantLimits := []rules.Limit{
		{Name: "b", Subject: "account", Unit: rules.Messages, Max: 1, Window: 24 * time.Hour, Action: rules.Tempfail},
		{Name: "a", Subject: "account+domain", Unit: rules.Bytes, Max: 1 << 53, Window: 90 * time.Second, Action: rules.Shadow,
			Plans: map[string]int64{"pro": 60, "big one": 100}},
	}
	for _, c := range []struct{ got, want any }{
		{c.Milter.Listen, []string{"unix:" + dir + "/run/m.sock", "tcp:[::1]:8895", "tcp:192.0.2.1:8895"}},
		{c.Milter.AllowRemote, true},
		{c.Milter.SocketMode.String(), "-rw-------"},
		{c.Milter.ShutdownTimeout, time.Duration(0)},
		{c.State, State{Backend: "memory", Path: dir + "/store", Durability: "power", Cache: 8 << 20, MinFree: 6e6, MaxSize: 100e12,
			Redis: "rediss://127.0.0.1:6379/0", RedisPasswordFile: dir + "/secret", RedisCAFile: dir + "/ca.pem", Retention: 36 * time.Hour}},
		{c.Accounts.File, dir + "/map/a.toml"},
		{c.Accounts.Table, map[string]*accounts.Account{"alice@client-a.example": wantAccount}},
		{list, []*accounts.Account{wantAccount, bob}},
		{c.Rules.UnknownReject, true},
		{c.Rules.Strict, true},
		{c.Rules.DefaultRealm, "xn--bcher-kva.example"},
		{c.Rules.Networks, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}},
		{c.Rules.Hosts, []string{"web1.example"}},
		{c.Rules.Actions["store.unavailable"], rules.Accept},
		{c.Rules.Actions["identity.sender"], rules.Off},
		{c.Rules.Limits, wantLimits},
		{c.Rules.MaxVisible, 1},
		{c.Rules.MaxDuplicates, 0},
		{c.Web.Listen, "0.0.0.0:80"},
		{c.Files, []string{file, dir + "/map/a.toml"}},
		{len(c.Notes), 0},
	} {
		if diff := cmp.Diff(c.want, c.got, same); diff != "" {
			t.Error(diff)
		}
	}
	for key, want := range map[string]int{
		"milter.listen": 3, "limit.a": 39, "limit.a.max": 42, "limit.a.plans.pro": 45,
		"limit.a.subject": 40, "state": 7, "limit.b.action": 0,
	} {
		if _, line := c.Rules.Origin(key); line != want {
			t.Errorf("origin of %s is line %d, want %d", key, line, want)
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, got := loadFaults(t, map[string]string{
		"main.toml": `[milter]
listen = [
  "tcp:127.0.0.1:8895", # fine
  "unix:",
  7,
]
max_sessions = 0
[limit.minute]
max = "ten"
[web]
listen = "192.0.2.1:80"
[[identity]]
sender = "maybe"
[recipents]
max_visible = 3
`,
		"conf.d/10-broken.toml": "[state]\npath = \n",
		"conf.d/20-more.toml": `milter.max_sessions = 5
state.backend = "sqlite"
limit.minute.Max = 3
`,
		"conf.d/.hidden.toml": "x = 1",
		"conf.d/notes.txt":    "not toml",
		"accounts.toml":       "[account.a]\nscripts = ['x']\n[milter]\n",
	})
	want := []string{
		`main.toml:4: milter.listen: "unix:" is no path; want "tcp:HOST:PORT" or "unix:/path"`,
		`main.toml:5: milter.listen: is the integer 7; want "tcp:HOST:PORT" or "unix:/path"`,
		`main.toml:7: milter.max_sessions: 0 is out of range; want an integer from 1 to 1048576`,
		`main.toml:9: limit.minute.max: is the string "ten"; want an integer from 1 to 9007199254740992`,
		`main.toml:11: web.listen: "192.0.2.1:80" is open to other hosts; want a loopback address, or allow_remote = true`,
		`main.toml:12: identity: is an array of tables; want one table [identity]`,
		`main.toml:14: recipents: unknown key (did you mean recipients?); want account, accounts, admin, block, bulk, content, hold, identity, limit, log, message, milter, notify, recipients, reply, shadow, state or web`,
		`conf.d/10-broken.toml:2: syntax: expected value but found '\n' instead; want TOML`,
		`conf.d/20-more.toml:1: milter.max_sessions: is set again; it is first set at main.toml:7; want it in one place`,
		`conf.d/20-more.toml:2: state.backend: "sqlite" is not known here; want badger, redis or memory`,
		`conf.d/20-more.toml:3: limit.minute.Max: is the same key as limit.minute.max at main.toml:9 but for case; want it in one place`,
		`accounts.toml:2: account.a.scripts: "x" holds no @; want a mail address`,
		`accounts.toml:3: milter: unknown key; want account`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is sound but has no effect is noted.
// What other hosts may reach is meant only where it is said; private networks are no
// exception.
func TestListenersOpenToOthers(t *testing.T) {
	for host, open := range map[string]bool{
		"127.0.0.0": false, "127.0.0.1": false, "127.255.255.255": false, "126.255.255.255": true, "128.0.0.0": true,
		"[::1]": false, "[::ffff:127.0.0.1]": false, "[::]": true, "[::2]": true, "[fe80::1]": true, "[fd00::1]": true,
		"0.0.0.0": true, "10.0.0.1": true, "172.16.0.1": true, "192.168.0.1": true, "169.254.0.1": true,
		"localhost": false, "LOCALHOST": false, "localhost.example": true, "filter.example": true,
	} {
		for table, text := range map[string]string{
			"milter": "milter.listen = ['tcp:" + host + ":1']\n",
			"web":    "web.listen = '" + host + ":1'\n",
		} {
			if _, faults := loadFaults(t, map[string]string{"main.toml": text}); (len(faults) == 1) != open || len(faults) > 1 {
				t.Errorf("%s: open to others: %v, faults %q", text, open, faults)
			}
			good(t, text+table+".allow_remote = true\n")
		}
	}
	_, faults := loadFaults(t, map[string]string{"main.toml": "web.allow_remote = true\nmilter.listen = ['tcp:0.0.0.0:1', 'tcp:[::]:2']\n"})
	if len(faults) != 2 { // each address has its own, and the pages' word is not the milter's
		t.Errorf("faults %q", faults)
	}
}

func TestNotes(t *testing.T) {
	c := good(t, `[account.a]
ips = ["192.0.2.1", "127.0.0.1"]
[web]
listen = "127.0.0.1:0"
`)
	var got []string
	for _, n := range c.Notes {
		got = append(got, strings.TrimPrefix(n.Error(), c.File))
	}
	want := []string{
		":2: account.a.ips: accepted, but 192.0.2.1/32 has no effect: it is in no accounts.networks; want a network that holds it",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOnFailure(t *testing.T) {
	for word, want := range map[string]struct {
		action rules.Action
		local  bool
	}{
		"tempfail": {rules.Tempfail, false}, "accept": {rules.Accept, false}, "local": {rules.Tempfail, true},
	} {
		c := good(t, "state.on_failure = '"+word+"'\n")
		if got := c.Rules.Actions["store.unavailable"]; got != want.action || c.State.Local != want.local {
			t.Errorf("%s: %s, local %v", word, got, c.State.Local)
		}
	}
}
