//go:build mta

package dialogs

import (
	"fmt"
	"strings"
	"testing"

	"o2n-milter/rules"
	"o2n-milter/tests"
)

// wantOf is what a case wants of a letter.
func wantOf(action rules.Action) string {
	switch action {
	case rules.Quarantine:
		return "held"
	case rules.Tempfail:
		return "451"
	case rules.Reject:
		return "550"
	}
	return "250"
}

// asCase tells the story as a file of tests/cases, if it can be told so.
func asCase(story []event) (text string, is bool) {
	var c teller
	c.WriteString("Says what is shown.\n-- toml --\n[accounts]\nunknown = \"reject\"\n" + rulesTOML + "-- dialog --\n")
	for _, e := range story {
		if !c.tell(e) {
			return "", false
		}
	}
	_, err := tests.ParseCase([]byte(c.String()))
	return c.String(), err == nil
}

// teller writes a case.
type teller struct {
	strings.Builder
	live    bool   // a session is
	login   string // of the session, as cases name it; empty until it is known
	greeted bool   // EHLO was said, or is with the login
	open    bool   // a message is
}

// tell is false for what cases cannot say.
func (c *teller) tell(e event) bool {
	switch e.verb {
	case "connect", "cut":
		return c.session(e.verb == "connect", e.arg)
	case "login":
		if c.open || c.login != "" {
			return false
		}
		c.login, c.greeted = e.arg, true
		fmt.Fprintf(c, "login: %s\n", e.arg)
	case "EHLO", "HELO":
		c.hello()
	case "RSET":
		if c.open {
			c.WriteString("rset:\n")
			c.open = false
		}
	case "MAIL", "RCPT":
		return c.envelope(e.verb, e.arg)
	case "text":
		for line := range strings.Lines(strings.ReplaceAll(e.arg, "\r\n", "\n")) {
			c.WriteString("    " + line)
		}
	case "want":
		fmt.Fprintf(c, "want: %s\n\n", e.arg)
		c.open = false
	case "NOOP", "VRFY", "HELP", "DATA", "QUIT", "refused":
	default:
		return false
	}
	return true
}

func (c *teller) session(begins bool, service string) bool {
	if c.open || begins && c.live {
		return false
	}
	c.live, c.login = begins, ""
	switch {
	case !begins:
	case service == loopback:
		c.login = "none"
	case service == remote:
		c.login = "remote"
	}
	if c.login != "" {
		fmt.Fprintf(c, "login: %s\n", c.login)
	}
	c.greeted = c.login != ""
	return true
}

func (c *teller) hello() {
	switch {
	case c.open:
		c.WriteString("helo:\n")
		c.open = false
	case c.greeted && c.login != "":
		c.WriteString("helo: again\n")
	}
}

func (c *teller) envelope(verb, arg string) bool {
	if strings.Contains(arg, " ") || c.login == "" || c.open != (verb == "RCPT") {
		return false
	}
	c.open = true
	address := path(arg)
	if address == "" {
		address = "<>"
	}
	fmt.Fprintf(c, "%s: %s\n", strings.ToLower(verb), address)
	return true
}

func TestAsCase(t *testing.T) {
	message := []event{{"MAIL", "FROM:<" + bob + ">"}, {"RCPT", "TO:<r@remote.example>"}, {"DATA", ""}, {"text", "From: " + bob + "\r\n\r\nText.\r\n"}, {"want", "550"}}
	session := []event{{"connect", submission}, {"EHLO", "x"}, {"login", alice}, {"MAIL", "FROM:<>"}, {"EHLO", "x"}}
	text, is := asCase(append(session, message...))
	want := "login: alice@client-a.example\nmail: <>\nhelo:\nmail: bob@client-b.example\nrcpt: r@remote.example\n    From: bob@client-b.example\n    \n    Text.\nwant: 550\n\n"
	if _, dialog, _ := strings.Cut(text, "-- dialog --\n"); !is || dialog != want {
		t.Errorf("got %v %q", is, dialog)
	}
	for _, odd := range []event{{"XCLIENT", "LOGIN=" + bob}, {"STARTTLS", ""}, {"cut", ""}, {"login", bob}, {"connect", loopback}} {
		if text, is := asCase(append(session[:4:4], odd)); is {
			t.Errorf("%v: told as %s", odd, text)
		}
	}
}
