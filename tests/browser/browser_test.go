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
)

// patience bounds a whole journey.
const patience = 3 * time.Minute

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

// open starts a browser.
func open(t *testing.T) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		skipOrFail(t, "chromium")
	}
	var said bytes.Buffer
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en"), chromedp.CombinedOutput(&said))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t, ctx, t.ArtifactDir()}
	b.check(chromedp.Do(ctx))
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatalf("start of %s: %v\n%s", path, err, said.String())
	}
	b.listen()
	return b
}

// skipOrFail skips a test, loudly. In CI it is a failure.
func skipOrFail(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT RUN: %s is missing, and CI=true does not allow that; run tests/install as root", what)
	}
	t.Skipf("SKIPPED: %s is missing; run tests/install as root", what)
}

// listen fails the test for what the browser complains of.
func (b *tab) listen() {
	said := chromedp.Console(b.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range said {
			if err != nil {
				return
			}
			// A page that is refused on purpose is said, too.
			if !strings.Contains(m.Text, "the server responded with a status of 4") {
				b.t.Errorf("the browser says: %s %s", m.Type, m.Text)
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
	r, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(selector)))
	if err != nil {
		b.t.Fatalf("click %s: %v", selector, err)
	}
	b.wants(r, want)
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
	b.check(chromedp.Do(b.ctx, all, chromedp.SendKeys(chromedp.CSS(selector), text)))
}

// choose presses what leads nowhere.
func (b *tab) choose(selector string) {
	b.t.Helper()
	b.check(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(selector))))
}

// press is the Enter key in a field.
func (b *tab) press(selector string, want int64) {
	b.t.Helper()
	r, err := chromedp.RunResponse(b.ctx, chromedp.SendKeys(chromedp.CSS(selector), kb.Enter))
	b.check(err)
	b.wants(r, want)
}

// text is what a person reads.
func (b *tab) text() string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
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
