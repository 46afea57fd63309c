package bypass

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/mail"
	"os"
	"slices"
	"strings"
	"testing"

	"o2n-milter/message"
	"o2n-milter/tests/campaign"
)

// authorFields are those in which a reader looks for who wrote, and whom to answer.
var authorFields = []string{"from", "sender", "reply-to", "resent-from", "resent-sender", "resent-reply-to", "mail-reply-to", "mail-followup-to",
	"return-path", "errors-to", "disposition-notification-to", "author"}

// shownFields are those of them that every reader shows or acts on.
var shownFields = authorFields[:3]

// unfolded joins folded lines; other line ends are blanks.
var unfolded = strings.NewReplacer("\r\n ", " ", "\r\n\t", " ", "\n ", " ", "\n\t", " ", "\n", " ", "\r", " ")

// hole says why mail that passed with this header should not have; empty where all is
// well. named: addresses in names have been noted.
func hole(header []message.Field, named bool) string {
	froms := 0
	for _, f := range header {
		name := strings.ToLower(strings.Trim(f.Name, " \t"))
		if name == "from" {
			froms++
		}
		if !slices.Contains(authorFields, name) {
			continue
		}
		text := unfolded.Replace(f.Value)
		if slices.Contains(shownFields, name) {
			if d := foreignIn(bare(text)); d != "" {
				return fmt.Sprintf("%s has %q in the open", f.Name, d)
			}
		} else {
			text = bare(text) // what its names say is shown to nobody
		}
		if d := foreignIn(text); d != "" && !named {
			return fmt.Sprintf("%s shows %q and nothing was noted", f.Name, d)
		}
		if name == "from" {
			if why := readByGo(f.Value); why != "" {
				return why
			}
		}
	}
	if froms != 1 {
		return fmt.Sprintf("%d From fields", froms)
	}
	return ""
}

// readByGo is what Go's net/mail takes for a foreign author.
func readByGo(value string) string {
	list, err := mail.ParseAddressList(value)
	if err != nil {
		return ""
	}
	for _, a := range list {
		if domain := strings.ToLower(a.Address[strings.LastIndexByte(a.Address, '@')+1:]); !isOwn(strings.TrimSuffix(plainText(domain), ".")) {
			return "net/mail reads the author " + a.Address
		}
	}
	return ""
}

// trial is one header that was judged.
type trial struct {
	header []message.Field
	body   []byte
	passed bool
	named  bool // an address in a name was noted
}

// tryHeader judges a header; the sender and the recipients are sound.
func (j *judge) tryHeader(header []message.Field, body []byte) trial {
	v := j.try(login, []string{victim}, header, nil)
	return trial{header, body, passes(v), found(v, "identity.display_name")}
}

func (tr trial) hole() string {
	if !tr.passed {
		return ""
	}
	return hole(tr.header, tr.named)
}

// attack tries the mails that make gives, and every reader on those that passed.
func attack(t *testing.T, what string, n int, make func() []byte) {
	t.Helper()
	count := campaign.Counting(t, "identity", what)
	j := newJudge(t)
	var passed []trial
	failures := 0
	for range n {
		mail := make()
		raw := split(t, mail)
		tr := j.tryHeader(raw.Fields, raw.Body)
		if tr.passed && len(passed) < campaign.Pick(300, 20_000) {
			passed = append(passed, tr)
		}
		if tr.hole() == "" {
			count.Held()
			continue
		}
		count.Failed()
		if failures++; failures <= 5 {
			small := shrink(mail, func(less []byte) bool {
				raw := split(t, less)
				return j.tryHeader(raw.Fields, raw.Body).hole() != ""
			})
			raw := split(t, small)
			t.Errorf("%q\npasses: %s", small, j.tryHeader(raw.Fields, raw.Body).hole())
		}
	}
	if failures > 5 {
		t.Errorf("%d of %d in all", failures, n)
	}
	if len(passed) < 50 && n > 1000 {
		t.Errorf("only %d of %d passed: nothing was tried", len(passed), n)
	}
	t.Logf("%d tried, %d of those that passed are read by others", n, len(passed))
	readByPython(t, passed)
}

// Headers that are put together from what forgers use.
func TestForgedHeaders(t *testing.T) {
	g := forge{campaign.Rand(t)}
	attack(t, "headers put together from what forgers use", campaign.Pick(6_000, 250_000), g.mail)
}

