package campaign

import (
	"strings"
	"testing"
)

// pick is Pick, and what it panics with.
func pick() (form string, panicked any) {
	defer func() { panicked = recover() }()
	return Pick("short", "long"), nil
}

func TestPick(t *testing.T) {
	for told, want := range map[string]string{"": "short", "long": "long", "1": "", "Long": "", "long ": "", "short": ""} {
		t.Setenv(EnvLong, told)
		form, panicked := pick()
		if form != want {
			t.Errorf("%s=%q runs in %q, want %q", EnvLong, told, form, want)
		}
		text, _ := panicked.(string)
		if (want == "") != strings.Contains(text, EnvLong+"="+told+"; want long") {
			t.Errorf("%s=%q ends with %v", EnvLong, told, panicked)
		}
	}
}
