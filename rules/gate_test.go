package rules

import "testing"

// Only the body of mail that is going to be judged is worth keeping.
func TestWantsBody(t *testing.T) {
	b := newBench(t, nil)
	for what, tt := range map[string]struct {
		m    *Mail
		want bool
	}{
		"a login": {&Mail{Login: "alice@client-a.example"}, true},
		"local":   {&Mail{Local: true}, true},
		"faulty":  {&Mail{Faults: []string{"command before CONNECT"}}, true},
		"inbound": {&Mail{}, false},
	} {
		if got := b.WantsBody(tt.m); got != tt.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
