package campaign

import (
	"slices"
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

func TestEpisodes(t *testing.T) {
	t.Setenv(EnvSeed, "7")
	t.Setenv(EnvEpisode, "")
	all := Episodes(t, 3)
	if len(all) != 3 || all[0] == all[1] || !slices.Equal(all, Episodes(t, 3)) || !slices.Equal(all[:2], Episodes(t, 2)) {
		t.Errorf("the episodes of one seed are %d, and then %d", all, Episodes(t, 3))
	}
	t.Setenv(EnvEpisode, "18446744073709551615")
	if one := Episodes(t, 3); !slices.Equal(one, []uint64{1<<64 - 1}) {
		t.Errorf("asked for one episode: %d", one)
	}
}
