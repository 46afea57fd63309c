package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sketch writes addresses as text, faulty ones with "!" and the reason.
func sketch(list []Address) []string {
	var out []string
	for _, a := range list {
		s := a.String()
		if a.Domain != "" && a.Local == "" {
			s = "@" + a.Domain
		}
		if a.Fault != "" {
			s += " !" + a.Fault
		}
		out = append(out, s)
	}
	return out
}

func TestFromStandard(t *testing.T) {
	tests := []struct {
		value     string
		addresses []string
		named     []string
	}{
		{"alice@client.fr", []string{"alice@client.fr"}, nil},
		{"Alice <alice@client.fr>", []string{"alice@client.fr"}, nil},
		{"ALICE@CLIENT.FR", []string{"ALICE@client.fr"}, nil},
		{`"Durand, Jean" <jean@client.fr>`, []string{"jean@client.fr"}, nil},
		{"\n alice@client.fr", []string{"alice@client.fr"}, nil},
		{"Alice\r\n\tMartin\n <alice@client.fr>", []string{"alice@client.fr"}, nil},
		{"alice@client.fr,\n bob@client.fr", []string{"alice@client.fr", "bob@client.fr"}, nil},
		{",,ceo@bank.fr,,", []string{"ceo@bank.fr"}, nil},
		{"L:a@x.fr,b@x.fr;, M:c@x.fr;", []string{"a@x.fr", "b@x.fr", "c@x.fr"}, nil},
		{"undisclosed:;", nil, nil},
		{"", nil, nil},
		{"   ", nil, nil},
		{"Société <alice@client.fr>", []string{"alice@client.fr"}, nil},
		{"=?windows-1252?Q?Soci=E9t=E9?= <alice@client.fr>", []string{"alice@client.fr"}, nil},
		{"=?iso-8859-15?Q?10_=A4?= <alice@client.fr>", []string{"alice@client.fr"}, nil},
		{"alice@société.fr", []string{"alice@xn--socit-esab.fr"}, nil},
		{`"john doe"@client.fr`, []string{"john doe@client.fr !blank in the local part"}, nil},
		{"alice@[192.0.2.1]", []string{"alice@[192.0.2.1] !" + faultLiteral}, nil},
		{"ceo%bank.fr@client.fr", []string{"ceo%bank.fr@client.fr !% in the local part"}, nil},

		{`"ceo@bank.fr" <alice@client.fr>`, []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{`"Boss <ceo@bank.fr>" <alice@client.fr>`, []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{`"alice@client.fr" <alice@client.fr>`, []string{"alice@client.fr"}, []string{"alice@client.fr"}},
		{`"Alice @ Client" <alice@client.fr>`, []string{"alice@client.fr"}, nil},
		{`"Alice @client" <alice@client.fr>`, []string{"alice@client.fr"}, nil},
		{`"me@ home" <alice@client.fr>`, []string{"alice@client.fr"}, nil},
		{"alice@client.fr (ceo@bank.fr)", []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{`alice@client.fr (Boss =?utf-8?Q?ceo=40bank.fr?=)`, []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{"Alice <alice@client.fr> (ceo@bank.fr)", []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{`"ceo@bank.fr": alice@client.fr;`, []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{"=?utf-8?B?Qm9zcyA8Y2VvQGJhbmsuZnI+?= <alice@client.fr>", []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{"=?utf-8?Q?ceo=40?= =?utf-8?Q?bank.fr?= <alice@client.fr>", []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{`"=?utf-8?Q?ceo=40bank.fr?=" <alice@client.fr>`, []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{"ceo\uff20bank.fr <alice@client.fr>", []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{"ceo\ufe6bbank.fr <alice@client.fr>", []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{"\"\u202ermfc.knab@oec\" <alice@client.fr>", []string{"alice@client.fr"}, []string{"\u202ermfc.knab@oec !" + faultHiddenUser}},
		{"\"ceo@\u200bbank.fr\" <alice@client.fr>", []string{"alice@client.fr"}, []string{"ceo@\u200bbank.fr !" + faultHidden}},
		{"\"ceo @\u00a0bank.fr\" <alice@client.fr>", []string{"alice@client.fr"}, []string{"ceo@bank.fr"}},
		{`"ceo@bank.fr"@client.fr`, []string{"ceo@bank.fr@client.fr !@ in the local part"}, []string{"ceo@bank.fr", "@client.fr !" + faultNoLocal}},
	}
	for _, tt := range tests {
		got := Read([]Field{{Name: "From", Value: tt.value}}).From[0]
		if got.Lenient || got.Fault != "" {
			t.Errorf("%q: lenient %v, fault %q", tt.value, got.Lenient, got.Fault)
		}
		if diff := cmp.Diff([][]string{tt.addresses, tt.named}, [][]string{sketch(got.Addresses), sketch(got.Named)}); diff != "" {
			t.Errorf("%q, -want +got:\n%s", tt.value, diff)
		}
	}
}

func TestFromLenient(t *testing.T) {
	tests := []struct {
		value string
		want  []string
	}{
		// Honest: exactly the one address.
		{"Durand, Jean <jean@client.fr>", []string{"jean@client.fr"}},
		{"Alice @ Client <alice@client.fr>", []string{"alice@client.fr"}},
		{"Alice @Client <alice@client.fr>", []string{"alice@client.fr"}},
		{"Soci\xe9t\xe9 <alice@client.fr>", []string{"alice@client.fr"}},
		{"=?utf-7?Q?Soci+AOk-?= <alice@client.fr>", []string{"alice@client.fr"}},
		{"=?x-unknown?B?SmVhbg==?= <alice@client.fr>", []string{"alice@client.fr"}},
		{"'alice@client.fr' <alice@client.fr>", []string{"alice@client.fr"}},
		{"\u201calice@client.fr\u201d <alice@client.fr>", []string{"alice@client.fr"}},
		{"alice@client.fr <alice@client.fr>", []string{"alice@client.fr"}},
		{"alice@client.fr<mailto:alice@client.fr>", []string{"alice@client.fr"}},
		{"=?utf-8?Q?alice@client.fr?= <alice@client.fr>", []string{"alice@client.fr"}},
		{"alice@client.fr;", []string{"alice@client.fr"}},
		{"alice@client.fr.", []string{"alice@client.fr"}},
		{"Alice < alice@client.fr >", []string{"alice@client.fr"}},
		{"Alice <alice@client.fr", []string{"alice@client.fr"}},
		{"[X] Alice <alice@client.fr>", []string{"alice@client.fr"}},
		{"Re: Boss <alice@client.fr>", []string{"alice@client.fr"}},
		{"Alice (Client <alice@client.fr>", []string{"alice@client.fr"}},
		{"alice (x) @ (y) client.fr", []string{"alice@client.fr"}},
		{`"Alice" Martin <alice@client.fr>, x`, []string{"alice@client.fr"}},
		{"Dupont; Jean <jean@x.fr>; o'brien@x.fr; 'bob@x.fr'", []string{"jean@x.fr", "o'brien@x.fr", "bob@x.fr"}},
		{"bob@x.fr <bob@x.fr>; bob@x.fr", []string{"bob@x.fr", "bob@x.fr"}},

		// Nothing at all.
		{"alice", nil},
		{"<>", nil},
		{"@", nil},
		{"Alice @ Client", nil},

		// Forged: the foreign address is among them.
		{"alice@client.fr ceo@bank.fr", []string{"alice@client.fr", "ceo@bank.fr"}},
		{"<alice@client.fr><ceo@bank.fr>", []string{"alice@client.fr", "ceo@bank.fr"}},
		{"ceo@bank.fr<alice@client.fr>", []string{"ceo@bank.fr", "alice@client.fr"}},
		{"(ceo@bank.fr) alice@client.fr", []string{"ceo@bank.fr", "alice@client.fr"}},
		{"(ceo@bank.fr alice@client.fr", []string{"ceo@bank.fr", "alice@client.fr"}},
		{"ceo@(x)bank.fr, <alice@client.fr", []string{"ceo@bank.fr", "alice@client.fr"}},
		{"ceo(x)@bank.fr", []string{"ceo@bank.fr"}},
		{"ceo @ bank.fr, alice@client.fr", []string{"ceo@bank.fr", "alice@client.fr"}},
		{"ceo@ bank <alice@client.fr>", []string{"ceo !" + faultNoDomain, "alice@client.fr"}},
		{`ceo\@bank.fr@client.fr`, []string{"ceo@bank.fr", "bank.fr@client.fr"}},
		{"alice@client.fr@bank.fr", []string{"alice@client.fr", "client.fr@bank.fr"}},
		{"<@bank.fr:alice@client.fr>", []string{"@bank.fr !" + faultNoLocal, "alice@client.fr"}},
		{"<=?utf-8?B?Y2VvQGJhbmsuZnI=?=>", []string{"ceo@bank.fr"}},
		{"=?utf-8?B?PGNlb0BiYW5rLmZyPg==?=,<alice@client.fr>", []string{"alice@client.fr", "ceo@bank.fr"}},
		{"=?utf-7?Q?ceo=40bank.fr?= <alice@client.fr>", []string{"alice@client.fr", "ceo@bank.fr"}},
		{`"x ceo@bank.fr" y, <alice@client.fr>`, []string{"ceo@bank.fr", "alice@client.fr"}},
		{`"ceo"@bank.fr, Durand, <alice@client.fr>`, []string{"ceo@bank.fr", "alice@client.fr"}},
		{"Re: ceo\uff20bank.fr <alice@client.fr>", []string{"ceo@bank.fr", "alice@client.fr"}},
		{"Re: x <alice@[192.0.2.1]>", []string{"alice@[192.0.2.1] !" + faultLiteral}},
		{"Re: x <alice@client.fr\x01.bank.fr>", []string{"alice@client.fr\x01.bank.fr !" + faultHost}},
		{`Re: x <alice@client.fr\.bank.fr>`, []string{`alice@client.fr\.bank.fr !` + faultHost}},
		{"Re: x <alice@cli\u200bent.fr>", []string{"alice@cli\u200bent.fr !" + faultHidden}},
		// A domain with a gap: what either reader takes it for.
		{"alice@client.fr(x).bank.fr", []string{"alice@client.fr", "alice@client.fr.bank.fr"}},
		{`alice@client.fr"<".bank.fr`, []string{"alice@client.fr", "alice@client.fr.bank.fr"}},
		{`alice@client.fr" <x" .bank.fr`, []string{"alice@client.fr", "alice@client.fr.bank.fr"}},
		{"ceo@bank.fr(x).client.fr", []string{"ceo@bank.fr", "ceo@bank.fr.client.fr"}},
		{"alice@client.fr .bank.fr", []string{"alice@client.fr", "alice@client.fr.bank.fr"}},
		{"ceo@bank.fr. client.fr", []string{"ceo@bank.fr", "ceo@bank.fr.client.fr"}},
		{`alice@client.fr".bank.fr"`, []string{"alice@client.fr", "alice@client.fr.bank.fr"}},
		{"alice@client.fr x-bank.fr", []string{"alice@client.fr", "alice@client.frx-bank.fr"}},
		{"alice@client.fr x y.bank.fr", []string{"alice@client.fr", "alice@client.frxy.bank.fr"}},
		{"alice@client.fr Alice Martin", []string{"alice@client.fr"}},
		{"alice@client.fr al.ice@client.fr", []string{"alice@client.fr", "al.ice@client.fr"}},
		{"x \"@\u202e bank.fr, alice@client.fr", []string{"@bank.fr !" + faultNoLocal, "alice@client.fr"}},
		// Encoded words, joined and each by itself, sound and not.
		{"=?utf-8?Q?ceo=40bank.fr?= =?utf-8?Q?.client.fr?=", []string{"ceo@bank.fr.client.fr", "ceo@bank.fr"}},
		{"=?utf-8?Q?alice=40client.f?==?utf-8?Q?r", []string{"alice@client.fr", "alice@client.f= !" + faultHost, "alice@client.f"}},
		{"=?utf-8?B?Y2VvQGJhbmsuZnI=LmNsaWVudC5mcg==?=", []string{"ceo@bank.fr.client.fr", "ceo@bank.fr"}},
		{`=??Q?ceo=40bank.fr?=" <alice@client.fr>`, []string{"alice@client.fr", "ceo@bank.fr"}},
	}
	for _, tt := range tests {
		got := Read([]Field{{Name: "From", Value: tt.value}}).From[0]
		if !got.Lenient || got.Fault != "" || got.Named != nil {
			t.Errorf("%q: %+v, want a lenient list without fault", tt.value, got)
		}
		if diff := cmp.Diff(tt.want, sketch(got.Addresses)); diff != "" {
			t.Errorf("%q, -want +got:\n%s", tt.value, diff)
		}
	}
}

// TestBrokenNames: an address in a quoted name that goes on in the next line, or
// before an encoded word without an end, is the field's to Python's email.
func TestBrokenNames(t *testing.T) {
	for value, want := range map[string][]string{
		"\"Boss <ceo\r\n @bank.fr>\" <alice@client.fr>":      {"alice@client.fr", "@bank.fr !" + faultNoLocal},
		"\"Boss\n <ceo@bank.fr>\" <alice@client.fr>":         {"alice@client.fr", "ceo@bank.fr"},
		"\"ceo@bank.fr\r\n x\" <alice@client.fr>":            {"alice@client.fr", "ceo@bank.fr"},
		"\"Boss (ceo@bank.fr) at\n home\" <alice@client.fr>": {"alice@client.fr"},
		"\"alice@client.fr\n x\" <alice@client.fr>":          {"alice@client.fr"},
		"\"ceo@bank.fr\"\n <alice@client.fr>":                {"alice@client.fr"},
		"\"Boss <ceo@bank.fr\r\n x>\" <alice@client.fr>":     {"alice@client.fr", "ceo@bank.fr"},
	} {
		if diff := cmp.Diff(want, sketch(Read([]Field{{"From", value}}).From[0].Addresses)); diff != "" {
			t.Errorf("%q, -want +got:\n%s", value, diff)
		}
	}
}

func TestReadFields(t *testing.T) {
	one := func(field, addr string) []List {
		return []List{{Field: field, Addresses: []Address{ParseAddress(addr)}}}
	}
	got := Read([]Field{
		{"X-PHP-Originating-Script", "33:mailer.php"},
		{"from", "a@x.fr"}, {"FROM", "b@x.fr"}, {"From ", "c@x.fr"},
		{"sender", "d@x.fr"}, {"reply-to", "e@x.fr"},
		{"to", "f@x.fr"}, {"cc", "g@x.fr"}, {"bcc", "h@x.fr"}, {"To", ""},
		{"Resent-From", "i@x.fr"}, {"errors-to", "j@x.fr"}, {"Return-Path", "<>"}, {"Resent-Sender", "k@x.fr"},
		{"mail-reply-to", "l@x.fr"}, {"mail-followup-to", "m@x.fr"}, {"disposition-notification-to", "n@x.fr"},
		{"Subject", "=?utf-8?Q?R=C3=A9union?=\n =?utf-8?Q?_lundi?= 9\th"}, {"Subject", "second"},
		{"Message-Id", "\n <1@x.fr>"}, {"Message-ID", "<2@x.fr>"},
		{"Froms", "z@x.fr"},
	})
	want := Facts{
		From:   []List{one("From", "a@x.fr")[0], one("From", "b@x.fr")[0], one("From", "c@x.fr")[0]},
		Sender: one("Sender", "d@x.fr"), ReplyTo: one("Reply-To", "e@x.fr"),
		To: append(one("To", "f@x.fr"), List{Field: "To"}), Cc: one("Cc", "g@x.fr"), Bcc: one("Bcc", "h@x.fr"),
		Steering: []List{
			one("Resent-From", "i@x.fr")[0], one("Errors-To", "j@x.fr")[0], {Field: "Return-Path", Lenient: true},
			one("Resent-Sender", "k@x.fr")[0], one("Mail-Reply-To", "l@x.fr")[0],
			one("Mail-Followup-To", "m@x.fr")[0], one("Disposition-Notification-To", "n@x.fr")[0],
		},
		Subject: "Réunion lundi 9 h", MessageID: "<1@x.fr>", Script: "mailer.php",
		Faults: []string{"field name with a character that none may have"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFaults(t *testing.T) {
	name, nul := "field name with a character that none may have", "NUL in a field value"
	tests := []struct {
		fields []Field
		want   []string
	}{
		{nil, nil},
		{[]Field{{"X!\x7e", "\x01\xff"}}, nil},
		{[]Field{{"", "x"}}, []string{"empty field name"}},
		{[]Field{{" X", "x"}}, []string{name}},
		{[]Field{{"X\x7f", "x"}}, []string{name}},
		{[]Field{{"X\x80", "x"}}, []string{name}},
		{[]Field{{"X:", "x"}}, []string{name}},
		{[]Field{{"X", "a\x00b"}, {"Y\t", "x"}, {"Z ", "\x00"}}, []string{nul, name}},
		{[]Field{{"X", "a\r\n b\r\r\n\tc\n d"}}, nil},
		{[]Field{{"Subject", "a\rFrom: ceo@bank.fr"}}, []string{"CR that ends no line in a field value"}},
		{[]Field{{"X", "a\r"}}, []string{"CR that ends no line in a field value"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, Read(tt.fields).Faults); diff != "" {
			t.Errorf("%q, -want +got:\n%s", tt.fields, diff)
		}
	}
}

// TestView: From, Sender and Reply-To beyond 2,000 octets are not in view; lists
// of recipients may be long.
func TestView(t *testing.T) {
	const address = "alice@client.fr"
	for _, n := range []int{maxView - 1, maxView, maxView + 1} {
		value := address + strings.Repeat(" ", n-len(address))
		facts := Read([]Field{{"From", value}, {"Sender", value}, {"Reply-To", value}, {"To", value}, {"Resent-From", value}})
		for _, lists := range [][]List{facts.From, facts.Sender, facts.ReplyTo} {
			if got, want := lists[0].Fault != "", n > maxView; got != want {
				t.Errorf("%s of %d octets: fault %q", lists[0].Field, n, lists[0].Fault)
			}
			if diff := cmp.Diff([]string{address}, sketch(lists[0].Addresses)); diff != "" {
				t.Errorf("%s of %d octets, -want +got:\n%s", lists[0].Field, n, diff)
			}
		}
		if facts.To[0].Fault != "" || facts.Steering[0].Fault != "" {
			t.Errorf("To %+v, Resent-From %+v: want no fault", facts.To[0], facts.Steering[0])
		}
	}
}

// TestGrammarBound: a longer value is scanned instead, and nothing is lost.
func TestGrammarBound(t *testing.T) {
	const tail = "a@x.fr, z@x.fr"
	for _, n := range []int{maxGrammar - 1, maxGrammar, maxGrammar + 1} {
		got := Read([]Field{{"To", strings.Repeat(" ", n-len(tail)) + tail}}).To[0]
		if got.Lenient != (n > maxGrammar) {
			t.Errorf("%d octets: lenient %v", n, got.Lenient)
		}
		if diff := cmp.Diff([]string{"a@x.fr", "z@x.fr"}, sketch(got.Addresses)); diff != "" {
			t.Errorf("%d octets, -want +got:\n%s", n, diff)
		}
	}
}

func TestText(t *testing.T) {
	text := func(name, value string) string {
		f := Read([]Field{{name, value}})
		return f.Subject + f.MessageID + f.Script
	}
	long := strings.Repeat("é", 249)
	tests := []struct{ name, value, want string }{
		{"Subject", "plain", "plain"},
		{"Subject", "a\r\n\tb", "a b"},
		{"Subject", "=?utf-8?B?YQ0KQmNjOiBi?=", "a  Bcc: b"},
		{"Subject", "caf\xe9\x1b[31m\u0085", "café [31m"},
		{"Subject", long, long},
		{"Subject", long + "e", long + "e"},
		{"Subject", long + "ef", long + "e"},
		{"Message-ID", " <a@b>\n ", "<a@b>"},
		{"Message-ID", strings.Repeat("i", 999), strings.Repeat("i", 999)},
		{"Message-ID", strings.Repeat("i", 1000), strings.Repeat("i", 1000)},
		{"Message-ID", strings.Repeat("i", 1001), strings.Repeat("i", 1000)},
		{"X-PHP-Originating-Script", "1000:/srv/www/a.php", "a.php"},
		{"X-PHP-Originating-Script", "a.php", "a.php"},
		{"X-PHP-Originating-Script", "0:" + strings.Repeat("s", 256), strings.Repeat("s", 255)},
		{"X-PHP-Originating-Script", "", ""},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, text(tt.name, tt.value)); diff != "" {
			t.Errorf("%s: %q, -want +got:\n%s", tt.name, tt.value, diff)
		}
	}
}

func TestDecodeWords(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain", "plain"},
		{"=?utf-8?Q?a_b=20c?=", "a b c"},
		{"=?UTF-8?b?w6k=?=", "é"},
		{"=?utf-8*fr?Q?=C3=A9?=", "é"},
		{"=?iso-8859-1?Q?=E9?=", "é"},
		{"=?windows-1252?Q?=80?=", "€"},
		{"=?nope?Q?=E9?=", "é"},
		{"=?utf-8?Q?a?= =?utf-8?Q?b?= c", "ab c"},
		{"=?utf-8?Q?a?=b=?utf-8?Q?c?=", "abc"},
		{"=?utf-8?Q?ceo=EF?= =?UTF-8?Q?=BC=A0b?=", "ceo\uff20b"},
		{"=?utf-8?Q?=C3?= =?iso-8859-1?Q?=A9?=", "\u00c3\u00a9"},
		{"=?utf-8?Q?Jean Durand?= x", "Jean Durand x"},
		{"=?utf-8?B?!!!!?= x", " x"},
		{"=?utf-8?B?Y2V?v!QA==?=", "ceo@"},
		{"=?utf-8?B?Y2VvQA==YmFuaw==?=", "ceo@bank"},
		{"=?utf-8?Q?ceo=40b", "ceo@b"},
		{"=?utf-8?Q?x =?utf-8?B?Y2VvQGI=?=", "x ceo@b"},
		{"=?utf-8?X?a?=", "=?utf-8?X?a?="},
		{"=?", "=?"},
		{"=??Q?a?=", "a"}, // Python's email decodes it
		{"=?utf-8?Q", "=?utf-8?Q"},
		{"=?utf-8?Q?=4?=", "=4"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, decodeWords(tt.in)); diff != "" {
			t.Errorf("%q, -want +got:\n%s", tt.in, diff)
		}
	}
}
