package message

import (
	"slices"

	"golang.org/x/net/html/atom"
)

// kind is what an element is to the HTML standard's tree construction (HTML
// 13.2.4.2), and to a page.
type kind uint16

const (
	void       kind = 1 << iota // has no content
	special                     // an end tag of an ordinary element does not reach over it
	scope                       // end tags of other elements do not reach over it
	formatting                  // goes on after the block that it was opened in (13.2.4.3)
	cell                        // formatting ends with it
	tabular                     // what stands directly in it but is no part of a table is shown before the table
	tablePart                   // is part of a table
	breaks                      // stands on lines of its own
	newBlock                    // and is read by itself
	closesP                     // ends an open paragraph
	silent                      // its content is not shown
	verbatim                    // keeps its line ends
	ignored                     // there is one of it whatever is written
	doubtful                    // browsers show its content otherwise than mail programs, or not at all
)

const paragraph = special | breaks | newBlock | closesP

// kindOf is asked for every tag.
func kindOf(a atom.Atom) kind {
	for i := hashAtom(a); ; i++ {
		if known := &kindTable[i%uint32(len(kindTable))]; known.atom == a || known.atom == 0 {
			return known.kind
		}
	}
}

func hashAtom(a atom.Atom) uint32 { return uint32(a) * 0x9e3779b1 >> 23 } // 2^32 by the golden ratio

// kindTable has each kind at the hash of its element, or where there was room behind it.
var kindTable = func() (table [1 << 9]struct {
	atom atom.Atom
	kind kind
}) {
	for a, k := range kinds {
		i := hashAtom(a)
		for table[i%uint32(len(table))].atom != 0 {
			i++
		}
		table[i%uint32(len(table))].atom, table[i%uint32(len(table))].kind = a, k
	}
	return table
}()

var kinds = map[atom.Atom]kind{
	atom.Area: void, atom.Base: void, atom.Col: void, atom.Embed: void, atom.Input: void, atom.Link: void,
	atom.Meta: void, atom.Param: void, atom.Source: void, atom.Track: void, atom.Wbr: void, atom.Img: void,
	atom.Image: void, atom.Basefont: void, atom.Bgsound: void, atom.Frame: void, atom.Keygen: void,
	atom.Br: void | breaks, atom.Hr: void | breaks | newBlock | closesP,

	atom.A: formatting, atom.B: formatting, atom.Big: formatting, atom.Code: formatting, atom.Em: formatting,
	atom.Font: formatting, atom.I: formatting, atom.Nobr: formatting, atom.S: formatting, atom.Small: formatting,
	atom.Strike: formatting, atom.Strong: formatting, atom.Tt: formatting, atom.U: formatting,

	atom.Address: paragraph, atom.Article: paragraph, atom.Aside: paragraph, atom.Blockquote: paragraph, atom.Center: paragraph,
	atom.Details: paragraph | doubtful, atom.Dialog: paragraph | doubtful, atom.Dir: paragraph, atom.Div: paragraph, atom.Dl: paragraph, atom.Fieldset: paragraph,
	atom.Figcaption: paragraph, atom.Figure: paragraph, atom.Footer: paragraph, atom.Form: paragraph,
	atom.H1: paragraph, atom.H2: paragraph, atom.H3: paragraph, atom.H4: paragraph, atom.H5: paragraph, atom.H6: paragraph,
	atom.Header: paragraph, atom.Hgroup: paragraph, atom.Li: paragraph, atom.Listing: paragraph | verbatim, atom.Main: paragraph,
	atom.Menu: paragraph, atom.Nav: paragraph, atom.Ol: paragraph, atom.P: paragraph, atom.Plaintext: paragraph | verbatim,
	atom.Pre: paragraph | verbatim, atom.Search: paragraph, atom.Section: paragraph, atom.Summary: paragraph, atom.Ul: paragraph,
	atom.Dd: paragraph, atom.Dt: paragraph, atom.Xmp: paragraph | verbatim,

	atom.Table: special | scope | tabular | breaks | newBlock, // in quirks mode, as mail is shown, it ends no paragraph
	atom.Tbody: special | tabular | tablePart, atom.Thead: special | tabular | tablePart, atom.Tfoot: special | tabular | tablePart,
	atom.Tr: special | tabular | tablePart | breaks | newBlock,
	atom.Td: special | scope | cell | tablePart | breaks, atom.Th: special | scope | cell | tablePart | breaks,
	atom.Caption: special | scope | cell | tablePart | breaks | newBlock, atom.Colgroup: special | tablePart | silent,

	atom.Button: special, atom.Select: special | doubtful, atom.Option: breaks, atom.Textarea: special | breaks | verbatim,
	atom.Video: doubtful, atom.Audio: doubtful, atom.Canvas: doubtful, atom.Progress: doubtful, atom.Meter: doubtful, atom.Rp: doubtful, atom.Svg: doubtful, atom.Math: doubtful,
	atom.Object: special | scope | cell | doubtful, atom.Marquee: special | scope | cell, atom.Applet: special | scope | cell,
	atom.Template: special | scope | cell | silent, atom.Noscript: special,

	atom.Script: silent | special, atom.Style: silent | special, atom.Title: silent | special, atom.Iframe: silent | special,
	atom.Noembed: silent | special, atom.Noframes: silent | special, atom.Datalist: silent,

	atom.Html: ignored, atom.Head: ignored, atom.Body: ignored, atom.Frameset: ignored,
}

// element is one that is open.
type element struct {
	atom   atom.Atom // 0 for names that HTML does not know
	name   string    // where atom is 0
	kind   kind
	style  styles      // its own
	look   looks       // its text's
	outer  looks       // what it stands in
	attrs  []attribute // of the tag, where a selector may ask for them
	octets int         // of attrs
	link   int         // the anchor it is, counted from 1; 0 for none
}

func (e *element) is(a atom.Atom, name string) bool { return e.atom == a && e.name == name }

// isMadeText says of an element whose content is not shown that a style makes text of it,
// as browsers do with a title or a style sheet that has a display.
func (e *element) isMadeText() bool {
	switch e.atom {
	case atom.Template, atom.Iframe, atom.Colgroup: // no style brings their content out
		return false
	}
	return slices.ContainsFunc(e.style[:], func(s style) bool { return s.no&noBox != 0 })
}

// breaksLine says whether the element stands on lines of its own in such a view.
func (e *element) breaksLine(of view) bool {
	return (!e.look[usual].hidden || of == allText) && (e.style[usual].yes&block != 0 || e.kind&breaks != 0 && e.style[usual].yes&inline == 0)
}
