//go:build browser

package browser

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"o2n-milter/tests/mta"
)

const (
	// patience bounds a whole journey.
	patience = 3 * time.Minute
	// pagePatience bounds the way to the next page.
	pagePatience = 20 * time.Second
)

// A screen is what pages are looked at on.
type screen struct {
	name          string
	width, height int64
	options       []chromedp.EmulateViewportOption
}

var (
	desktop = screen{"desktop", 1280, 900, nil}
	phone   = screen{"phone", 390, 844, []chromedp.EmulateViewportOption{chromedp.EmulateMobile}}
)

// tab is a page of a browser of its own: it shares no cookie with another.
type tab struct {
	t     *testing.T
	ctx   context.Context
	shots string
}

// open starts a browser whose owner reads English.
func open(t *testing.T) *tab { t.Helper(); return openIn(t, "en") }

// openIn starts a browser that asks for pages in a language, and runs no script of them.
func openIn(t *testing.T, language string) *tab {
	t.Helper()
	b := browse(t, language)
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.check(err)
	b.listen()
	return b
}

// browse starts a browser as people have it.
func browse(t *testing.T, language string) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		mta.SkipOrFail(t, "chromium")
	}
	var said bytes.Buffer
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", language), chromedp.Flag("accept-lang", language), chromedp.CombinedOutput(&said))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t, ctx, t.ArtifactDir()}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start of %s: %v\n%s", path, err, said.String())
	}
	return b
}

// listen fails the test for what the browser complains of.
func (b *tab) listen() {
	b.overhear(func(complaint string) { b.t.Errorf("the browser says: %s", complaint) })
}

// overhear tells what the browser complains of, but of pages that are refused on purpose.
func (b *tab) overhear(tell func(complaint string)) {
	said := chromedp.Console(b.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range said {
			if err != nil {
				return
			}
			if !strings.Contains(m.Text, "the server responded with a status of 4") {
				tell(string(m.Type) + " " + m.Text)
			}
		}
	}()
	b.t.Cleanup(func() {
		_ = chromedp.Cancel(b.ctx) // it ends the messages
		<-done
	})
}

func (b *tab) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// visit opens an address and wants this status.
func (b *tab) visit(url string, want int64) {
	b.t.Helper()
	r, err := chromedp.Run(b.ctx, chromedp.NavigateResponse(url))
	b.check(err)
	b.wants(r, want)
}

// click presses what the selector finds, which leads to another page.
func (b *tab) click(selector string, want int64) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pagePatience)
	defer cancel()
	b.leads(want, "click "+selector, func() (*network.Response, error) {
		return chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector)))
	})
}

// leads does what leads to another page and wants its status.
func (b *tab) leads(want int64, what string, do func() (*network.Response, error)) {
	b.t.Helper()
	var r *network.Response
	err := settled(func() (err error) { r, err = do(); return err })
	if err != nil {
		b.t.Fatalf("%s: %v on\n%s", what, err, b.text())
	}
	b.wants(r, want)
}

// settled does something to an element of a page that has just come. Right after the
// load Chromium may number its nodes anew: then what was looked up is not there any
// more, nothing was done, and it is done again.
func settled(do func() error) error {
	err := do()
	for range 10 {
		if err == nil || !strings.Contains(err.Error(), "No node with given id") {
			break
		}
		err = do()
	}
	return err
}

func (b *tab) wants(r *network.Response, want int64) {
	b.t.Helper()
	if r.Status != want {
		b.t.Fatalf("%s: %d, want %d:\n%s", r.URL, r.Status, want, b.text())
	}
}

// fill types into a field, in place of what is there.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	all := chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", selector))
	b.check(settled(func() error { return chromedp.Do(b.ctx, all, chromedp.SendKeys(chromedp.CSS(selector), text)) }))
}

// pick takes an option of a list, by its first letters.
func (b *tab) pick(selector, option string) {
	b.t.Helper()
	b.check(settled(func() error { return chromedp.Do(b.ctx, chromedp.SendKeys(chromedp.CSS(selector), option)) }))
}

// choose presses what leads nowhere.
func (b *tab) choose(selector string) {
	b.t.Helper()
	b.check(settled(func() error { return chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(selector))) }))
}

// press is the Enter key in a field.
func (b *tab) press(selector string, want int64) {
	b.t.Helper()
	b.leads(want, "Enter in "+selector, func() (*network.Response, error) {
		return chromedp.RunResponse(b.ctx, chromedp.SendKeys(chromedp.CSS(selector), kb.Enter))
	})
}

// asks fills in the customer's form and presses a button of it.
func (b *tab) asks(happened, done, button string, want int64) {
	b.t.Helper()
	b.fill("[name=happened]", happened)
	b.fill("[name=done]", done)
	b.choose("[name=password][value=yes]")
	b.click(button, want)
}

const (
	sendRequest = "form button:not([name])"
	unblockMe   = "form button[name=self]"
)

// count is how much of the page the selector finds.
func (b *tab) count(selector string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int64](fmt.Sprintf("document.querySelectorAll(%q).length", selector)))
	b.check(err)
	return int(n)
}

// text is what a person reads.
func (b *tab) text() string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	b.check(err)
	return strings.Join(strings.Fields(text), " ")
}

// reads makes sure that a person reads all of these.
func (b *tab) reads(want ...string) {
	b.t.Helper()
	text := b.text()
	for _, w := range want {
		if !strings.Contains(text, w) {
			b.t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

// lacks makes sure that a person reads none of these.
func (b *tab) lacks(unwanted ...string) {
	b.t.Helper()
	text := b.text()
	for _, u := range unwanted {
		if strings.Contains(text, u) {
			b.t.Errorf("%q in:\n%s", u, text)
		}
	}
}

// look takes a picture of the whole page on each screen, and makes sure that
// nothing of it is wider than the screen.
func (b *tab) look(name string) {
	b.t.Helper()
	for _, s := range []screen{desktop, phone} {
		b.check(chromedp.Do(b.ctx, chromedp.EmulateViewport(s.width, s.height, s.options...)))
		width, err := chromedp.Run(b.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
		b.check(err)
		if width > s.width {
			b.t.Errorf("%s is %d wide on a %s of %d", name, width, s.name, s.width)
		}
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		b.check(err)
		b.check(os.WriteFile(filepath.Join(b.shots, fmt.Sprintf("%s-%s.png", name, s.name)), picture, 0o600))
	}
	b.check(chromedp.Do(b.ctx, chromedp.EmulateViewport(desktop.width, desktop.height)))
}
