package config

import (
	"os"
	"path/filepath"
	"testing"
)

// What could be read is there beside the faults, and it is known whether that is all.
func TestInspect(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		faults     int
		whole      bool
		group      string
	}{
		{"sound", "[milter]\nsocket_group = \"root\"\n", 0, true, "root"},
		{"a faulty key", "[milter]\nsocket_group = \"root\"\nlisen = []\n", 1, true, "root"},
		{"no TOML", "[milter\n", 1, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "o2n-milter.toml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, faults, whole := Inspect(file, true)
			if len(faults) != tt.faults || whole != tt.whole || c == nil || c.Milter.SocketGroup != tt.group {
				t.Errorf("%+v, whole %v, group %q", faults, whole, c.Milter.SocketGroup)
			}
		})
	}
	if _, faults, whole := Inspect(filepath.Join(t.TempDir(), "none.toml"), true); len(faults) != 1 || whole {
		t.Errorf("no file: %+v, whole %v", faults, whole)
	}
}
