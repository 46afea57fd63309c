// Package browser drives Debian's Chromium, headless, through the pages: the
// journeys of a customer and an operator as people make them, on a desktop and on a
// phone. Its tests have the build tag browser.
//
// One journey has the pages over a store in memory, with mail that is a day old. In
// the others mail goes through a real Postfix to the daemon.
//
// The browser runs no script of a page, as the pages need none, and every journey
// fails on whatever the browser complains of: a refused style, a broken image.
// With go test -artifacts the screenshots are kept.
package browser
