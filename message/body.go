package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
)

// Body is what the body of a mail shows to who reads it, and the little that is
// known of its other parts.
type Body struct {
	// Text is what a reader sees, in UTF-8: the text parts in order, of HTML what is
	// neither tag, style, comment nor hidden; lines end in "\n" and none is empty,
	// other white space is one blank, what takes no place on the screen is left
	// out. Of alternatives it is the one that nearly all readers show: HTML before
	// plain text, the last of equals (RFC 2046 5.1.4); another one only where that
	// shows nothing. So no text that hardly anybody sees can make two letters
	// differ, or stand for what the shown one lacks. A text that is an attachment
	// counts only where there is no other. At most MaxText bytes.
	Text string
	// Octets is how long Text is, or would be where it was only folded.
	Octets int
	// Links are the visible ones of the HTML parts that have a target, and the URLs
	// and mail addresses that stand in the text, in order; at most MaxLinks.
	Links []Link
	// Files has a digest of each part that holds no text to be read, Pictures of those
	// of them that belong to a text as its pictures do (RFC 2387), a firm's logo for
	// example: what tells one from another, on every host alike.
	Files, Pictures []uint64
	// Report is the report-type of a multipart/report in lower case
	// ("delivery-status", "disposition-notification"); empty for none.
	Report string
	// Calendar is the method of a text/calendar part in lower case ("request",
	// "reply", "publish"); empty for none.
	Calendar string
	// Raw says why the MIME structure could not be followed, in a few plain ASCII
	// words: Text then holds, after what could be read, the undecoded body too, and
	// of HTML in which nobody knows what is hidden all there is. Links that may be
	// hidden are not among the Links. Empty when it could.
	Raw string
	// Cut says that there was more than is looked at.
	Cut bool
	// Doubtful says that not all of Text and Links is surely seen, as that depends on what
	// a mail program knows of styles. ReadSurely gives the rest.
	Doubtful bool
	// Hides says how much text there is that styles hide, which is not in Text unless Raw
	// says why. ReadAll gives that too.
	Hides Hiding
}

// Link is a target that a reader can follow: http, https or mailto.
type Link struct {
	// URL is as written, without blanks; of what a reader makes a link of himself
	// with "mailto:" or "http://" put before it.
	URL    string
	Text   string // of the anchor; empty where the URL itself or a picture is what is seen
	Around string // the visible text it stands in: its block's, at most 300 bytes
}

// What is looked at of one mail.
const (
	MaxText  = 256 << 10 // bytes
	MaxLinks = 500
	maxDepth = 30    // parts within parts
	maxParts = 1_000 // in all
)

// ReadBody reads the body of the mail that has these header fields. Its cost is
// linear in what it is given.
func ReadBody(fields []Field, body []byte) Body { return readBody(fields, body, anySeen, nil) }

// FoldBody is ReadBody for who wants the text folded only: it is in f, and Text is empty.
func FoldBody(f *Folded, fields []Field, body []byte) Body {
	return readBody(fields, body, anySeen, f)
}

// ReadSurely is ReadBody for what every reader sees: of what only some see nothing is
// in Text and Links.
func ReadSurely(fields []Field, body []byte) Body { return readBody(fields, body, surelySeen, nil) }

// readBody reads the body. Its text is in f then or, where that is nil, in Text.
func readBody(fields []Field, body []byte, of view, f *Folded) Body {
	r := bodyReaders.Get().(*bodyReader)
	defer r.free()
	r.page.of = of
	whole := newPart(fields, "text/plain", body)
	r.body.Report = report(whole)
	r.read(whole, 0)
	if !r.page.shown {
		r.page.instead(0, r.readAttached)
	}
	r.digest()
	r.body.Hides = r.page.hiding()
	if r.body.Raw != "" && of != allText {
		r.raw(unencoded(body))
	}
	text, links := r.page.finish()
	if r.body.Octets, r.body.Links = len(text), links; f != nil {
		foldInto(f, text)
	} else {
		r.body.Text = string(text)
	}
	r.body.Cut = r.body.Cut || r.page.cut
	r.body.Doubtful = r.page.doubt
	return r.body
}

// report is the kind of a multipart/report (RFC 6522).
func report(p part) string {
	if p.kind != "multipart/report" {
		return ""
	}
	return firstToken(p.params["report-type"])
}

