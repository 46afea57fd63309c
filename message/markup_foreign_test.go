package message

import (
	"strings"
	"testing"
)

// TestForeign: what a browser does not take for raw, or for a comment, in SVG, MathML or a
// list to choose from, is not hidden, and no link counts that stands in text of SVG.
func TestForeign(t *testing.T) {
	for _, html := range []string{
		"<svg><style></svg><p>SEEN", "<svg><style/></svg><p>SEEN", "<svg><title/></svg><p>SEEN</title>", "<svg><TITLE><p>SEEN",
		"<svg><script></svg><p>SEEN", "<svg><noframes></svg><p>SEEN</noframes>", "<a><svg><a></a><style><p>SEEN",
		"<math><style>SEEN</style></math>", "<math><mi><style/>SEEN</mi></math>", "<math><mtext><title>SEEN</title></mtext>",
		"<select><title></select><p>SEEN", "<select><style></select><p>SEEN", "<select><option><iframe></select>SEEN",
		"<svg><text><![CDATA[SEEN]]></text></svg>",
	} {
		if body := readHTML(html); !strings.Contains(body.Text, "SEEN") || body.Raw == "" {
			t.Errorf("%s: got %q, %q; want all that stands there, and a reason", html, body.Text, body.Raw)
		}
	}
	for _, html := range []string{
		`<svg><![CDATA[></svg><a href="https://a.example/">unsubscribe</a>]]></svg>`,
		`<svg><title/><![CDATA[</title></svg><a href="https://a.example/">unsubscribe</a>]]></svg>`,
	} {
		if body := readHTML(html); len(body.Links) != 0 {
			t.Errorf("%s: got the links %v, want none", html, body.Links)
		}
	}
	for _, html := range []string{
		`<svg><title>not</title><style>.a{fill:red}</style><path d="M0"/></svg>`, "<svg/><style>not</style>", "<select><option>not</select><style>not</style>",
		"<style>p &lt; not</style><svg></svg>", "<![CDATA[not>",
	} {
		html += `<a href="https://a.example/">seen</a>`
		if body := readHTML(html); body.Raw != "" || len(body.Links) != 1 || strings.Contains(strings.ReplaceAll(body.Text, "\n", ""), "not") != strings.Contains(html, "<option>") {
			t.Errorf("%s: got %q, %v, %q; want it read as usual", html, body.Text, body.Links, body.Raw)
		}
	}
}
