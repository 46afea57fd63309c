//go:build mta

package dialogs

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"o2n-milter/rules"
	"o2n-milter/tests/mta"
)

// side is one connection to the server, and what its replies say has become of it: the
// login, the message under way, its end.
type side struct {
	w      *world
	c      *mta.Client // nil: there is none
	killed bool        // the filter was, since this began
	ready  []byte      // to go out with the next
	sent   []byte      // and not yet answered

	login   string
	forgets bool // who that is, at STARTTLS
	client  netip.Addr
	now     *letter // nil: no MAIL was taken
	inData  bool
	text    strings.Builder // of the message under way
	auth    *auth           // nil: none is under way
}

// auth is an AUTH that asks on.
type auth struct {
	mechanism string
	said      []string
}

// who is whose password was right, whomever he writes for.
func (a *auth) who() string {
	if len(a.said) == 0 {
		return ""
	}
	text, err := base64.StdEncoding.DecodeString(a.said[0])
	if err != nil {
		return ""
	}
	if parts := strings.Split(string(text), "\x00"); a.mechanism == "PLAIN" && len(parts) == 3 {
		return parts[1]
	}
	return string(text)
}

// do makes a move.
func (s *side) do(m move) {
	switch {
	case m.verb == toConnect:
		s.connect(m.text)
		return
	case s.c == nil:
		return
	}
	switch m.verb {
	case toSay:
		s.ready = append(s.ready, m.text+"\r\n"...)
	case toWrite:
		if s.inData || len(s.ready) > 0 { // else nobody asked for it
			s.ready = append(s.ready, s.w.marked(m.text)...)
		}
	case toChunk, toFinish:
		text := s.w.marked(m.text)
		s.ready = fmt.Appendf(s.ready, "BDAT %d%s\r\n%s", len(text), map[string]string{toFinish: " LAST"}[m.verb], text)
	case toCut:
		s.hangUp()
		return
	}
	if !m.with {
		s.flush()
	}
}

// connect begins anew.
func (s *side) connect(service string) {
	s.hangUp()
	*s = side{w: s.w, client: netip.MustParseAddr("127.0.0.1")}
	switch service {
	case remote:
		s.c = s.w.server.Remote(s.w.t)
		s.client = netip.MustParseAddr(s.w.server.RemoteIP())
	case submission:
		s.c = mta.Dial(s.w.t, s.w.server.Submission())
		s.forgets = s.w.forgets
	default:
		s.c = mta.Dial(s.w.t, s.w.server.Loopback())
	}
	s.w.tell("connect", service)
}

// hangUp says what is left to say and then nothing more, and reads to the end.
func (s *side) hangUp() {
	s.flush()
	if s.c == nil {
		return
	}
	s.c.Cut()
	for {
		r, err := s.c.Next()
		if err != nil {
			break
		}
		if r.Code < 400 { // no message is at its end, no command waits for its reply
			s.w.fault("%v that nobody waits for", r)
		}
	}
	s.w.tell("cut", "")
	s.lost()
}

func (s *side) lost() {
	s.c.Close()
	s.c, s.ready, s.sent, s.now, s.inData, s.auth = nil, nil, nil, nil, false, nil
}

// flush sends what is ready and takes every line of it as the server does.
func (s *side) flush() {
	if s.c == nil || len(s.ready) == 0 {
		return
	}
	if err := s.c.Say(s.ready); err != nil {
		s.lost()
		return
	}
	s.sent, s.ready = append(s.sent, s.ready...), nil
	for s.c != nil {
		line, rest, whole := bytes.Cut(s.sent, []byte("\r\n"))
		if !whole {
			return
		}
		s.sent = rest
		s.line(string(line))
	}
}

// line is one that the server has: of a message, of an AUTH, or a command.
func (s *side) line(line string) {
	if s.inData && line != "." {
		s.text.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
		return
	}
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	chunk := ""
	if verb == "BDAT" && s.w.chunks && s.auth == nil {
		size, last := 0, ""
		fmt.Sscan(arg, &size, &last)
		chunk, s.sent = string(s.sent[:size]), s.sent[size:]
	}
	r, err := s.c.Next()
	switch {
	case err != nil:
		s.lost()
	case s.inData:
		s.end(r)
	case s.auth != nil:
		s.auth.said = append(s.auth.said, line)
		s.authenticated(r)
	case verb == "AUTH":
		mechanism, initial, given := strings.Cut(arg, " ")
		if s.auth = (&auth{mechanism: strings.ToUpper(mechanism)}); given {
			s.auth.said = []string{initial}
		}
		s.authenticated(r)
	case verb == "BDAT":
		s.chunk(chunk, strings.HasSuffix(arg, "LAST"), r)
	case r.Code < 400:
		s.taken(verb, arg, r)
	default:
		s.w.tell("refused", line)
	}
}

