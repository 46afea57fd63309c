package message

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	errTooLong = errors.New("value too long for the standard grammar")
	errLooseAt = errors.New("@ in a name without quotes")
)

// addressField says where the lists of a field go.
type addressField struct {
	name  string
	lists func(*Facts) *[]List
	short bool // has to stay in a reader's view (maxView)
}

func steering(f *Facts) *[]List { return &f.Steering }

var addressFields = []addressField{
	{"From", func(f *Facts) *[]List { return &f.From }, true},
	{"Sender", func(f *Facts) *[]List { return &f.Sender }, true},
	{"Reply-To", func(f *Facts) *[]List { return &f.ReplyTo }, true},
	{"To", func(f *Facts) *[]List { return &f.To }, false},
	{"Cc", func(f *Facts) *[]List { return &f.Cc }, false},
	{"Bcc", func(f *Facts) *[]List { return &f.Bcc }, false},
	{"Mail-Reply-To", steering, false},
	{"Mail-Followup-To", steering, false},
	{"Return-Path", steering, false},
	{"Errors-To", steering, false},
	{"Disposition-Notification-To", steering, false},
	{"Resent-From", steering, false},
	{"Resent-Sender", steering, false},
	{"Resent-Reply-To", steering, false},
	{"Author", steering, false}, // RFC 9057
}

// Read turns header fields, as the MTA handed them over, into facts.
func Read(fields []Field) Facts {
	var facts Facts
	var bulk listFields
	odd := 0 // octets of what is not plainly written, in fields that name people
	for _, f := range fields {
		facts.check(f)
		// Sendmail's and Postfix' names end before blanks; a name that still has
		// some is read all the same.
		name := strings.Trim(f.Name, " \t")
		if !facts.addresses(name, f.Value, &odd) {
			facts.other(name, f.Value)
			facts.Lists.read(name, f.Value, &bulk)
		}
	}
	facts.Lists.conclude(bulk)
	return facts
}

// check notes what no MTA hands over, and what therefore nobody can be sure to
// read as we do.
func (f *Facts) check(field Field) {
	if field.Name == "" {
		f.fault("empty field name")
	}
	for i := range len(field.Name) {
		// RFC 5322 2.2: printable US-ASCII except the colon.
		if c := field.Name[i]; c < 33 || c > 126 || c == ':' {
			f.fault("field name with a character that none may have")
			break
		}
	}
	if strings.IndexByte(field.Value, 0) >= 0 {
		f.fault("NUL in a field value")
	}
	// To some readers another field begins there. Postfix makes a blank of it, and
	// Sendmail 8.17.1 of Debian refuses the mail: older ones pass it on.
	if hasBareCR(field.Value) {
		f.fault("CR that ends no line in a field value")
	}
}

func hasBareCR(value string) bool {
	for {
		i := strings.IndexByte(value, '\r')
		if i < 0 {
			return false
		}
		if value = strings.TrimLeft(value[i:], "\r"); !strings.HasPrefix(value, "\n") {
			return true
		}
	}
}

// fault adds a reason once.
func (f *Facts) fault(reason string) {
	for _, known := range f.Faults {
		if known == reason {
			return
		}
	}
	f.Faults = append(f.Faults, reason)
}

// maxOdd is how many octets are read of fields that name people and are not of the plain
// form: twice the longest field that Postfix hands over. They are looked at in each way in
// which some reader takes them, at up to a microsecond for an octet.
const maxOdd = 128 << 10

// addresses reads the field if it is one that names people.
func (f *Facts) addresses(name, value string, odd *int) bool {
	for i := range addressFields {
		kind := &addressFields[i]
		if len(kind.name) != len(name) || !strings.EqualFold(kind.name, name) {
			continue
		}
		list := f.list(kind, value, odd)
		lists := kind.lists(f)
		*lists = append(*lists, list)
		return true
	}
	return false
}

// list reads one field.
func (f *Facts) list(kind *addressField, value string, odd *int) List {
	text := unfold(value)
	list, ok := readPlain(kind.name, text)
	if !ok || kind.short && len(value) > maxView {
		if *odd += len(value); *odd > maxOdd {
			f.Excess = "more than 128 KiB of addresses that are not plainly written"
			return List{Field: kind.name, Lenient: true, Fault: "more than is read"}
		}
	}
	var found []token
	if !ok {
		list, found = readGrammar(list, text)
	}
	if kind.short {
		list.judge(value, found)
	}
	return list
}

// other reads the fields that hold text; the first of each name counts.
func (f *Facts) other(name, value string) {
	switch {
	case strings.EqualFold(name, "Subject"):
		if f.Subject == "" {
			f.Subject = subject(value)
		}
	case strings.EqualFold(name, "Message-ID"):
		if f.MessageID == "" {
			f.MessageID = strings.TrimSpace(cut(unfold(cut(value, 2000)), 1000))
		}
	case strings.EqualFold(name, "X-PHP-Originating-Script"):
		if f.Script == "" {
			f.Script = script(value)
		}
	}
}

// subject decodes as much of the value as can make 250 runes.
func subject(value string) string {
	// An encoded word takes up to 12 octets for a rune (=F0=9F=98=80) and its
	// frame as much again; long words are cut short by the frame of 4,000.
	text := decodeWords(toUTF8(unfold(cut(value, 8000))))
	clean := func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}
	if !isPrintable(text) {
		text = strings.Map(clean, text)
	}
	text = strings.TrimSpace(text)
	if len(text) <= 250 {
		return text
	}
	runes := 0
	for i := range text {
		if runes++; runes > 250 {
			return text[:i]
		}
	}
	return text
}

// isPrintable says that s is printable ASCII.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// script takes the file name out of PHP's "UID:FILE".
func script(value string) string {
	name := strings.TrimSpace(toUTF8(unfold(cut(value, 1000))))
	if _, file, ok := strings.Cut(name, ":"); ok {
		name = file
	}
	name = name[strings.LastIndexByte(name, '/')+1:]
	// NAME_MAX of Linux, in octets.
	return strings.ToValidUTF8(cut(name, 255), "")
}

// cut shortens s to at most n octets.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	// Not within a rune, where there are runes.
	for back := 0; back < utf8.UTFMax && !utf8.RuneStart(s[n]) && n > 0; back++ {
		n--
	}
	return s[:n]
}
