package doctor

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CheckPostfix looks at how an instance is wired to the filter, which listens on ours.
func CheckPostfix(p *Postfix, ours []Address) []Finding {
	c := &postfixCheck{report{area: "postfix"}, p, ours, map[string]bool{}}
	servers := p.of("smtpd")
	if len(servers) == 0 {
		c.add(Warning, "master.cf has no smtpd", "no mail comes in by SMTP", "")
	}
	logins := false
	for _, s := range servers {
		logins = logins || p.takesLogins(s)
		c.server(s)
	}
	if len(servers) > 0 && !logins {
		c.add(Warning, "no service of master.cf has smtpd_sasl_auth_enable = yes",
			"without logins nothing says whose a message is, and mail from elsewhere passes as inbound",
			"postconf -P 'submission/inet/smtpd_sasl_auth_enable=yes' && postfix reload")
	}
	c.local()
	c.instance()
	return c.list
}

type postfixCheck struct {
	report
	*Postfix
	ours    []Address
	reached map[string]bool // sockets that have been looked at
}

// takesLogins says whether somebody can log in to a service.
func (p *Postfix) takesLogins(s service) bool {
	return p.value(s, "smtpd_sasl_auth_enable") == "yes"
}

// submission goes by the well-known names and ports (RFC 6409, RFC 8314).
func (s service) submission() bool {
	port := s.name[strings.LastIndexByte(s.name, ':')+1:]
	return slices.Contains([]string{"submission", "587", "submissions", "smtps", "465"}, port)
}

// server looks at one smtpd of master.cf.
func (c *postfixCheck) server(s service) {
	if !c.takesLogins(s) && !s.submission() {
		c.relay(s)
		return
	}
	if overrides(c.value(s, "receive_override_options"), "no_milters") {
		c.add(Fault, s.String()+": receive_override_options has no_milters", whyUnjudged,
			c.edit(s, "receive_override_options", strings.Join(without(c.value(s, "receive_override_options"), "no_milters"), ",")))
		return
	}
	c.wired(s, "smtpd_milters", Fault, s.String())
}

// relay is an smtpd without logins, as on port 25: inbound mail passes there anyway.
func (c *postfixCheck) relay(s service) {
	if overrides(c.value(s, "receive_override_options"), "no_milters") {
		c.ok("%s takes no logins and asks no milter", s)
		return
	}
	if entries, err := milterList(c.value(s, "smtpd_milters")); err == nil && len(c.find(s, entries)) > 0 {
		c.handedBack(s)
		c.wired(s, "smtpd_milters", Note, s.String())
		return
	}
	c.add(Note, s.String()+" takes no logins, and has not the filter in smtpd_milters",
		"right for inbound mail; but what clients in mynetworks ("+cut(c.main["mynetworks"])+") and programs of this host hand in there passes unjudged", "")
}

// handedBack looks for the door through which a content filter hands mail back: what
// has passed before is judged there as a local submission.
func (c *postfixCheck) handedBack(s service) {
	host := s.name[:max(0, strings.LastIndexByte(s.name, ':'))]
	loopback := host == "localhost" || host == "[::1]" || strings.HasPrefix(host, "127.")
	filtered := func(other service) bool { return c.value(other, "content_filter") != "" }
	if loopback && !filtered(s) && slices.ContainsFunc(append(c.of("smtpd"), c.of("pickup")...), filtered) {
		c.add(Warning, s.String()+": the filter is asked about mail that a content filter (content_filter) hands back",
			whyTwice, fmt.Sprintf("in master.cf: -o smtpd_milters= for %s", s))
	}
}

func overrides(value, option string) bool { return slices.Contains(words(value), option) }

func without(value, option string) []string {
	return slices.DeleteFunc(words(value), func(s string) bool { return s == option })
}

// wired looks at a service's list of milters. Missing is the level of its not having
// the filter.
func (c *postfixCheck) wired(s service, parameter string, missing Level, where string) {
	value := c.value(s, parameter)
	where += ": " + parameter
	do := c.edit(s, parameter, c.wanted(s, value))
	entries, err := milterList(value)
	if err != nil {
		c.add(Fault, where+": "+err.Error(), "Postfix cannot read it: mail is deferred", do)
		return
	}
	found := c.find(s, entries)
	if len(found) == 0 {
		c.missing(s, where, entries, missing, do)
		return
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.text
	}
	c.ourPlace(where, names, found, do)
	if parameter == "smtpd_milters" {
		c.daemonName(s, names)
	}
	e := entries[found[0]]
	c.action(s, where, e)
	c.patience(s, where, e)
	c.protocol(s, where, e)
	if c.value(s, "smtpd_milter_maps") != "" && parameter == "smtpd_milters" {
		c.add(Note, s.String()+": smtpd_milter_maps is set, which was not looked at", "for the clients that it names it takes the place of smtpd_milters", "")
	}
	c.reach(s, e)
}

