// Package tests runs one set of readable end-to-end cases (cases/*.txt, format
// in README.md) through three drivers: in-process with a settable clock, a real
// Postfix and a real Sendmail. This file reads the cases.
package tests

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// Case is one file of cases/.
type Case struct {
	Name  string // of the file, without .txt; empty when it was not read from one
	About string // the text before the first part
	TOML  string // added to cases/common.toml
	Steps []Step
}

// Step is one thing that happens. Message is set for the verb "message" only.
type Step struct {
	Line    int // in the dialog part
	Verb    string
	Arg     string
	Message *Message
}

// Message is one message and what should become of it.
type Message struct {
	Sender   string // envelope sender, empty for the null sender
	Local    bool   // by sendmail(1)
	Rcpts    []Rcpt
	Text     []byte // CRLF lines
	Pipeline bool   // MAIL, RCPT and DATA in one segment
	Repeat   int    // how often it is sent
	First    int    // what {n} stands for in the first of them; one more each time
	Abandon  string // "rset" or "helo" when it ends so, before DATA
	Want     Want
	Has      []string // beginnings of header lines in what is delivered
	Lacks    []string
	DSN      string // whom a refused local message is reported to
}

// Rcpt is one RCPT.
type Rcpt struct {
	Addr    string
	Refused bool // by the MTA itself
}

// Want is the wanted outcome. Rule is empty when nothing refuses or holds.
type Want struct {
	Code     int
	Enhanced string
	Rule     string
	Held     bool
}

// number stands in an address or the text for which of the repetitions it is.
const number = "{n}"

// Numbered is the message as it is sent when round others have gone before.
func (m *Message) Numbered(round int) *Message {
	n := strconv.Itoa(m.First + round)
	one := *m
	one.Sender = strings.ReplaceAll(m.Sender, number, n)
	one.Text = bytes.ReplaceAll(m.Text, []byte(number), []byte(n))
	one.Rcpts = slices.Clone(m.Rcpts)
	for i := range one.Rcpts {
		one.Rcpts[i].Addr = strings.ReplaceAll(one.Rcpts[i].Addr, number, n)
	}
	return &one
}

// Accepted are the recipients that the MTA itself takes.
func (m *Message) Accepted() []string {
	var list []string
	for _, r := range m.Rcpts {
		if !r.Refused {
			list = append(list, r.Addr)
		}
	}
	return list
}

// Uses says whether a step of this verb occurs. "advance" needs a clock that can
// be set, "kill" a daemon that can be killed: no driver has both.
func (c *Case) Uses(verb string) bool {
	return slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Verb == verb })
}

// ParseCase reads a case. An error names the line of the dialog.
func ParseCase(data []byte) (*Case, error) {
	a := txtar.Parse(data)
	c := &Case{About: strings.TrimSpace(string(a.Comment))}
	for _, f := range a.Files {
		switch f.Name {
		case "toml":
			c.TOML = string(f.Data)
		case "dialog":
			p := parser{c: c}
			if err := p.dialog(f.Data); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("part %q: want toml or dialog", f.Name)
		}
	}
	if c.About == "" || len(c.Steps) == 0 {
		return nil, fmt.Errorf("want a sentence before the first part, and a dialog")
	}
	return c, nil
}

type parser struct {
	c    *Case
	n    int
	msg  *Message // being described; nil between messages
	at   int      // its first line
	text []string // its indented lines, without the indent
}

const indent = "    "

func (p *parser) dialog(data []byte) error {
	for line := range bytes.Lines(data) {
		p.n++
		s := strings.TrimRight(string(line), "\r\n")
		if err := p.line(s); err != nil {
			return fmt.Errorf("dialog line %d: %w", p.n, err)
		}
	}
	if p.msg != nil {
		return fmt.Errorf("dialog line %d: want, rset or helo is missing at the end of the message", p.at)
	}
	return nil
}

