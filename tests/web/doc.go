// Package web attacks the pages and the sockets of the built daemon by raw HTTP: forms
// of other sites, altered links, requests that two readers take for different ones,
// floods. What a browser makes of the pages is in tests/browser, what no daemon is
// needed for beside the handlers.
package web
