package message

import "strings"

// attributes are those of a tag that are looked at; of several of one name the
// first counts (HTML 13.2.5.33).
type attributes struct {
	style, class, id, background, bgcolor, color, text, link []byte
	href, src, alt, width, height, kind, value, action       []byte
	formAction, label                                        []byte
	hidden                                                   bool
}

// take takes an attribute if it is looked at.
func (a *attributes) take(m *markup, from attr) {
	var field *[]byte
	switch string(m.key(from)) {
	case "style":
		field = &a.style
	case "class":
		field = &a.class
	case "id":
		field = &a.id
	case "background":
		field = &a.background
	case "bgcolor":
		field = &a.bgcolor
	case "color":
		field = &a.color
	case "text":
		field = &a.text
	case "link":
		field = &a.link
	case "href":
		field = &a.href
	case "src":
		field = &a.src
	case "alt":
		field = &a.alt
	case "width":
		field = &a.width
	case "height":
		field = &a.height
	case "type":
		field = &a.kind
	case "value":
		field = &a.value
	case "action":
		field = &a.action
	case "formaction":
		field = &a.formAction
	case "label", "placeholder": // of an option, of a field
		field = &a.label
	case "hidden":
		a.hidden = true
		return
	default:
		return
	}
	if *field == nil {
		*field = m.value(from)
	}
}

// allAttributes are those of the tag, for selectors that may ask for any, and how many
// octets they have.
func allAttributes(m *markup) (list []attribute, octets int) {
	if len(m.attrs) == 0 {
		return nil, 0
	}
	known := make(map[string]bool, len(m.attrs)) // of several of one name the first counts
	for _, a := range m.attrs {
		if key := string(m.key(a)); !known[key] {
			known[key] = true
			value := m.value(a)
			list = append(list, attribute{key, strings.ToLower(string(value))})
			octets += len(key) + len(value) + 1
		}
	}
	return list, octets
}