// bodyReader walks the parts.
type bodyReader struct {
	body     Body
	page     page
	parts    int
	attached []part // texts that are attachments
	files    []part // what holds no text
}

// bodyReaders have room for what mail mostly is.
var bodyReaders = sync.Pool{New: func() any { return new(bodyReader) }}

// free gives the reader back, with nothing left of what it read.
func (r *bodyReader) free() {
	*r = bodyReader{attached: emptied(r.attached), files: emptied(r.files),
		page: page{text: r.page.text[:0], blocks: r.page.blocks[:0], links: emptied(r.page.links)}}
	bodyReaders.Put(r)
}

// emptied is the room of the list.
func emptied[T any](list []T) []T { return slices.Delete(list, 0, len(list)) }

// fault notes why the structure could not be followed; the first reason counts.
func (r *bodyReader) fault(reason string) {
	if r.body.Raw == "" {
		r.body.Raw = reason
	}
}

// read takes one part in.
func (r *bodyReader) read(p part, depth int) {
	if r.parts++; r.parts > maxParts {
		r.body.Cut = true
		r.fault("too many parts")
		return
	}
	if p.fault != "" {
		r.fault(p.fault)
	}
	switch {
	case depth >= maxDepth && (p.is("multipart/") || p.is("message/")):
		r.fault("parts nested too deeply")
	case p.is("multipart/"):
		r.multipart(p, depth)
	case !p.isText():
		r.files = append(r.files, p)
	case p.kind == "text/calendar":
		r.calendar(p)
	case p.attached && depth > 0:
		r.attached = append(r.attached, p)
	case p.isMessage():
		r.read(cutPart(r.decode(p), "text/plain"), depth+1)
	default:
		r.leaf(p)
	}
}

// leaf reads a part that is text.
func (r *bodyReader) leaf(p part) {
	html := p.kind == "text/html" || p.kind == "application/xhtml+xml" || p.kind == "text/enriched" || p.kind == "text/richtext"
	text := decodeCharset(p.params["charset"], r.decode(p))
	if p.kind == "text/plain" && strings.EqualFold(p.params["format"], "flowed") && strings.EqualFold(p.params["delsp"], "yes") {
		text = joinBroken(text)
	}
	r.text(html, text)
}

// text adds a text in UTF-8.
func (r *bodyReader) text(html bool, text []byte) {
	if !html {
		r.page.plain(text)
	} else if !r.page.html(text) {
		r.fault("HTML too intricate")
	}
}

// decode undoes a part's transfer encoding.
func (r *bodyReader) decode(p part) []byte {
	decoded, known := decodeTransfer(p.encoding, p.body)
	if !known {
		r.fault("unknown transfer encoding")
	}
	return decoded
}

// multipart reads what a reader shows of a multipart.
func (r *bodyReader) multipart(p part, depth int) {
	pieces, open := r.pieces(p)
	kind := "text/plain"
	if p.kind == "multipart/digest" {
		kind = "message/rfc822" // RFC 2046 5.1.5
	}
	parts := make([]part, len(pieces))
	for i, piece := range pieces {
		parts[i] = cutPart(piece, kind)
	}
	if len(parts) > 0 {
		parts[len(parts)-1].open = open
	}
	switch p.kind {
	case "multipart/alternative":
		r.alternatives(parts, depth)
	case "multipart/related": // RFC 2387: one is shown, the others belong to it
		root := rootPart(parts, p.params["start"])
		for i := range parts {
			parts[i].attached, parts[i].picture = i != root, i != root && parts[i].is("image/")
			r.read(parts[i], depth+1)
		}
	default:
		for _, each := range parts {
			r.read(each, depth+1)
		}
	}
}

// rootPart is which of related parts is shown: the one that start names, or the first.
func rootPart(parts []part, start string) int {
	id := strings.Trim(start, "<> \t")
	return max(0, slices.IndexFunc(parts, func(p part) bool { return id != "" && p.id == id }))
}

// pieces cuts a multipart. Where its boundary leads nowhere it is a part of its
// own, or what a delimiter that stands there makes of it. The last one is open
// where no delimiter ends it.
func (r *bodyReader) pieces(p part) (pieces [][]byte, open bool) {
	boundary := strings.TrimRight(p.params["boundary"], " \t")
	limit := maxParts + 1 - min(r.parts, maxParts)
	if boundary != "" {
		d := splitParts(p.body, boundary, limit)
		if d.after {
			r.fault("part after the last one")
		}
		if len(d.pieces) > 0 {
			return d.pieces, !d.closed
		}
		if len(bytes.TrimSpace(p.body)) > 0 {
			r.fault("boundary that never comes")
		}
	} else {
		r.fault("multipart without a boundary")
	}
	if found := findBoundary(p.body); found != "" {
		d := splitParts(p.body, found, limit)
		return d.pieces, !d.closed
	}
	return nil, false
}