// daemonName looks at whether a signer can tell a customer's mail from a stranger's. We
// go by logins; OpenDKIM's MacroList and its like go by {daemon_name}, which is the host's
// name for all services unless master.cf says more (postconf(5), milter_macro_daemon_name).
func (c *postfixCheck) daemonName(s service, names []string) {
	const parameter = "milter_macro_daemon_name"
	signer := slices.IndexFunc(names, isSigner)
	if signer < 0 || !c.takesLogins(s) {
		return
	}
	name := c.value(s, parameter)
	for _, other := range c.of("smtpd") {
		if c.takesLogins(other) || c.value(other, parameter) != name || !strings.Contains(c.value(other, "smtpd_milters"), names[signer]) {
			continue
		}
		c.add(Note, fmt.Sprintf("%s: %s is %s, as on %s, and %s signs on both", s, parameter, name, other, names[signer]),
			"a signer that goes by {daemon_name} (OpenDKIM: MacroList daemon_name|ORIGINATING) signs strangers' mail too, or none; to others it is all one",
			fmt.Sprintf("postconf%[1]s -P '%[2]s/%[3]s=ORIGINATING' && postfix%[1]s reload", c.instanceFlag(), s, parameter))
		return
	}
}

// wanted is the list with the filter at its end, by the name that it has there.
func (c *postfixCheck) wanted(s service, value string) string {
	if len(c.ours) == 0 {
		return value
	}
	entries, _ := milterList(value) // of a list that cannot be read, what could
	var list []string
	name := ""
	for _, e := range entries {
		text := e.text
		if e.own != nil {
			text = braced(e)
		}
		if len(c.find(s, []entry{e})) == 0 {
			list = append(list, text)
		} else if name == "" {
			name = text
		}
	}
	if name == "" {
		name = c.name(s, c.best(s))
	}
	list = slices.DeleteFunc(list, func(other string) bool { return other == name })
	return strings.Join(append(list, name), ", ")
}

// best is the address of ours for a service that names none: a socket that it sees, as
// only who is let may connect there, else TCP.
func (c *postfixCheck) best(s service) Address {
	seen := func(a Address) bool { return a.Path != "" && (!s.chroot || c.inQueue(a)) }
	tcp := func(a Address) bool { return a.Path == "" }
	for _, fits := range []func(Address) bool{seen, tcp} {
		if i := slices.IndexFunc(c.ours, fits); i >= 0 {
			return c.ours[i]
		}
	}
	return c.ours[0]
}

// inQueue says whether a socket is where services see it with and without a chroot.
func (c *postfixCheck) inQueue(a Address) bool {
	return strings.HasPrefix(a.Path, c.main["queue_directory"]+"/")
}

func braced(e entry) string {
	text := "{ " + e.text
	names := make([]string, 0, len(e.own))
	for name := range e.own {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += ", " + name + "=" + e.own[name]
	}
	return text + " }"
}

