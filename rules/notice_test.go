package rules

import (
	"slices"
	"testing"
)

// Our own mail passes unjudged, once, to whom it was made for; the same field on
// anybody else's does nothing.
func TestOwnNotices(t *testing.T) {
	good := "N1"
	b := newBench(t, func(s *Settings) {
		s.Ours = func(value string, to []string) bool {
			ok := value == good && slices.Equal(to, []string{"op@provider.example"})
			good = ""
			return ok
		}
	})
	notice := func() *Mail {
		m := local("o2n-milter@mx.example", "From: o2n-milter@mx.example", "X-O2N-Notice: N1")
		m.Recipients = rcpts("op@provider.example")
		return m
	}
	v := b.decide(t, notice())
	check(t, v, Accept, "none")
	if v.Judged || !v.Own {
		t.Errorf("judged %v, own %v", v.Judged, v.Own)
	}
	check(t, b.decide(t, notice()), Reject, "identity.header_from") // its host is not in accounts.hosts
	good = "N1"
	other := notice()
	other.Recipients = rcpts("victim@remote.example")
	if v := b.decide(t, other); v.Own || v.Action == Accept {
		t.Errorf("to others: %s, own %v", v.Action, v.Own)
	}
	good = "N1"
	withLogin := notice()
	withLogin.Login = "alice@client-a.example"
	if v := b.decide(t, withLogin); v.Own || v.Action == Accept {
		t.Errorf("with a login: %s, own %v", v.Action, v.Own)
	}
}
