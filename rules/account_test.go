package rules

import (
	"errors"
	"testing"
	"time"

	"o2n-milter/state/memory"
)

// AccountOf gives links and pages the account that mail is counted under.
func TestAccountOf(t *testing.T) {
	for name, c := range map[string]struct {
		login  string
		change func(*Settings)
		want   string // empty: may not send
	}{
		"listed":           {"alice@client-a.example", nil, "alice@client-a.example"},
		"its extension":    {"alice+news@client-a.example", nil, "alice@client-a.example"},
		"without realm":    {"alice", nil, ""},
		"with realm":       {"alice", func(s *Settings) { s.DefaultRealm = "client-a.example" }, "alice@client-a.example"},
		"unlisted":         {"eve@elsewhere.example", nil, "eve@elsewhere.example"},
		"unlisted refused": {"eve@elsewhere.example", func(s *Settings) { s.UnknownReject = true }, ""},
		"unlisted realm":   {"eve", func(s *Settings) { s.DefaultRealm = "client-a.example" }, "eve@client-a.example"},
		"no mailbox":       {"a b@client-a.example", nil, ""},
		"nothing":          {"", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			acc, err := newBench(t, c.change).AccountOf(t.Context(), c.login)
			got := ""
			if acc != nil {
				got = acc.Login
			}
			if err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	b := newBench(t, nil)
	e := New(*b.Settings(), sourceAway{}, memory.New(), time.Now)
	if acc, err := e.AccountOf(t.Context(), "alice@client-a.example"); acc != nil || !errors.Is(err, errAway) {
		t.Errorf("%v, %v", acc, err)
	}
}
