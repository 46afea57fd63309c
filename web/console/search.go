package console

import (
	"errors"
	"strings"

	"o2n-milter/web/desk"
)

// found is one answer of a search.
type found struct{ Name, URL string }

// search finds subjects, and what has this text as its id.
func (v *visit) search() (*sheet, error) {
	text := v.r.FormValue("q")
	list, err := v.named(idIn(text))
	if err == nil {
		list, err = v.withHeld(list, text)
	}
	if err != nil {
		return nil, err
	}
	subjects, err := v.Desk.Search(v.r.Context(), text)
	if err != nil {
		return nil, err
	}
	for _, s := range subjects {
		list = append(list, found{s, subjectURL(s)})
	}
	p := struct {
		Text  string
		Found []found
	}{text, list}
	return &sheet{Title: "Search", template: searchPage, Page: p}, nil
}

// idIn is the id at the end of text, which may be a whole reply: "... [rule ID]".
func idIn(text string) string {
	words := strings.Fields(text)
	if len(words) == 0 {
		return ""
	}
	return strings.ToUpper(strings.Trim(words[len(words)-1], "[]"))
}

// withHeld adds the held message whose id, or the MTA's for it, stands at the end of
// text.
func (v *visit) withHeld(list []found, text string) ([]found, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return list, nil
	}
	h, err := v.Desk.HeldMail(v.r.Context(), strings.Trim(words[len(words)-1], "[]"))
	switch {
	case err == nil:
		list = append(list, found{"Held mail " + h.ID, "/admin/held/" + h.ID})
	case errors.Is(err, desk.ErrNotFound), errors.Is(err, desk.ErrConflict):
		err = nil
	}
	return list, err
}

// named is what has this id: a block, a decision, a request, an exemption.
func (v *visit) named(id string) ([]found, error) {
	ctx := v.r.Context()
	var list []found
	for _, kind := range []struct {
		name, path string
		find       func() error
	}{
		{"Block ", "/admin/blocks/", func() error { _, err := v.Desk.Block(ctx, id); return err }},
		{"Decision ", "/admin/decisions/", func() error { _, err := v.Desk.Decision(ctx, id); return err }},
		{"Request ", "/admin/requests?id=", func() error { _, err := v.requestNamed(id); return err }},
		{"Exemption ", "/admin/exemptions?id=", func() error { _, err := v.exemptionNamed(id); return err }},
	} {
		switch err := kind.find(); {
		case err == nil:
			list = append(list, found{kind.name + id, kind.path + id})
		case !errors.Is(err, desk.ErrNotFound):
			return nil, err
		}
	}
	return list, nil
}