// Real and forged mail, of which a few places are changed. Its own domains become the
// account's.
func TestChangedMail(t *testing.T) {
	g := forge{campaign.Rand(t)}
	hostile := files(t, "../../../shared/hostile", 4<<10)
	corpus := files(t, "../../../shared/corpus", 16<<10)
	if len(hostile)+len(corpus) == 0 {
		t.Skip("SKIPPED: neither hostile messages nor the corpus are there")
	}
	g.Shuffle(len(corpus), func(i, k int) { corpus[i], corpus[k] = corpus[k], corpus[i] })
	var texts []string
	for _, path := range append(hostile, corpus[:min(len(corpus), campaign.Pick(50, 1000))]...) {
		texts = append(texts, readAs(t, path))
	}
	attack(t, "hostile messages and real mail, changed by chance", campaign.Pick(3_000, 100_000), func() []byte {
		text := texts[g.IntN(len(texts))]
		head, body, _ := strings.Cut(text, "\n\n")
		return []byte(g.noise(head) + "\r\n\r\n" + body[:min(len(body), 200)])
	})
}

// readAs is the text of a mail, in which the author is the account.
func readAs(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	own := strings.NewReplacer("client.fr", ownDomain, "bank.fr", "bank.example", "\r\n", "\n").Replace(string(text))
	if m, err := mail.ReadMessage(strings.NewReader(own)); err == nil {
		if a, err := mail.ParseAddress(m.Header.Get("From")); err == nil {
			own = strings.ReplaceAll(own, a.Address, login)
		}
	}
	return own
}

// What a client may hand over itself, of which no server has taken anything out.
func TestFieldsAsTheyAre(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "identity", "fields that no server has put in order")
	j := newJudge(t)
	for range campaign.Pick(3_000, 60_000) {
		header := g.rawFields()
		tr := j.tryHeader(header, nil)
		if why := tr.hole(); why != "" {
			count.Failed()
			t.Fatalf("%q\npasses: %s", header, why)
		}
		count.Held()
	}
}

func (g forge) rawFields() []message.Field {
	header := []message.Field{{Name: g.fromName(), Value: g.noise(g.list())}, {Name: "To", Value: victim}}
	for g.chance(30) {
		header = append(header, message.Field{Name: g.one("Sender", "Reply-To", "From", "From ", "Subject"), Value: g.noise(g.list())})
	}
	g.Shuffle(len(header), func(i, k int) { header[i], header[k] = header[k], header[i] })
	return header
}

// Envelope senders: what passes belongs to the account, or is null.
func TestEnvelopeSenders(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "identity", "envelope senders")
	j := newJudge(t)
	header := []message.Field{{Name: "From", Value: login}, {Name: "To", Value: victim}}
	fails := func(sender []byte) bool {
		// Servers take what stands in <>, and quotes and backslashes for nothing.
		address := strings.NewReplacer(`\`, "", `"`, "").Replace(string(sender[bytes.IndexByte(sender, '<')+1:]))
		return len(sender) > 0 && (foreignIn(address) != "" || !strings.Contains(plainText(address), "@")) &&
			passes(j.try(string(sender), []string{victim}, header, nil))
	}
	for range campaign.Pick(3_000, 60_000) {
		sender := []byte(g.envelope())
		if fails(sender) {
			count.Failed()
			t.Errorf("envelope sender %q passes", shrink(sender, fails))
			continue
		}
		count.Held()
	}
}

// envelope is an address as a client may say it in MAIL FROM.
func (g forge) envelope() string {
	a := g.address(g.chance(60))
	switch g.IntN(8) {
	case 0:
		return g.one("@bank.example:", "@client-a.example:", "Some Name <", "x<", `"x" <`) + a
	case 1:
		return g.noise(a)
	case 2:
		return g.one("bank.example!ceo", "ceo%bank.example", "ceo", "postmaster", "@", "@bank.example", "<>", " ", "\x00")
	case 3:
		return "<" + a + ">"
	}
	return a
}

// The shrinker makes a failing text as small as it can be.
func TestShrink(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 5000)
	for i := range text {
		text[i] = byte('a' + random.IntN(26))
	}
	text[100], text[4000] = '1', '2'
	got := shrink(text, func(b []byte) bool { return slices.Contains(b, '1') && slices.Contains(b, '2') })
	if string(got) != "12" {
		t.Errorf("%q", got)
	}
}
