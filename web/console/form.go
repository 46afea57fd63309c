package console

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"o2n-milter/web/desk"
)

// fault is one of the desk's errors that the console finds by itself.
type fault struct {
	kind     error
	sentence string
}

func (f *fault) Error() string { return f.sentence }
func (f *fault) Unwrap() error { return f.kind }

func wrong(format string, args ...any) error {
	return &fault{desk.ErrBad, fmt.Sprintf(format, args...)}
}

func missing(format string, args ...any) error {
	return &fault{desk.ErrNotFound, fmt.Sprintf(format, args...)}
}

// form is one form of a page. The zero form is one that nobody has sent.
type form struct {
	Name   string // as in the template
	ID     string // of what it changes, where a page has one such form for each of a list
	values url.Values
	field  string // that has a fault; empty: the form as a whole
	fault  string
}

// place finds the field that a fault is about. The desk's sentences begin with the
// name of the field, as the JSON of the admin API has it.
func (f form) place(sentence string) (field, fault string) {
	word := sentence
	if i := strings.IndexAny(sentence, " :"); i >= 0 {
		word = sentence[:i]
	}
	if slices.Contains(fieldsOf[f.Name], word) {
		return word, sentence
	}
	return "", sentence
}

// fieldsOf are the fields that a form shows a fault at.
var fieldsOf = map[string][]string{
	"block":   {"for", "reason"},
	"exempt":  {"subject", "rule", "factor", "domain", "owner", "reason", "for"},
	"lift":    {"reason"},
	"held":    {"sure", "reason"},
	"heldall": {"sure", "reason"},
	"extend":  {"for", "reason"},
	"answer":  {"reason"},
	"remove":  {"reason"},
}

// Form is a form of the page, for the template.
func (s *sheet) Form(name, id string) form {
	if f := s.form; f.Name == name && f.ID == id {
		return f
	}
	return form{Name: name, ID: id}
}

// Sent says that this is the form that was sent.
func (f form) Sent() bool { return f.values != nil }

// Fault is what was wrong with a form as a whole; it stands above all else, as the
// form may be gone: somebody else has done it.
func (s *sheet) Fault() string {
	if s.form.field != "" {
		return ""
	}
	return s.form.fault
}

// field is an input of a form.
type field struct {
	ID, Name, Label, Hint, Value, Fault string
	Options                             []string // of a select
	Wanted                              bool     // the browser insists on it
	Number                              bool
}

// Field is one of the form's inputs, with what was sent in it, else with value.
func (f form) Field(name, label, hint, value string) field {
	in := field{ID: strings.Trim(f.Name+"-"+name+"-"+f.ID, "-"), Name: name, Label: label, Hint: hint, Value: value}
	if f.values != nil {
		in.Value = f.values.Get(name)
	}
	if f.field == name {
		in.Fault = f.fault
	}
	return in
}

// Described names what a screen reader adds to the field.
func (in field) Described() string {
	var ids []string
	if in.Hint != "" {
		ids = append(ids, in.ID+"-hint")
	}
	if in.Fault != "" {
		ids = append(ids, in.ID+"-fault")
	}
	return strings.Join(ids, " ")
}

// Want makes it a field that must be filled.
func (in field) Want() field {
	in.Wanted = true
	return in
}

// Digits makes it a field for a number.
func (in field) Digits() field {
	in.Number = true
	return in
}

// Of makes it a choice.
func (in field) Of(options []string) field {
	in.Options = options
	return in
}
