package milter

import (
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/rules"
)

// Traffic is what came through one listener since it was opened: what says whether the
// MTA behind it is wired as it should be.
type Traffic struct {
	On         string // "tcp:127.0.0.1:8895", "unix:/path"
	Sessions   int64  // that sent CONNECT
	Deaf       int64  // of these, whose MTA cannot be asked for macros
	CannotHold int64  // of these, whose MTA cannot put mail on hold
	Messages   int64  // that were answered
	Logins     int64  // of these, with a login
	Local      int64  // handed in by programs of this host
	Unjudged   int64  // inbound mail
	// Macros says how many messages had which macro, by names without braces: those
	// that something is made of.
	Macros map[string]int64
}

// counts is the Traffic of a listener that goes on.
type counts struct {
	mu sync.Mutex
	t  Traffic
}

// Traffic tells what came through each listener, by their names.
func (s *Server) Traffic() []Traffic {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Traffic
	for _, c := range s.traffic {
		list = append(list, c.told())
	}
	slices.SortFunc(list, func(a, b Traffic) int { return strings.Compare(a.On, b.On) })
	return list
}

func (c *counts) told() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.t
	t.Macros = maps.Clone(t.Macros)
	return t
}

// countsOf are those of a listener; s.mu is held.
func (s *Server) countsOf(addr net.Addr) *counts {
	on := addr.Network() + ":" + addr.String()
	if s.traffic[on] == nil {
		s.traffic[on] = &counts{t: Traffic{On: on, Macros: map[string]int64{}}}
	}
	return s.traffic[on]
}

func (c *counts) session(t *terms) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Sessions++
	c.t.Deaf += one(!t.may(gomilter.OptSetSymList))
	c.t.CannotHold += one(!t.may(gomilter.OptQuarantine))
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// message counts one that was answered.
func (c *counts) message(mail *rules.Mail, m *macros, v *rules.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Messages++
	c.t.Logins += one(mail.Login != "")
	c.t.Local += one(mail.Local)
	c.t.Unjudged += one(!v.Judged && !v.Own)
	c.t.Macros["i"] += one(mail.QueueID != "")
	for _, stage := range []struct {
		list  *macroList
		names []string
	}{
		{&m.connect, []string{"j", "client_addr", "daemon_name"}},
		{&m.mail, []string{"auth_authen", "mail_addr"}},
		{&m.rcpt, []string{"rcpt_addr", "rcpt_mailer"}}, // of the last recipient
	} {
		for _, name := range stage.names {
			_, sent := stage.list.get(name)
			c.t.Macros[name] += one(sent)
		}
	}
}
