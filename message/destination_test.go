package message

import "testing"

// Every spelling of one destination is one, and nothing with a destination stays here.
func TestDestination(t *testing.T) {
	for in, want := range map[string]string{
		"a@x.fr": "x.fr", "a@X.FR.": "x.fr", `a@"x.fr"`: "x.fr", `"a@b"@x.fr`: "x.fr", "a@bücher.fr": "xn--bcher-kva.fr",
		"a@x\u00ad.fr": "x.fr", "a@x.f\u200br": "x.fr", "a\uff20x.fr": "x.fr", "Bob <a@x.fr>": "x.fr", "@relay.fr:a@x.fr": "x.fr",
		"a%x.fr": "x.fr", "x.fr!a": "x.fr", "a@foo_bar.fr": "foo_bar.fr",
		"a@[192.0.2.1]": "[192.0.2.1]", "a@[192.0.2.1 ]": "[192.0.2.1]", "b <a@[192.0.2.1]>": "[192.0.2.1]",
		"a@[IPv6:2A00::1]": "[2a00::1]", "a@[IPv6:2a00:0::1]": "[2a00::1]", "a@[::ffff:192.0.2.1]": "[192.0.2.1]",
		"root": "", "": "", `"quoted name"`: "",
	} {
		if got := Destination(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestMailboxOfOddSpellings(t *testing.T) {
	for _, in := range []string{"v@x.fr", "V+ext@x.fr", `v@"x.fr"`, "v@x\u00ad.fr", "v@x.fr."} {
		if got := ParseAddress(in).Mailbox(); got != "v@x.fr" {
			t.Errorf("%q: got %q", in, got)
		}
	}
	if a, b := ParseAddress("a%x.fr").Mailbox(), ParseAddress("b%x.fr").Mailbox(); a == b {
		t.Errorf("two mailboxes are one: %q", a)
	}
}
