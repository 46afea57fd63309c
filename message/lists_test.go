package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLists(t *testing.T) {
	const post = "List-Unsubscribe=One-Click"
	for _, c := range []struct {
		name   string
		fields []Field
		want   Lists
	}{
		{"nothing", []Field{{"To", "a@b.fr"}}, Lists{}},
		{"mailto and https", []Field{{"List-Unsubscribe", "<mailto:off@x.fr?subject=u>,\n <https://x.fr/u?a=1,2>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Unsubscribe: []string{"mailto:off@x.fr?subject=u", "https://x.fr/u?a=1,2"}}},
		{"comments, folds, blanks within", []Field{{"LIST-unsubscribe", " (by (mail)) <mail\n to:off@x.fr> (or) , (x) < https://x.fr/ >"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Unsubscribe: []string{"mailto:off@x.fr", "https://x.fr/"}}},
		{"http only", []Field{{"List-Unsubscribe", "<http://x.fr/u>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "http without TLS"}},
		{"http beside mailto", []Field{{"List-Unsubscribe", "<http://x.fr/u>, <mailto:off@x.fr>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Unsubscribe: []string{"mailto:off@x.fr"}}},
		{"no brackets", []Field{{"List-Unsubscribe", "https://x.fr/u"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "no <URI>"}},
		{"empty", []Field{{"List-Unsubscribe", ""}}, Lists{Declared: []string{"List-Unsubscribe"}, Refused: "no <URI>"}},
		{"unclosed", []Field{{"List-Unsubscribe", "<https://x.fr/u"}}, Lists{Declared: []string{"List-Unsubscribe"}, Refused: "no <URI>"}},
		{"what follows text is ignored", []Field{{"List-Unsubscribe", "<http://x.fr/> or <https://x.fr/>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "http without TLS"}},
		{"mailto without address", []Field{{"List-Unsubscribe", "<mailto:?subject=off>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "mailto without an address"}},
		{"mailto without domain", []Field{{"List-Unsubscribe", "<mailto:off@>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "mailto without an address"}},
		{"mailto with an escaped at", []Field{{"List-Unsubscribe", "<mailto:off%40x.fr>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Unsubscribe: []string{"mailto:off%40x.fr"}}},
		{"https without host", []Field{{"List-Unsubscribe", "<https:///u>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "https without a host"}},
		{"https to a lone name", []Field{{"List-Unsubscribe", "<https://localhost/u>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "https without a host"}},
		{"a template's leftover", []Field{{"List-Unsubscribe", "<https://{{host}}/u>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "URI that cannot be parsed"}},
		{"a template's leftover in the path", []Field{{"List-Unsubscribe", "<https://x.fr/{{id}}>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "URI that cannot be parsed"}},
		{"not ASCII", []Field{{"List-Unsubscribe", "<mailto:d\xe9sabo@x.fr>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "URI that cannot be parsed"}},
		{"javascript", []Field{{"List-Unsubscribe", "<javascript:alert(1)>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "neither https nor mailto"}},
		{"two fields, each good", []Field{{"List-Unsubscribe", "<https://x.fr/u>"}, {"List-Unsubscribe", "<mailto:a@x.fr>"}, {"List-Unsubscribe-Post", post}},
			Lists{Declared: []string{"List-Unsubscribe", "List-Unsubscribe-Post"}, Unsubscribe: []string{"https://x.fr/u", "mailto:a@x.fr"}}},
		{"two fields, one bad", []Field{{"List-Unsubscribe", "<https://x.fr/u>"}, {"List-Unsubscribe", "<http://x.fr/>"}},
			Lists{Declared: []string{"List-Unsubscribe"}, Refused: "http without TLS"}},
		{"one click", []Field{{"List-Unsubscribe", "<HTTPS://x.fr/u>"}, {"List-Unsubscribe-Post", post + " "}},
			Lists{Declared: []string{"List-Unsubscribe", "List-Unsubscribe-Post"}, Unsubscribe: []string{"HTTPS://x.fr/u"}, OneClick: true}},
		{"one click by mail", []Field{{"List-Unsubscribe", "<mailto:a@x.fr>"}, {"List-Unsubscribe-Post", post}},
			Lists{Declared: []string{"List-Unsubscribe", "List-Unsubscribe-Post"}, Unsubscribe: []string{"mailto:a@x.fr"}}},
		{"another value", []Field{{"List-Unsubscribe", "<https://x.fr/u>"}, {"List-Unsubscribe-Post", "list-unsubscribe=one-click"}},
			Lists{Declared: []string{"List-Unsubscribe", "List-Unsubscribe-Post"}, Unsubscribe: []string{"https://x.fr/u"}}},
		{"two posts", []Field{{"List-Unsubscribe", "<https://x.fr/u>"}, {"List-Unsubscribe-Post", post}, {"List-Unsubscribe-Post", post}},
			Lists{Declared: []string{"List-Unsubscribe", "List-Unsubscribe-Post"}, Unsubscribe: []string{"https://x.fr/u"}}},
		{"signature covers", []Field{{"DKIM-Signature", "v=1; h=From"}, {"DKIM-Signature", "v=1; bh=x;\n h = From : list-unsubscribe\n\t:List-Unsubscribe-POST; b=y"}},
			Lists{Signatures: 2, Covered: true}},
		{"two signatures, half each", []Field{{"DKIM-Signature", "h=List-Unsubscribe"}, {"DKIM-Signature", "h=List-Unsubscribe-Post"}},
			Lists{Signatures: 2}},
		{"declared", []Field{{"List-ID", "x"}, {"list-post", "x"}, {"Precedence", "(x) Bulk"}, {"Precedence", "bulk"}, {"Feedback-Id", "1:2"}, {"List-Nonsense", "x"}},
			Lists{Declared: []string{"List-Id", "List-Post", "Precedence: bulk", "Feedback-ID"}, Precedence: "bulk"}},
		{"precedence of a person", []Field{{"Precedence", "first-class"}}, Lists{Precedence: "first-class"}},
		{"automatic", []Field{{"Auto-Submitted", " (x) Auto-Replied; a=b"}}, Lists{AutoSubmitted: "auto-replied"}},
		{"thread", []Field{{"In-Reply-To", "Your mail <1@x.fr> of today"}, {"References", "<0@x.fr>\n <1@x.fr><>"}},
			Lists{InReplyTo: []string{"1@x.fr"}, References: []string{"0@x.fr", "1@x.fr"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Read(c.fields).Lists); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestListBounds(t *testing.T) {
	for _, n := range []int{maxIDs - 1, maxIDs, maxIDs + 1} {
		value := strings.Repeat("<a@x.fr> ", n-1) + "<last@x.fr>"
		ids := Read([]Field{{"References", value}}).Lists.References
		if len(ids) != min(n, maxIDs) || ids[len(ids)-1] != "last@x.fr" {
			t.Errorf("%d identifiers: %d kept, the last %q", n, len(ids), ids[len(ids)-1])
		}
	}
	for _, n := range []int{maxTargets - 1, maxTargets, maxTargets + 1} {
		value := strings.Repeat("<http://x.fr/>, ", n-1) + "<https://x.fr/>"
		found := len(Read([]Field{{"List-Unsubscribe", value}}).Lists.Unsubscribe) == 1
		if found != (n <= maxTargets) {
			t.Errorf("%d targets: the last one found: %v", n, found)
		}
	}
}

func FuzzListUnsubscribe(f *testing.F) {
	for _, s := range []string{"<mailto:a@x.fr>, <https://x.fr/u>", "(c) <http://x.fr>", "<https://x.fr", "<mailto:%40>", "((", "<>", "<https://[::1]/>", "<mailto:a@x.f\x97#X\xde(\x05\x0er\", <https\x01\x00@\x00.failto:a\x00\xff\x7ffr>r/\x89."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		l := Read([]Field{{"List-Unsubscribe", value}}).Lists
		if (l.Refused == "") != (len(l.Unsubscribe) > 0) {
			t.Errorf("%q: %+v", value, l)
		}
		for _, target := range l.Unsubscribe {
			if strings.ContainsFunc(target, isNoURI) || !isHTTPS(target) && !strings.HasPrefix(strings.ToLower(target), "mailto:") {
				t.Errorf("%q: target %q", value, target)
			}
		}
	})
}

func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"  Se  D\u00c9sabonner \n ici ":       "se desabonner ici",
		"De\u0301sinscription":                "desinscription",
		"un\u200bsub\u00adscri\u2060be":       "unsubscribe",
		"l\u2019abonnement \u00ab ici \u00bb": `l'abonnement " ici "`,
		"\uff35nsub\U0001d4e2cribe":           "unsubscribe",
		"uns\u0443bs\u0441ribe":               "unsybscribe", // the Cyrillic u looks like a Latin y
		"C\u0153ur\u00a0stra\u00dfe\u3000x":   "coeur strasse x",
		"a\u2014b\u2026":                      "a-b...",
		"u\u0336n\u0336sub":                   "unsub",
		"ᴜɴsᴜʙsᴄʀɪʙᴇ, ꜰᴏʟᴋs":                  "unsubscribe, folks",
	} {
		if got := Fold(text); got != want {
			t.Errorf("Fold(%q) = %q, want %q", text, got, want)
		}
		if again := Fold(want); again != want {
			t.Errorf("Fold(%q) = %q: folding twice changes it", want, again)
		}
	}
}