// name is how a service has to call one of our addresses.
func (c *postfixCheck) name(s service, a Address) string {
	if a.Path == "" {
		host := a.Host
		if everywhere(host) {
			host = "127.0.0.1"
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return "inet:" + host + ":" + strconv.Itoa(a.Port)
	}
	if inside, ok := strings.CutPrefix(a.Path, c.main["queue_directory"]+"/"); ok {
		return "unix:" + inside // right with and without a chroot
	}
	if s.chroot {
		return "unix:" + filepath.Join(inChroot, filepath.Base(a.Path))
	}
	return "unix:" + a.Path
}

// inChroot is the folder of the queue's where a socket may be for services in a chroot.
const inChroot = "o2n-milter"

// find gives the places of a list that are the filter's.
func (c *postfixCheck) find(s service, entries []entry) []int {
	var found []int
	for i, e := range entries {
		a, err := parsePostfix(e.text)
		if err == nil && slices.ContainsFunc(c.ours, c.real(s, a).reaches) {
			found = append(found, i)
		}
	}
	return found
}

// real is where a path leads as a service sees it: its folder is the queue's, and in a
// chroot its root is too.
func (p *Postfix) real(s service, a Address) Address {
	switch {
	case a.Path == "":
	case s.chroot || !filepath.IsAbs(a.Path):
		a.Path = filepath.Join(p.main["queue_directory"], a.Path)
	default:
		a.Path = filepath.Clean(a.Path)
	}
	return a
}

// missing says why a list has not the filter.
func (c *postfixCheck) missing(s service, where string, entries []entry, level Level, do string) {
	what := where + " is empty"
	if len(entries) > 0 {
		what = where + ": none of its milters is an address of milter.listen (" + joined(c.ours) + ")"
	}
	if len(c.ours) == 0 {
		c.add(Note, where+" is not looked at", "where the filter listens is not known", "")
		return
	}
	for _, e := range entries {
		a, err := parsePostfix(e.text)
		if err != nil {
			c.add(Fault, where+": "+err.Error(), "Postfix cannot read it: mail is deferred", do)
			return
		}
		if a.Path != "" && s.chroot && slices.ContainsFunc(c.ours, a.reaches) {
			what = fmt.Sprintf("%s has %s, but %s runs in a chroot, where that is %s", where, e.text, s, c.real(s, a).Path)
			c.add(Fault, what, "Postfix finds nobody there", fmt.Sprintf("in o2n-milter.toml: [milter] listen = [\"unix:%s\"]; or in master.cf: n in the fifth column of %s", c.real(s, a).Path, s))
			return
		}
	}
	c.add(level, what, whyUnjudged, c.movedFirst(s)+do)
}

// movedFirst says where the filter has to listen for a service in a chroot.
func (c *postfixCheck) movedFirst(s service) string {
	a := c.best(s)
	if a.Path == "" || c.inQueue(a) || !s.chroot {
		return ""
	}
	return fmt.Sprintf("in o2n-milter.toml: [milter] listen = [\"unix:%s\"], as %s runs in a chroot; then ",
		filepath.Join(c.main["queue_directory"], inChroot, filepath.Base(a.Path)), s)
}

// action looks at what becomes of mail while the filter is away.
func (c *postfixCheck) action(s service, where string, e entry) {
	parameter, value, do := c.setting(s, where, e, "default_action", "tempfail")
	what := fmt.Sprintf("%s: %s is %s", where, parameter, value)
	switch value {
	case "tempfail":
		c.ok("%s", what)
	case "accept":
		c.add(Fault, what, whyOpen, do)
	case "quarantine":
		c.add(Warning, what, "while the filter is away all mail is put on hold, and nobody releases it: the filter does not know of it", do)
	case "reject":
		c.add(Warning, what, "while the filter is away all mail is refused for good", do)
	default:
		c.add(Warning, what, "it is not known what becomes of mail while the filter is away", do)
	}
}

// setting is what holds for our entry of a list: what it has set for itself, else the
// parameter of the service's. Do sets it to wanted where it stands.
func (c *postfixCheck) setting(s service, where string, e entry, name, wanted string) (parameter, value, do string) {
	if own, ok := e.own[name]; ok {
		return name, own, fmt.Sprintf("in %s: %s=%s for %s", where, name, wanted, e.text)
	}
	parameter = "milter_" + name
	return parameter, c.value(s, parameter), c.edit(s, parameter, wanted)
}

// enough is how long an answer may take: the filter decides within 8 seconds, and a
// busy host wants some more.
const enough = 10 * time.Second

// patience looks at Postfix' time limits.
func (c *postfixCheck) patience(s service, where string, e entry) {
	for _, name := range []string{"connect_timeout", "command_timeout", "content_timeout"} {
		parameter, value, do := c.setting(s, where, e, name, "30s")
		limit, err := postfixTime(value)
		if err != nil || limit < enough {
			c.add(Warning, fmt.Sprintf("%s: %s is %s; want %s or more", where, parameter, value, enough), whyShort, do)
		}
	}
}

// lists are the parameters that say which macros a milter is told that may not choose,
// with what the filter cannot do without.
var lists = []struct{ parameter, macro, why string }{
	{"milter_mail_macros", "{auth_authen}", "without it every login is unknown, and its mail passes as inbound"},
	{"milter_data_macros", "i", "without it no message has a queue id: nothing can be held, and log lines cannot be matched"},
	{"milter_connect_macros", "j", "without it the filter does not know which host it works for"},
}

// protocol looks at whether the filter can ask for the macros that it wants, which it
// does from version 6 on.
func (c *postfixCheck) protocol(s service, where string, e entry) {
	parameter, value, do := c.setting(s, where, e, "protocol", "6")
	if version, err := strconv.Atoi(value); err == nil && version >= 6 {
		return
	}
	c.add(Warning, fmt.Sprintf("%s: %s is %s; want 6", where, parameter, value),
		"the filter cannot ask for the macros that it needs, and goes by what the milter_..._macros lists say", do)
	for _, l := range lists {
		if !overrides(c.value(s, l.parameter), l.macro) {
			c.add(Fault, fmt.Sprintf("%s: %s has no %s", where, l.parameter, l.macro), l.why, c.edit(s, l.parameter, l.macro+" "+c.value(s, l.parameter)))
		}
	}
}

// reach looks at a socket as Postfix sees it.
func (c *postfixCheck) reach(s service, e entry) {
	a, err := parsePostfix(e.text)
	a = c.real(s, a)
	if err != nil || a.Path == "" || c.reached[a.Path] {
		return
	}
	c.reached[a.Path] = true
	owner := c.main["mail_owner"]
	id, err := LookupIdentity(owner)
	if err == nil {
		err = id.mayConnect(a.Path)
	}
	switch {
	case err == nil:
		c.ok("%s: user %s may connect to %s", s, owner, a.Path)
	case errors.Is(err, errUnseen):
		c.add(Note, fmt.Sprintf("%s: %v", s, err), "whether Postfix can connect is not known", "run this as root")
	default:
		c.add(Fault, fmt.Sprintf("%s: %v", s, err), "Postfix cannot connect, and does with all mail what milter_default_action says",
			"in o2n-milter.toml: [milter] socket_group = \"postfix\" and a folder that user "+owner+" may enter, then start the daemon anew")
	}
}

// cut bounds a value for people.
func cut(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