func (p *parser) line(s string) error {
	switch {
	case strings.HasPrefix(s, "#"):
		return nil
	case strings.HasPrefix(s, indent):
		if p.msg == nil || len(p.msg.Rcpts) == 0 {
			return fmt.Errorf("message text before mail and rcpt")
		}
		p.text = append(p.text, strings.TrimPrefix(s, indent))
		return nil
	case strings.TrimSpace(s) == "":
		if len(p.text) > 0 {
			p.text = append(p.text, "")
		}
		return nil
	}
	verb, arg, ok := strings.Cut(s, ":")
	if !ok {
		return fmt.Errorf("%q: want VERB: ARGUMENT", s)
	}
	arg = strings.TrimSpace(arg)
	if p.msg == nil {
		return p.between(verb, arg)
	}
	return p.within(verb, arg)
}

// between reads a step that stands outside of messages.
func (p *parser) between(verb, arg string) error {
	switch verb {
	case "mail", "local":
		p.at = p.n
		p.msg = &Message{Sender: strings.Trim(arg, "<>"), Local: verb == "local", Repeat: 1, First: 1}
		return nil
	case "login", "helo", "lift", "kill":
	case "block":
		_, d, _ := strings.Cut(arg, " ")
		if _, err := time.ParseDuration(d); err != nil {
			return fmt.Errorf("block: want SUBJECT DURATION: %w", err)
		}
	case "advance":
		if _, err := time.ParseDuration(arg); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%q between messages: want login, helo, mail, local, block, lift, advance or kill", verb)
	}
	p.c.Steps = append(p.c.Steps, Step{Line: p.n, Verb: verb, Arg: arg})
	return nil
}

// within reads a line about the message begun.
func (p *parser) within(verb, arg string) (err error) {
	m := p.msg
	switch verb {
	case "rcpt", "rcpt-refused":
		m.Rcpts = append(m.Rcpts, Rcpt{Addr: arg, Refused: verb == "rcpt-refused"})
	case "pipeline":
		m.Pipeline = arg == "yes"
	case "repeat":
		m.First, m.Repeat, err = parseRepeat(arg)
	case "has":
		m.Has = append(m.Has, arg)
	case "lacks":
		m.Lacks = append(m.Lacks, arg)
	case "dsn":
		m.DSN = arg
	case "rset", "helo":
		m.Abandon = verb
		p.end()
	case "want":
		if m.Want, err = parseWant(arg); err == nil && len(m.Rcpts) == 0 {
			err = fmt.Errorf("message without rcpt")
		}
		p.end()
	default:
		err = fmt.Errorf("%q within a message: want rcpt, rcpt-refused, pipeline, repeat, has, lacks, dsn, rset, helo or want", verb)
	}
	return err
}

func (p *parser) end() {
	p.msg.Text = messageText(p.msg, p.text)
	p.c.Steps = append(p.c.Steps, Step{Line: p.at, Verb: "message", Message: p.msg})
	p.msg, p.text = nil, nil
}

// messageText completes what the case leaves out: an ordinary header, and a body.
func messageText(m *Message, lines []string) []byte {
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		var to []string
		for _, r := range m.Rcpts {
			to = append(to, r.Addr)
		}
		lines = []string{"From: " + m.Sender, "To: " + strings.Join(to, ",\n\t"), "Subject: A word"}
	}
	if !slices.Contains(lines, "") {
		lines = append(lines, "", "Good morning.")
	}
	text := strings.Join(lines, "\n") + "\n"
	return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
}

// parseRepeat reads "10" and "20-60".
func parseRepeat(s string) (first, times int, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		times, err = strconv.Atoi(s)
		return 1, times, err
	}
	if first, err = strconv.Atoi(from); err != nil {
		return 0, 0, err
	}
	last, err := strconv.Atoi(to)
	return first, last - first + 1, err
}

var wantForm = regexp.MustCompile(`^(?:([245]\d\d)(?: ([245]\.\d+\.\d+))?|held)(?: \[([a-z_.]+)\])?$`)

// parseWant reads "250", "550 5.7.1 [identity.header_from]", "held [limit.minute]".
func parseWant(s string) (Want, error) {
	m := wantForm.FindStringSubmatch(s)
	if m == nil {
		return Want{}, fmt.Errorf("want %q: want 250, CODE ENHANCED [RULE] or held", s)
	}
	if m[1] == "" {
		return Want{Code: 250, Rule: m[3], Held: true}, nil
	}
	code, err := strconv.Atoi(m[1])
	return Want{Code: code, Enhanced: m[2], Rule: m[3]}, err
}
