package rules

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseSubject(t *testing.T) {
	for text, want := range map[string]string{
		"account:Alice@Client-A.example":                             aliceSubject,
		"customer:C-1001":                                            "customer:C-1001",
		"ip:::ffff:192.0.2.7":                                        "ip:192.0.2.7",
		"ip:2001:db8::1":                                             "ip:2001:db8::/64",
		"domain:B\u00fccher.example.":                                "domain:xn--bcher-kva.example",
		"account:Alice@Client-A.example+domain:Remote.example.":      aliceSubject + "+domain:remote.example",
		"account:alice+news@client-a.example+domain:[192.0.2.7]":     "account:alice+news@client-a.example+domain:[192.0.2.7]",
		"account:alice+domain@client-a.example":                      "account:alice+domain@client-a.example",
		"customer:a+domain:b":                                        "customer:a+domain:b",
		"script:Cron@web1.example/Mailer.php":                        "script:cron@web1.example/mailer.php",
		"host:MX.example":                                            "host:mx.example",
		"account:bob@client-b.example+DOMAIN:remote.example":         "account:bob@client-b.example+domain:remote.example",
		"account:bob@client-b.example+domain:B\u00fccher.example":    "account:bob@client-b.example+domain:xn--bcher-kva.example",
		"account:bob@client-b.example+domain:x.example+domain:other": "account:bob@client-b.example+domain:x.example+domain:other",
	} {
		got, err := ParseSubject(text)
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
		if again, err := ParseSubject(got); err != nil || again != got {
			t.Errorf("%s: read again it is %q, %v", got, again, err)
		}
	}
	for _, text := range []string{
		"", "alice", "account:", "colour:red", "ip:1.2.3", "ip:10.0.0.0/8", "account:a\nb", "domain:a b", "ip:300.1.1.1", "ip:192.0.2.0/24", "account:a\x00b", "domain: ",
		"account:+domain:remote.example", "account:alice+domain:", "account:alice+domain: ",
	} {
		if got, err := ParseSubject(text); err == nil {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}

// The subjects of messages read back as themselves.
func TestSubjectsReadBack(t *testing.T) {
	b := newBench(t, limits(Limit{Name: "pair", Subject: "account+domain", Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail}))
	m := to("a@x.example", "v@[142.250.1.26]", "v@foo_bar.example")
	v := b.decide(t, m)
	subjects := slices.Clone(v.Subjects)
	for _, c := range v.Charges {
		subjects = append(subjects, c.Subject)
	}
	if len(subjects) < 9 {
		t.Fatalf("subjects %q", subjects)
	}
	for _, s := range subjects {
		if got, err := ParseSubject(s); err != nil || got != s {
			t.Errorf("%s: got %q, %v", s, got, err)
		}
		if IsPair(s) != (windowKind(s) == "account+domain") {
			t.Errorf("%s: pair %v, kind %q", s, IsPair(s), windowKind(s))
		}
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, s := range []string{"account:a+domain:b", "ip:2001:db8::1", "script:a@b/c", "domain:[1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseSubject(s)
		if err != nil {
			return
		}
		kind, _, _ := strings.Cut(s, ":")
		name, ofKind := strings.CutPrefix(got, kind+":")
		if !ofKind || name == "" || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%q is %q", s, got)
		}
		if IsPair(got) != (windowKind(got) == "account+domain") {
			t.Errorf("%q: pair %v, kind %q", got, IsPair(got), windowKind(got))
		}
	})
}
