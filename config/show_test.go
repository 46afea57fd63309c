package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "main.toml")
	const text = `[identity]
header_from = "shadow"
[content]
at = 20
steps = { tag = 6, quarantine = 10.5 }
[accounts]
networks = ["192.0.2.0/24", "2001:db8::1"]
[limit.day]
max = 100
plans = { pro = 500 }
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, faults := Load(file, true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for key, want := range map[string]string{
		"identity.header_from": `"shadow"`, "identity.sender": `"reject"`, "content.at": "20",
		"content.steps": "{ quarantine = 10.5, tag = 6 }", "accounts.networks": `["192.0.2.0/24", "2001:db8::1"]`,
		"limit.day.max": "100", "limit.day.window": `"1m"`, "limit.day.plans.pro": "500", "bulk.similar": "20",
		"limit.day.plans.basic": "", "no.such": "",
	} {
		if got := c.Rules.Value(key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if len(c.Rules.Version) != 12 {
		t.Errorf("version %q", c.Rules.Version)
	}
	version := c.Rules.Version
	if err := os.WriteFile(file, []byte(text+"# a remark\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, _ = Load(file, true); c.Rules.Version == version {
		t.Error("another file has the same version")
	}
}
