//go:build browser

package bypass

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"o2n-milter/message"
	"o2n-milter/tests/campaign"
	"o2n-milter/tests/mta"
)

// browserPatience bounds all that a test asks the browser.
const browserPatience = 8 * time.Minute

// window is a browser's, in which letters are looked at.
type window struct {
	t   *testing.T
	ctx context.Context
}

func openWindow(t *testing.T) *window {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		mta.SkipOrFail(t, "chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"))
	ctx, cancel := context.WithTimeout(context.Background(), browserPatience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	w := &window{t, ctx}
	w.check(chromedp.Do(ctx, chromedp.EmulateViewport(800, 500)))
	_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	w.check(err)
	return w
}

func (w *window) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// conceal takes the letters of the way out off the page and leaves all else.
const conceal = `for (const a of document.querySelectorAll('a')) for (const e of [a, ...a.querySelectorAll('*')]) {
	e.style.setProperty('-webkit-text-fill-color', 'transparent', 'important');
	e.style.setProperty('text-decoration', 'none', 'important'); e.style.setProperty('text-shadow', 'none', 'important') }`

// What of the way out the browser shows.
const (
	nothing = iota
	something
	everything
)

// looks compares the page with what is left of it without the way out.
func (w *window) looks(html string) int {
	w.t.Helper()
	w.open(html)
	with := w.picture()
	w.check(chromedp.Do(w.ctx, chromedp.Evaluate[chromedp.Void](conceal)))
	some, clear := differences(with, w.picture())
	switch {
	case some < 8: // of 800 x 500 and more
		return nothing
	case clear > 60: // a dozen letters
		return everything
	}
	return something
}

func (w *window) open(html string) {
	w.t.Helper()
	w.check(chromedp.Do(w.ctx, chromedp.Navigate("data:text/html;charset=utf-8;base64,"+base64.StdEncoding.EncodeToString([]byte(html)))))
}

func (w *window) picture() image.Image {
	w.t.Helper()
	whole := true
	shot, err := chromedp.Call(w.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole, OptimizeForSpeed: &whole})
	w.check(err)
	picture, err := png.Decode(bytes.NewReader(shot.Data))
	w.check(err)
	return picture
}

// differences counts the pixels that differ so little that an eye may see it, and clearly.
func differences(a, b image.Image) (some, clear int) {
	bounds := a.Bounds().Intersect(b.Bounds())
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r1, g1, b1, _ := a.At(x, y).RGBA()
			r2, g2, b2, _ := b.At(x, y).RGBA()
			most := max(apart(r1, r2), apart(g1, g2), apart(b1, b2)) >> 8
			if most > 0x11 {
				some++
			}
			if most > 64 {
				clear++
			}
		}
	}
	return some, clear
}

func apart(a, b uint32) uint32 { return max(a, b) - min(a, b) }

// honestStyles leave a link where it can be read.
var honestStyles = []string{
	"color:#333", "color:#999;font-size:10px", "font:11px/1.5 Arial,sans-serif", "text-decoration:none;color:#06c", "display:block;padding:10px;background:#06c;color:#fff", "opacity:.7", "display:inline-block;border:1px solid #ccc;border-radius:4px",
	"color:rgb(10 20 30 / 80%)", "color:hsl(210 50% 40%)", "margin:0 auto;max-width:600px;display:block", "line-height:0.9", "letter-spacing:1px", "text-transform:uppercase", "position:relative;left:5px;top:-2px", "width:calc(100% - 20px);display:block", "overflow:hidden;display:block",
	"visibility:visible", "display:table-cell", "transform:none", "max-height:none", "font-size:small", "font-size:90%", "font-size:.8em", "text-indent:1em;display:block", "white-space:nowrap;overflow:hidden;text-overflow:ellipsis;display:block", "float:right", "color:#767676;background:#fff", "mso-hide:all",
}

// isCounted says whether the way out is in the text that is counted, be it as hidden.
func isCounted(html string) bool {
	body := message.ReadAll([]message.Field{{Name: "Content-Type", Value: "text/html; charset=utf-8"}}, []byte(html))
	return strings.Contains(body.Text, "Se d\u00e9sabonner")
}

// What Chromium does not show is no way out to the rules, and what it shows of an honest
// letter is one. What it shows otherwise is counted at least.
func TestChromiumSees(t *testing.T) {
	if !campaign.Long() {
		t.Skip("SKIPPED: only in the campaign (O2N_CAMPAIGN=long)")
	}
	g := forge{campaign.Rand(t)}
	hidden := campaign.Counting(t, "unsubscribe", "ways out that Chromium does not show")
	shown := campaign.Counting(t, "unsubscribe", "honest ways out that Chromium shows")
	doubted := campaign.Counting(t, "unsubscribe", "ways out that Chromium shows and other readers may not")
	j, w := newJudge(t), openWindow(t)
	try := func(html string) {
		if w.looks(html) != nothing {
			if isCounted(html) { // Chromium makes letters of no size larger, and shows what is in a canvas without scripts
				doubted.Held()
				return
			}
			doubted.Failed()
			t.Errorf("Chromium shows it, and nobody counts it: %s", html)
			return
		}
		if j.hasWayOut(html) {
			hidden.Failed()
			t.Errorf("Chromium shows no way out, the rules see one: %s", html)
			return
		}
		hidden.Held()
	}
	// A look takes half a second where two processors are shared; each run takes others.
	for _, i := range g.Perm(len(hidingStyles))[:50] {
		try(letter("", strings.Replace(anchor, "<a ", `<a style="`+hidingStyles[i]+`" `, 1)))
	}
	for _, i := range g.Perm(len(hidingPlaces))[:10] {
		try(letter("", fmt.Sprintf(hidingPlaces[i], anchor)))
	}
	for range 60 {
		try(g.styled(g.one(hidingStyles...)))
	}
	for range 40 {
		html := g.styled(g.one(honestStyles...))
		switch w.looks(html) {
		case everything:
			if j.hasWayOut(html) {
				shown.Held()
				continue
			}
			shown.Failed()
			t.Errorf("Chromium shows a way out, the rules see none: %s", html)
		case nothing:
			t.Logf("not to be seen: %s", html)
		}
	}
}

// The letters that nobody but us takes for hidden are such: Chromium shows them.
func TestChromiumSeesConcealed(t *testing.T) {
	if !campaign.Long() {
		t.Skip("SKIPPED: only in the campaign (O2N_CAMPAIGN=long)")
	}
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "campaigns", "concealed letters that Chromium shows")
	w := openWindow(t)
	for _, m := range shownConcealings {
		with := m.write(g, 0, leaflets[1]).asHTML()
		without := with
		for _, p := range leaflets[1].paragraphs {
			without = strings.ReplaceAll(without, p, "")
		}
		w.open(with)
		picture := w.picture()
		w.open(without)
		if _, clear := differences(picture, w.picture()); clear < 60 { // a dozen letters
			count.Failed()
			t.Errorf("%s: Chromium shows nothing of it: %s", m.what, with)
			continue
		}
		count.Held()
	}
}
