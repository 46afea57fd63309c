package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddress(t *testing.T) {
	label := strings.Repeat("a", 63)
	name253 := strings.Repeat(label+".", 3) + strings.Repeat("b", 61)
	tests := []struct {
		in   string
		want Address
	}{
		{"alice@client.fr", Address{Local: "alice", Domain: "client.fr"}},
		{"Alice@CLIENT.Fr", Address{Local: "Alice", Domain: "client.fr"}},
		{" alice@client.fr ", Address{Local: "alice", Domain: "client.fr"}},
		{"alice@client.fr.", Address{Local: "alice", Domain: "client.fr"}},
		{"<alice@client.fr>", Address{Local: "alice", Domain: "client.fr"}},
		{"Some Name <alice@client.fr", Address{Local: "alice", Domain: "client.fr"}},
		{"@relay.fr:alice@client.fr", Address{Local: "alice", Domain: "client.fr", Fault: faultRoute}},
		{"@a.fr,@b.fr:alice@client.fr", Address{Local: "alice", Domain: "client.fr", Fault: faultRoute}},
		{`"alice"@client.fr`, Address{Local: "alice", Domain: "client.fr"}},
		{`"al\"ice"@client.fr`, Address{Local: `al"ice`, Domain: "client.fr"}},
		{`"a<b"@client.fr`, Address{Local: "a<b", Domain: "client.fr", Fault: "angle bracket in the local part"}},
		{`"ceo@bank.fr"@client.fr`, Address{Local: "ceo@bank.fr", Domain: "client.fr", Fault: "@ in the local part"}},
		{"ceo@bank.fr@client.fr", Address{Local: "ceo@bank.fr", Domain: "client.fr", Fault: "@ in the local part"}},
		{"ceo\uff20bank.fr@client.fr", Address{Local: "ceo\uff20bank.fr", Domain: "client.fr", Fault: "@ in the local part"}},
		{"ceo%bank.fr@client.fr", Address{Local: "ceo%bank.fr", Domain: "client.fr", Fault: "% in the local part"}},
		{`"john doe"@client.fr`, Address{Local: "john doe", Domain: "client.fr", Fault: "blank in the local part"}},
		{"a\x01b@client.fr", Address{Local: "a\x01b", Domain: "client.fr", Fault: "control character in the local part"}},
		{"=?utf-8?Q?a?=@client.fr", Address{Local: "=?utf-8?Q?a?=", Domain: "client.fr", Fault: "encoded word in the local part"}},
		{"al\u200bice@client.fr", Address{Local: "al\u200bice", Domain: "client.fr", Fault: faultHiddenUser}},
		{"jörg@bücher.example", Address{Local: "jörg", Domain: "xn--bcher-kva.example"}},
		{"jörg@BÜCHER.example", Address{Local: "jörg", Domain: "xn--bcher-kva.example"}},
		{"a@XN--BCHER-KVA.example", Address{Local: "a", Domain: "xn--bcher-kva.example"}},
		{"j\xf6rg@client.fr", Address{Local: "jörg", Domain: "client.fr"}},
		{"a@сlient.fr", Address{Local: "a", Domain: "xn--lient-0ye.fr"}},
		{"a@cli\u200bent.fr", Address{Local: "a@cli\u200bent.fr", Fault: faultHidden}},
		{"a@cli\u00adent.fr", Address{Local: "a@cli\u00adent.fr", Fault: faultHidden}},
		{"a@cli\u3164ent.fr", Address{Local: "a@cli\u3164ent.fr", Fault: faultHidden}},
		{"a@client\uff0efr", Address{Local: "a", Domain: "client.fr"}},
		{"a@_client.fr", Address{Local: "a@_client.fr", Fault: faultHost}},
		{"a@-client.fr", Address{Local: "a@-client.fr", Fault: faultHost}},
		{"a@client..fr", Address{Local: "a@client..fr", Fault: faultHost}},
		{"a@xn--a.fr", Address{Local: "a@xn--a.fr", Fault: faultHost}},
		{"a@client.fr\x00", Address{Local: "a@client.fr\x00", Fault: faultHost}},
		{"a@[192.0.2.1]", Address{Local: "a@[192.0.2.1]", Fault: faultLiteral}},
		{"alice", Address{Local: "alice", Fault: faultNoDomain}},
		{"alice@", Address{Local: "alice", Fault: faultNoDomain}},
		{"@client.fr", Address{Domain: "client.fr", Fault: faultNoLocal}},
		{"", Address{Fault: faultEmpty}},
		{"<>", Address{Fault: faultEmpty}},
		{"a@" + label + ".fr", Address{Local: "a", Domain: label + ".fr"}},
		{"a@" + label + "a.fr", Address{Local: "a@" + label + "a.fr", Fault: faultHost}},
		{"a@" + name253[1:], Address{Local: "a", Domain: name253[1:]}},
		{"a@" + name253, Address{Local: "a", Domain: name253}},
		{"a@" + name253 + "b", Address{Local: "a@" + name253 + "b", Fault: faultHost}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, ParseAddress(tt.in)); diff != "" {
			t.Errorf("ParseAddress(%q), -want +got:\n%s", tt.in, diff)
		}
	}
}

