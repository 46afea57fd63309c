package load

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"o2n-milter/tests/mta"
)

// Letters is mail of many accounts, each letter to one person and of its own words: lines
// drawn by chance from many that were made of words drawn by chance. All of it is text,
// which is the dearest to read. It is honest mail, which no rule refuses.
type Letters struct {
	// Accounts is how many send.
	Accounts int
	// Size is how long a message is, in octets, about.
	Size int

	lines []string
}

const (
	words      = 5_000
	lines      = 20_000
	lineLength = 70
	// perDomain is how many accounts a customer's domain has.
	perDomain = 5
	readers   = 1_000_000
)

// NewLetters makes the words; the same in every run.
func NewLetters(accounts, size int) *Letters {
	r := rand.New(rand.NewPCG(1, 2))
	vocabulary := make([]string, words)
	for i := range vocabulary {
		vocabulary[i] = word(r)
	}
	l := &Letters{Accounts: accounts, Size: size, lines: make([]string, lines)}
	for i := range l.lines {
		l.lines[i] = line(r, vocabulary)
	}
	return l
}

// Sized are the same with another size.
func (l *Letters) Sized(octets int) *Letters {
	other := *l
	other.Size = octets
	return &other
}

// Of are the same of other accounts: so many, from the first one on.
func (l *Letters) Of(accounts int) *Letters {
	other := *l
	other.Accounts = accounts
	return &other
}

var (
	onsets = strings.Fields("b c d f g h j l m n p r s t v br ch cl cr dr fl gr pl pr qu st tr")
	rhymes = strings.Fields("a e i o u ai an ar au en er eur ie in ir oi on or ou ul eme ette ier tion")
)

func word(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(3) {
		b.WriteString(onsets[r.IntN(len(onsets))] + rhymes[r.IntN(len(rhymes))])
	}
	return b.String()
}

func line(r *rand.Rand, vocabulary []string) string {
	var b strings.Builder
	for b.Len() < lineLength-6 {
		b.WriteString(vocabulary[r.IntN(len(vocabulary))] + " ")
	}
	return strings.TrimSuffix(b.String(), " ") + "\r\n"
}

// Account is the login with this number.
func Account(n int) string { return fmt.Sprintf("user%d@client%d.example", n, n/perDomain) }

// Draw is the next letter.
func (l *Letters) Draw(r *rand.Rand) mta.Letter {
	from := Account(r.IntN(l.Accounts))
	to := fmt.Sprintf("reader%d@remote%d.example", r.IntN(readers), r.IntN(100))
	number := r.Uint32()
	header := []string{
		"Message-ID: <" + fmt.Sprintf("%x.%x@%s", r.Uint64(), number, from[strings.IndexByte(from, '@')+1:]) + ">",
		"Date: Mon, 23 Nov 2026 10:11:12 +0100",
		"MIME-Version: 1.0",
		"User-Agent: Mozilla Thunderbird",
		"Content-Language: en-US",
		"Subject: " + strings.TrimSuffix(l.line(r), "\r\n"),
		"To: <" + to + ">",
		"From: Some Body <" + from + ">",
		"Organization: Some Bodies and Sons",
		"In-Reply-To: <" + fmt.Sprintf("%x@remote.example", r.Uint64()) + ">",
		"Content-Type: text/plain; charset=UTF-8; format=flowed",
		"Content-Transfer-Encoding: 8bit",
	}
	return mta.Letter{
		Login: from, Sender: from, Recipients: []string{to}, QueueID: fmt.Sprintf("4Z%08X", number),
		Header: header, Body: l.body(r, l.Size-octets(header)),
	}
}

func octets(header []string) (n int) {
	for _, line := range header {
		n += len(line) + 2 // CR LF
	}
	return n
}

func (l *Letters) line(r *rand.Rand) string { return l.lines[r.IntN(len(l.lines))] }

func (l *Letters) body(r *rand.Rand, size int) string {
	var b strings.Builder
	b.Grow(max(0, size) + 2*lineLength)
	fmt.Fprintf(&b, "See https://www.example.org/%x for more.\r\n", r.Uint32())
	for b.Len() < size {
		b.WriteString(l.line(r))
	}
	return b.String()
}
