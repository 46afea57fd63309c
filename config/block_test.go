package config

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
)

func TestBlockAndNotify(t *testing.T) {
	text, err := os.ReadFile("testdata/good-block.toml")
	if err != nil {
		t.Fatal(err)
	}
	c := good(t, string(text))
	b := c.Rules.Blocking
	if d := cmp.Diff(map[string]int{"limit": 0, "identity.header_from": 3, "limit.minute": 1}, b.Weights); d != "" {
		t.Errorf("weights (-want +got):\n%s", d)
	}
	if b.Automatic != rules.Shadow || !slices.Equal(b.Reachable, []string{"abuse@provider.example"}) {
		t.Errorf("blocking %+v", b)
	}
	if d := cmp.Diff(map[string][]string{"block": {"/bin/true", "--x"}}, c.Notify.Exec); d != "" {
		t.Errorf("exec (-want +got):\n%s", d)
	}
}