func TestMailbox(t *testing.T) {
	tests := []struct{ in, fold, mailbox string }{
		{"U@Client.FR", "u@client.fr", "u@client.fr"},
		{"u+1@client.fr", "u+1@client.fr", "u@client.fr"},
		{"u+1+2@client.fr", "u+1+2@client.fr", "u@client.fr"},
		{"+1@client.fr", "+1@client.fr", "+1@client.fr"},
		{`"u"@client.fr`, "u@client.fr", "u@client.fr"},
		{"u@client.fr.", "u@client.fr", "u@client.fr"},
		{"u.x@client.fr", "u.x@client.fr", "u.x@client.fr"},
		{"U.x+y@gmail.com", "u.x+y@gmail.com", "ux@gmail.com"},
		{"ux@GoogleMail.com", "ux@googlemail.com", "ux@gmail.com"},
		{"u.x@notgmail.com", "u.x@notgmail.com", "u.x@notgmail.com"},
		{"É@client.fr", "é@client.fr", "é@client.fr"},
		{"A+b@_x.fr", "a+b@_x.fr", "a+b@_x.fr"},
		{"a@_y.fr", "a@_y.fr", "a@_y.fr"},
		{"Alice", "alice", "alice"},
		{"", "", ""},
	}
	for _, tt := range tests {
		a := ParseAddress(tt.in)
		if diff := cmp.Diff([]string{tt.fold, tt.mailbox}, []string{a.Fold(), a.Mailbox()}); diff != "" {
			t.Errorf("%q, -want +got:\n%s", tt.in, diff)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"alice@client.fr", "Some Name <x@y", "@a:b@c", `"a@b"@c`, "a%b@c", "ü@ü", "a@[::1]", "a@xn--0", "\xff@\xff", `\`, `"\`, "<", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := ParseAddress(s)
		if a.Fault == "" && (a.Local == "" || a.Domain == "") {
			t.Errorf("%q: sound but incomplete: %+v", s, a)
		}
		if a.Domain != "" && !isHostName(a.Domain) {
			t.Errorf("%q: domain %q is no host name", s, a.Domain)
		}
		if a.Fault != "" {
			return
		}
		// What is sound reads as itself when it is written again.
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Local) + `"@` + a.Domain
		if again := ParseAddress(quoted); again != a {
			t.Errorf("%q: %+v reads again as %+v", s, a, again)
		}
		if once, twice := a.Mailbox(), ParseAddress(a.Fold()).Mailbox(); !strings.ContainsAny(a.Local, `\"<:`) && once != twice {
			t.Errorf("%q: mailbox %q, of the folded %q", s, once, twice)
		}
	})
}
