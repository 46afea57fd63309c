//go:build browser

package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"o2n-milter/tests/mta"
)

// injected says what of a page is none of ours: elements, attributes and addresses that no
// template has, and text that is not seen.
const injected = `(() => {
const ours = new Set('html head meta title link style body a header nav main section h1 h2 h3 h4 p ul ol li dl dt dd table thead tbody tr th td form label input textarea button select option details summary div span strong b code br bdi time svg rect g desc figure figcaption fieldset legend small em'.split(' '));
const bad = [];
for (const e of document.querySelectorAll('*')) {
	if (!ours.has(e.localName)) bad.push('<' + e.localName + '>');
	for (const a of e.attributes) {
		if (/^on/i.test(a.name) || a.name === 'style' || a.name === 'srcdoc') bad.push(e.localName + ' ' + a.name);
		if (/^(href|src|action|formaction|xlink:href|data|poster)$/i.test(a.name) && !/^(\/admin\/|#|data:image\/svg\+xml,|https:\/\/help\.example\/)/.test(a.value)) bad.push(e.localName + ' ' + a.name + '=' + a.value);
	}
}
const seen = document.title + document.body.innerText;
const unseen = seen.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/);
if (unseen) bad.push('unseen U+' + unseen[0].codePointAt(0).toString(16));
return bad.join('\n');
})()`

// sound wants nothing injected into a page.
func (b *tab) sound(what string) bool {
	b.t.Helper()
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](injected))
	b.check(err)
	if found != "" {
		b.t.Errorf("%s: injected: %s", what, found)
	}
	return found == ""
}

// complaints are what a browser said so far: scripts that ran, scripts that were
// refused, whatever else it does not like.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func (c *complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

func (c *complaints) add(complaint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, complaint)
}

// TestAttackOracle: the browser and what is looked for tell markup that got through, both
// where a policy stops the scripts and where none does.
func TestAttackOracle(t *testing.T) {
	for name, policy := range map[string]string{"no policy": "", "our policy": "default-src 'none'"} {
		t.Run(name, func(t *testing.T) {
			page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				if policy != "" {
					w.Header().Set("Content-Security-Policy", policy)
				}
				fmt.Fprintf(w, "<!doctype html><title>t</title><link rel=icon href=data:image/svg+xml,x><p>\u202e%s</p>", hostile("x"))
			}))
			t.Cleanup(page.Close)
			b := browse(t, "en")
			said := &complaints{}
			b.overhear(said.add)
			b.visit(page.URL, http.StatusOK)
			found, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](injected))
			b.check(err)
			for _, want := range []string{"<script>", "img onerror", "svg onload", "img src=x", "unseen U+202e"} {
				if !strings.Contains(found, want) {
					t.Errorf("no %q among %q", want, found)
				}
			}
			mta.Poll(t, "the browser says so", func() bool { return len(said.take()) > 0 })
		})
	}
}