func (s *side) authenticated(r mta.Reply) {
	switch r.Code {
	case 334:
		return
	case 235:
		s.login = s.auth.who()
		s.w.tell("login", s.login)
	}
	s.auth = nil
}

// taken is a command that the server took.
func (s *side) taken(verb, arg string, r mta.Reply) {
	s.w.tell(verb, arg)
	switch verb {
	case "EHLO", "HELO", "RSET":
		s.now = nil
	case "MAIL":
		s.now = &letter{client: s.client, login: s.login, sender: path(arg), canHold: true}
		s.text.Reset()
	case "RCPT":
		if s.now == nil {
			s.w.fault("RCPT without MAIL: %v", r)
			return
		}
		s.now.recipients = append(s.now.recipients, path(arg))
	case "DATA":
		s.inData = true
		s.text.Reset()
	case "STARTTLS":
		s.encrypt()
	case "XCLIENT": // a session from elsewhere, and of nobody who is not named
		s.login, s.now = "", nil
		for attribute := range strings.FieldsSeq(arg) {
			switch name, value, _ := strings.Cut(attribute, "="); {
			case value == "[UNAVAILABLE]":
			case name == "LOGIN":
				s.login = value
			case name == "ADDR":
				s.client = netip.MustParseAddr(value)
			}
		}
	}
}

// encrypt goes on under TLS. What the server knew is void, and so is what was sent in the
// clear behind STARTTLS: it may have come from anybody (CVE-2011-0411), so that nothing of
// it is answered or done (RFC 3207 4.2). Sendmail still knows who has logged in.
func (s *side) encrypt() {
	if len(s.sent) > 0 {
		s.w.taken["behind STARTTLS"]++
	}
	s.sent, s.now = nil, nil
	if s.forgets {
		s.login = ""
	}
	if err := s.c.StartTLS(); err != nil {
		s.w.fault("%v", err)
		s.lost()
	}
}

// path is the address of "FROM:<address> more".
func path(arg string) string {
	_, address, _ := strings.Cut(arg, ":")
	address, _, _ = strings.Cut(address, " ")
	return strings.Trim(address, "<>")
}

func (s *side) chunk(text string, last bool, r mta.Reply) {
	switch {
	case r.Code < 400 && !last:
		s.text.WriteString(text)
	case r.Code < 400 || s.now != nil && last && oursAtEnd.MatchString(r.Text):
		s.text.WriteString(text)
		s.end(r)
	default:
		s.w.tell("refused", "BDAT")
	}
}

// oursAtEnd is how the filter's own refusals end.
var oursAtEnd = regexp.MustCompile(`\[[a-z_.]+ [0-9A-Z]{8}\]$`)

// end is the server's word on a message.
func (s *side) end(r mta.Reply) {
	l, head := s.now, s.text.String()
	if !s.inData && strings.HasPrefix(head, " ") {
		// Of what comes in chunks Postfix takes such a line for more of its own Received.
		_, head, _ = strings.Cut(head, "\r\n")
	}
	s.now, s.inData = nil, false
	if l == nil {
		s.w.fault("the end of a message that did not begin: %v", r)
		return
	}
	l.fields = header(head)
	action := l.verdict()
	s.w.ended(s.text.String(), action)
	want := map[rules.Action]int{rules.Reject: 550, rules.Tempfail: 451}[action]
	if want == 0 {
		want = 250
	}
	switch {
	case s.killed && r.Code/100 == 4 && !oursAtEnd.MatchString(r.Text): // the server does without its filter: by no mail
		return
	case r.Code != want:
		s.w.fault("%v, want %d, to %v", r, want, l)
	case action == rules.Quarantine:
		s.w.held++
	case action < rules.Quarantine:
		s.w.passed(l, markOf(s.text.String()), action)
	}
}

// header is what both servers take for one: lines up to the first that is no field. No
// field here has a second line.
func header(text string) (list []string) {
	for line := range strings.SplitSeq(text, "\r\n") {
		if name, _, is := strings.Cut(line, ":"); !is || name == "" || strings.Contains(name, " ") {
			break
		}
		list = append(list, line)
	}
	return list
}

var markForm = regexp.MustCompile(`mark-\d+`)

func markOf(text string) string { return markForm.FindString(text) }

// arrival is a message at the sink, wherever it was split.
type arrival struct {
	from string
	to   []string
	data []byte
}

// merge puts together what was delivered of each message.
func merge(list []mta.Delivered) map[string]*arrival {
	all := map[string]*arrival{}
	for _, d := range list {
		mark := markOf(string(d.Data))
		a := all[mark]
		if a == nil {
			a = &arrival{from: d.From, data: d.Data}
			all[mark] = a
		}
		if a.from != d.From {
			a.from += " and " + d.From
		}
		a.to = append(a.to, d.To...)
		slices.Sort(a.to)
	}
	return all
}
