package message

import (
	"bytes"

	"golang.org/x/net/html"
)

// html adds what a reader sees of an HTML text.
func (p *page) html(text []byte) {
	from := len(p.text)
	p.block()
	z := html.NewTokenizer(bytes.NewReader(text))
	for !p.cut {
		switch z.Next() {
		case html.ErrorToken:
			p.block()
			p.find(from)
			return
		case html.TextToken:
			p.write(z.Text())
		}
	}
}
