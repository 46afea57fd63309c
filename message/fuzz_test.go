package message

import (
	"math/rand/v2"
	"mime"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message/charset"
)

// atDomain is the strict scanner's idea of an address in text: an @ and a
// dotted host name in ASCII right after it, up to a byte of endOfDomain. What
// goes on otherwise is another domain, or none.
var atDomain = regexp.MustCompile(`@([A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*(?:\.[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*)+)`)

const endOfDomain = " \t\r\n<>()[],;:\"@?"

// domainsIn lists what the strict scanner finds in text, lower-case.
func domainsIn(text string) []string {
	var list []string
	for _, m := range atDomain.FindAllStringSubmatchIndex(text, -1) {
		if m[1] == len(text) || strings.IndexByte(endOfDomain, text[m[1]]) >= 0 {
			list = append(list, strings.ToLower(text[m[2]:m[3]]))
		}
	}
	return list
}

// FuzzRead holds Read against a scanner that knows no grammar: no domain that
// stands after an @, in the value or in its decoded words, may be missing from
// what Read found, unless an address there has a fault. So a From whose
// addresses and names are all the account's own holds no foreign one.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"Alice <alice@client.fr>", "alice@client.fr, ceo@bank.fr", "<alice@client.fr><ceo@bank.fr>",
		`"ceo@bank.fr" <alice@client.fr>`, `"Boss <ceo@bank.fr>" <alice@client.fr>`, "alice@client.fr (ceo@bank.fr)",
		"undisclosed:;", "g: a@client.fr, b@bank.fr;", "<@bank.fr:alice@client.fr>", `ceo\@bank.fr@client.fr`,
		`"ceo@bank.fr"@client.fr`, "ceo%bank.fr@client.fr", "=?utf-8?B?PGNlb0BiYW5rLmZyPg==?=,<alice@client.fr>",
		"=?utf-8?B?Qm9zcyA8Y2VvQGJhbmsuZnI+?= <alice@client.fr>", "=?utf-7?Q?Soci+AOk-?= <alice@client.fr>",
		"Soci\xe9t\xe9 <alice@client.fr>", "ceo\uff20bank.fr <alice@client.fr>", "alice@cli\u200bent.fr",
		"'alice@client.fr' <alice@client.fr>", "Alice @ Client <alice@client.fr>", "alice@client.fr(x).bank.fr",
		"alice@[192.0.2.1]", "alice@client.fr;", "Re: Boss <alice@client.fr>", "=?utf-8?Q?x =?utf-8?Q?ceo=40bank.fr?=",
		"\n (", "@@@", "=?", "\"", "\\",
	} {
		f.Add(s)
	}
	f.Fuzz(checkFound)
}

// TestPieces holds Read against the strict scanner on values that are put
// together from what forgers use, which random bytes seldom are.
func TestPieces(t *testing.T) {
	pieces := []string{
		"alice@client.fr", "ceo@bank.fr", "<alice@client.fr>", "<ceo@bank.fr>", `"ceo@bank.fr"`, "(ceo@bank.fr)",
		"=?utf-8?Q?ceo=40bank.fr?=", "=?utf-8?B?Y2VvQGJhbmsuZnI=?=", "=?nope?Q?ceo=40bank.fr?=", "=?utf-8?Q?ceo=40?=",
		"=?utf-8?Q?bank.fr?=", "ceo", "bank.fr", "@", "\uff20", "Alice", " ", " ", "\n ", ",", ";", ":", "<", ">", "(", ")", `"`, `\`,
		".", "\xe9", "é", "=?", "?=", "'",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var b strings.Builder
		for range 1 + random.IntN(8) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		checkFound(t, b.String())
	}
}

var stdDecoder = mime.WordDecoder{CharsetReader: charset.Reader}

func checkFound(t *testing.T, value string) {
	list := Read([]Field{{Name: "From", Value: value}}).From[0]
	found := slices.Concat(list.Addresses, list.Named)
	if slices.ContainsFunc(found, func(a Address) bool { return a.Fault != "" }) {
		return // refused whatever else it holds
	}
	for _, a := range found {
		if a.Local == "" || !isHostName(a.Domain) {
			t.Errorf("%q: unsound address without fault: %+v", value, a)
		}
	}
	want := domainsIn(unfold(value))
	if decoded, err := stdDecoder.DecodeHeader(unfold(value)); err == nil {
		want = append(want, domainsIn(decoded)...)
	}
	for _, domain := range want {
		if !slices.ContainsFunc(found, func(a Address) bool { return a.Domain == domain }) {
			t.Errorf("%q: %q is not among %v", value, domain, found)
		}
	}
	if !list.Lenient && len(list.Addresses) > strings.Count(value, "@") {
		t.Errorf("%q: more addresses than @ signs: %v", value, list.Addresses)
	}
}