// findBoundary guesses a boundary: a line that begins with "--", before one that
// begins with "Content-".
func findBoundary(body []byte) string {
	for len(body) > 0 {
		var line []byte
		line, body = cutLine(body)
		next := body[:min(len(body), len("content-"))]
		if len(line) > 2 && string(line[:2]) == "--" && bytes.EqualFold(next, []byte("content-")) {
			return string(bytes.TrimRight(line[2:], " \t"))
		}
	}
	return ""
}

// alternatives reads the one that is shown: HTML, or what may hold it, before
// other text; of equals the last; the next best where one shows nothing. Of the
// others only what is no text counts.
func (r *bodyReader) alternatives(parts []part, depth int) {
	order := make([]int, len(parts))
	for i := range parts {
		order[i] = len(parts) - 1 - i
	}
	slices.SortStableFunc(order, func(a, b int) int { return parts[b].richness() - parts[a].richness() })
	before, hidden := r.page.shown, r.page.hidden
	r.page.shown = false
	for _, i := range order {
		p := parts[i]
		if p.richness() > 0 {
			if r.page.shown {
				continue
			}
			p.attached = false // readers show it all the same
		}
		r.page.instead(hidden, func() { r.read(p, depth+1) })
	}
	r.page.shown = r.page.shown || before
}

// richness says which of alternatives a reader prefers; 0 is no text.
func (p *part) richness() int {
	switch {
	case p.kind == "text/calendar":
		return 0
	case p.kind == "text/html" || p.kind == "application/xhtml+xml" || p.is("multipart/"):
		return 3
	case p.kind == "text/plain":
		return 2
	case p.is("text/"):
		return 1
	}
	return 0
}

// readAttached reads the first attached text of a mail that has no other.
func (r *bodyReader) readAttached() {
	if len(r.attached) == 0 {
		return
	}
	first := r.attached[0]
	r.attached = r.attached[1:]
	first.attached = false
	r.read(first, 1)
}

// fileBlock is the unit in which files count, in octets, that the end of the body
// that is looked at cuts off.
const fileBlock = 64 << 10

// digest makes the digests of what was not read.
func (r *bodyReader) digest() {
	for _, p := range slices.Concat(r.attached, r.files) {
		if p.isOfProgram() {
			continue
		}
		data := r.decode(p)
		if p.open { // cut off somewhere: where, depends on what stands before it
			data = data[:max(len(data)-len(data)%fileBlock, min(len(data), fileBlock))]
		}
		sum := sha256.Sum256(data)
		list := &r.body.Files
		if p.picture {
			list = &r.body.Pictures
		}
		*list = append(*list, binary.BigEndian.Uint64(sum[:]))
	}
}

// raw adds the body as it came.
func (r *bodyReader) raw(body []byte) {
	if looksLikeHTML(body) {
		r.page.stripped(body)
	} else {
		r.page.plain(body)
	}
}

// looksLikeHTML: a body whose structure is broken has nobody to say what it is.
func looksLikeHTML(body []byte) bool {
	for from := 0; ; from++ {
		i := bytes.IndexByte(body[from:], '<')
		if i < 0 {
			return false
		}
		from += i
		switch rest := body[from+1 : min(len(body), from+5)]; {
		case bytes.HasPrefix(rest, []byte("/")), bytes.EqualFold(rest, []byte("html")), bytes.EqualFold(rest, []byte("body")),
			len(rest) >= 2 && bytes.EqualFold(rest[:2], []byte("br")):
			return true
		}
	}
}

// unencoded is the body without what is base64: nobody reads that, and there may
// be much of it.
func unencoded(body []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(body) {
		if text := bytes.TrimRight(line, "\r\n"); len(text) < 60 || !isBase64(text) {
			kept = append(kept, line...)
		}
	}
	return western(kept, true)
}

func isBase64(line []byte) bool {
	for _, c := range line {
		if sextets[c] > 63 && c != '=' {
			return false
		}
	}
	return true
}
