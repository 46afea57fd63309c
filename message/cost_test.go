package message

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLinear: five times the value costs about five times the time, not
// twenty-five; both where the standard grammar is tried and where it is not.
func TestLinear(t *testing.T) {
	patterns := map[string]string{
		"recipients":       "bob%d@x.fr, ",
		"unparsable list":  "Durand, Bob <bob%d@x.fr>; ",
		"named":            `"a%d@y.fr" <bob@x.fr>, `,
		"nested comments":  "a@(",
		"deep brackets":    "((((",
		"comments":         "a@x(b)",
		"joined domains":   "a@x(b).c",
		"quoted brackets":  "a@x\"<\".c",
		"joined by blanks": "a%d@x.fr y.fr;",
		"blanks":           "@    ",
		"quotes":           `"a`,
		"at signs":         "@",
		"open words":       "=?a?q? ",
		"bad words":        "=?a?b?\x01",
		"words":            "=?iso-8859-15?Q?=A4?= ",
		"short words":      "=?u?q??=",
		"wide at":          "a\uff20x.fr ",
		"idna":             "a@é%d.fr, ",
		"groups":           "g:a@x.fr;,",
		"backslashes":      `\`,
		"latin-1 lines":    "\xe9\n ",
		"single quotes":    "'@'",
		"dots":             "a@.",
		"unclosed literal": "a@[",
		"open literals":    "\uff20\t=?x?q?a?=[",
		"charsets":         "=?gbk?q?=81=30?=g:",
		"long labels":      "a@" + strings.Repeat("\u4e00\u4e01\u4e02\u4e03", 80) + ",",
	}
	for name, pattern := range patterns {
		t.Run(name, func(t *testing.T) {
			for _, small := range []int{12_000, maxGrammar + 1} {
				one, five := best(t, repeat(pattern, small)), best(t, repeat(pattern, 5*small))
				t.Logf("%d octets %v, %d octets %v", small, one, 5*small, five)
				if five > 15*one+5*time.Millisecond {
					t.Errorf("%d octets took %v, five times that %v", small, one, five)
				}
			}
		})
	}
}

// repeat fills n octets with the pattern, its %d counting.
func repeat(pattern string, n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strings.ReplaceAll(pattern, "%d", fmt.Sprint(i)))
	}
	return b.String()[:n]
}

// best is the shortest of several runs, in processor time of this thread, so
// that a busy machine does not count.
func best(t *testing.T, value string) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	shortest := time.Hour
	for range 3 {
		begin := processorTime(t)
		list, found := readGrammar(List{Field: "From"}, unfold(value))
		list.judge(value, found)
		Read([]Field{{"Subject", value}, {"Message-ID", value}, {"X-Other", value}, {"References", value}, {"List-Unsubscribe", value}})
		shortest = min(shortest, processorTime(t)-begin)
	}
	return shortest
}

// readWhole reads a list whatever its length.
func readWhole(field, value string) *List {
	list, ok := readPlain(field, unfold(value))
	if !ok {
		list, _ = readGrammar(list, unfold(value))
	}
	return &list
}

// TestOddBound: of what is not plainly written so much is read of a mail, and what is not
// has a fault. Plain lists have no bound of their own, but for what no reader shows.
func TestOddBound(t *testing.T) {
	const one = "a@x.fr; "
	for _, n := range []int{maxOdd - 1, maxOdd, maxOdd + 1} {
		half := len(one) * 1000
		facts := Read([]Field{{"To", repeat(one, half)}, {"Cc", repeat(one, n-half)}, {"Reply-To", "b@x.fr"}})
		isRead := n <= maxOdd
		if (facts.Excess == "") != isRead || (facts.Cc[0].Fault == "") != isRead || (len(facts.Cc[0].Addresses) > 0) != isRead || len(facts.ReplyTo[0].Addresses) != 1 {
			t.Errorf("%d octets: excess %q, Cc %q with %d addresses", n, facts.Excess, facts.Cc[0].Fault, len(facts.Cc[0].Addresses))
		}
	}
	var many []Field
	for range 20 {
		many = append(many, Field{"To", manyRecipients(1000)})
	}
	if facts := Read(many); facts.Excess != "" || len(facts.To[19].Addresses) != 1000 {
		t.Errorf("plain lists: excess %q, %d addresses", facts.Excess, len(facts.To[19].Addresses))
	}
	long := Field{"From", manyRecipients(1000)}
	if facts := Read([]Field{long, long, long, long}); facts.Excess == "" || facts.From[3].Fault != "more than is read" {
		t.Errorf("authors out of view: excess %q, fault %q", facts.Excess, facts.From[2].Fault)
	}
}

// TestGarbage: an encoded word takes what it is long, not a stream's buffers.
func TestGarbage(t *testing.T) {
	for _, word := range []string{"=?big5?B?GyRC?= ", "=?iso-2022-jp?b?GyRC?=a", "=?iso-8859-15?Q?=A4?=,", "=?x-nobody?q?=e9?= ", "=?hz-gb-2312?q?~{?= "} {
		value := repeat(word, maxOdd)
		each := testing.AllocsPerRun(1, func() { readGrammar(List{Field: "To"}, value) })
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		readGrammar(List{Field: "To"}, value)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 100*maxOdd {
			t.Errorf("%s: %d bytes for each octet, %.0f pieces", word, took/maxOdd, each)
		}
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

func manyRecipients(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Bob %d <bob%d@client%d.example>,\n ", i, i, i%100)
	}
	return strings.TrimRight(b.String(), ",\n ")
}

var typical = []Field{
	{"Received", "from [192.0.2.7] (host.example [192.0.2.7])\n\tby mx.example (Postfix) with ESMTPSA id 4XyZ\n\tfor <bob@x.example>; Sun, 22 Nov 2026 12:00:00 +0100 (CET)"},
	{"Message-ID", "<4f1c3a52-9d0b-4c55-8a2e-0c9f6d1b7a11@client.fr>"},
	{"Date", "Sun, 22 Nov 2026 12:00:00 +0100"},
	{"MIME-Version", "1.0"},
	{"User-Agent", "Mozilla Thunderbird"},
	{"Subject", "Meeting on Monday"},
	{"Content-Language", "fr"},
	{"To", "Bob Martin <bob@x.example>"},
	{"Cc", "carol@y.example"},
	{"From", "Alice Durand <alice@client.fr>"},
	{"Content-Type", "text/plain; charset=UTF-8; format=flowed"},
	{"Content-Transfer-Encoding", "7bit"},
}

// loose is mail of programs that write an @ into the name without quotes.
var loose = []Field{
	{"Received", "from [192.0.2.7] (host.example [192.0.2.7])\n\tby mx.example (Postfix) with ESMTPSA id 4XyZ\n\tfor <rcpt@x.example>; Sun, 22 Nov 2026 12:00:00 +0100 (CET)"},
	{"From", "Account user1@d1.example <user1@d1.example>"},
	{"To", "rcpt@x.example"},
	{"Subject", "Meeting on Monday"},
	{"Date", "Sun, 22 Nov 2026 12:00:00 +0100"},
	{"Message-ID", "<4f1c3a52-9d0b-4c55-8a2e-0c9f6d1b7a11@d1.example>"},
	{"MIME-Version", "1.0"},
	{"Content-Type", "text/plain; charset=UTF-8"},
}

// quoted has its address for a name, as many mail programs write it.
var quoted = append([]Field{{"From", `"user1@d1.example" <user1@d1.example>`}}, slices.DeleteFunc(slices.Clone(loose), func(f Field) bool { return f.Name == "From" })...)

func BenchmarkRead(b *testing.B)       { benchmarkRead(b, typical) }
func BenchmarkReadLoose(b *testing.B)  { benchmarkRead(b, loose) }
func BenchmarkReadQuoted(b *testing.B) { benchmarkRead(b, quoted) }

func benchmarkRead(b *testing.B, fields []Field) {
	b.ReportAllocs()
	processorTimed(b, func() { Read(fields) })
}

func BenchmarkRead100kRecipients(b *testing.B) {
	value := manyRecipients(100_000)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(readWhole("To", value).Addresses); n != 100_000 {
			b.Fatal(n)
		}
	}
}

// BenchmarkRead60kField: the longest field that Postfix hands over.
func BenchmarkRead60kField(b *testing.B) {
	fields := []Field{{"To", manyRecipients(2000)[:maxValue]}}
	b.ReportAllocs()
	for b.Loop() {
		Read(fields)
	}
}
