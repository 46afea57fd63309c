package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// cfMend is how a .cf file is changed: it is made from another one.
const cfMend = "in sendmail.mc, then rebuild sendmail.cf and restart Sendmail: "

// CheckSendmail looks at how a daemon's .cf file is wired to the filter, which listens
// on ours. Submit is the submission program's; nil: it was not found.
func CheckSendmail(s, submit *Sendmail, ours []Address) []Finding {
	c := &sendmailCheck{report{area: "sendmail"}, s, ours}
	if len(ours) == 0 {
		c.add(Note, s.path+" is not looked at for milters", "where the filter listens is not known", "")
		return c.list
	}
	c.filtered()
	for _, d := range s.daemons {
		c.daemon(d)
	}
	c.submit(submit)
	return c.list
}

type sendmailCheck struct {
	report
	*Sendmail
	ours []Address
}

// address is how Sendmail has to call the filter: by a socket, as only who is let may
// connect there, else by TCP.
func (c *sendmailCheck) address() string {
	a := c.ours[max(0, slices.IndexFunc(c.ours, func(a Address) bool { return a.Path != "" }))]
	if a.Path != "" {
		return "local:" + a.Path
	}
	host := a.Host
	if everywhere(host) {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("inet:%d@%s", a.Port, host)
}

// wantedLine is INPUT_MAIL_FILTER as it should be, for this address.
func wantedLine(where string) string {
	return cfMend + "INPUT_MAIL_FILTER(`o2n-milter', `S=" + where + ", F=T, T=S:30s;R:30s;E:5m')dnl"
}

// named are the filters of a list that are ours, by their place.
func (c *sendmailCheck) named(list []string) []int {
	var found []int
	for i, name := range list {
		a, err := parseSendmail(c.filters[name].equates["S"])
		if err == nil && slices.ContainsFunc(c.ours, a.reaches) {
			found = append(found, i)
		}
	}
	return found
}

// filtered looks at O InputMailFilters and the X line that is ours.
func (c *sendmailCheck) filtered() {
	found := c.named(c.order)
	if len(found) > 0 {
		c.ourPlace(c.path+": InputMailFilters", c.order, found, cfMend+"our INPUT_MAIL_FILTER once, after all others")
		c.filter(c.filters[c.order[found[0]]])
		return
	}
	what := c.path + ": no filter has an address of milter.listen (" + joined(c.ours) + ")"
	for name := range c.filters {
		if len(c.named([]string{name})) > 0 {
			what = fmt.Sprintf("%s: filter %s is defined, and InputMailFilters does not name it (MAIL_FILTER defines only)", c.path, name)
		}
	}
	c.add(Fault, what, whyUnjudged, wantedLine(c.address()))
}

// filter looks at what an X line says beside the address.
func (c *sendmailCheck) filter(f filter) {
	where, wanted := c.path+": X"+f.name, wantedLine(f.equates["S"])
	switch flags := f.equates["F"]; flags {
	case "T":
		c.ok("%s: F=T", where)
	case "4":
		c.add(Note, where+": F=4", "while the filter is away clients are sent away with 421 and come again; F=T lets them go on to the next message", "")
	case "R":
		c.add(Warning, where+": F=R", "while the filter is away all mail is refused for good", wanted)
	case "":
		c.add(Fault, where+" has no F=", whyOpen, wanted)
	default:
		c.add(Warning, where+": F="+flags, "it is not known what becomes of mail while the filter is away", wanted)
	}
	c.patience(where, times(f.equates["T"]), wanted)
	if c.envfrom != "" && !slices.Contains(words(c.envfrom), "{auth_authen}") {
		c.add(Note, c.path+": Milter.macros.envfrom has no {auth_authen}", "before Sendmail 8.14, where the filter cannot ask for it, every login is unknown", "")
	}
}

// patience looks at Sendmail's time limits. R bounds each answer, and is 10 s unless
// it is set; E bounds the end of message as a whole, and is 5 m.
func (c *sendmailCheck) patience(where string, limits map[string]string, wanted string) {
	if limits["R"] == "" {
		c.add(Note, where+": T= has no R", "it is 10s then, which is short when a disk is slow; the filter asks for patience each 5 seconds", wanted)
	}
	for _, letter := range []string{"S", "R", "E"} {
		if value := limits[letter]; value != "" {
			limit, err := postfixTime(value) // the same units
			if err != nil || limit < enough {
				c.add(Warning, fmt.Sprintf("%s: T=%s:%s; want %s or more", where, letter, value, enough), whyShort, wanted)
			}
		}
	}
}

// daemon looks at one address that Sendmail listens on.
func (c *sendmailCheck) daemon(d map[string]string) {
	where := fmt.Sprintf("%s: daemon %s (port %s)", c.path, d["N"], d["P"])
	if own, ok := d["I"]; ok && len(c.named(words(own))) == 0 {
		c.add(Fault, where+" has InputMailFilters="+own+" of its own, without the filter", whyUnjudged,
			cfMend+"DAEMON_OPTIONS for it without InputMailFilters=")
	}
	submission := slices.Contains([]string{"587", "submission", "465", "smtps", "submissions"}, d["P"])
	if !submission {
		return
	}
	if strings.Contains(d["M"], "a") {
		c.ok("%s wants a login (M=%s)", where, d["M"])
		return
	}
	c.add(Warning, where+" takes mail without a login", "without a login nothing says whose a message is, and mail from elsewhere passes as inbound",
		cfMend+"DAEMON_OPTIONS(`Port="+d["P"]+", Name="+d["N"]+", M=Ea')dnl")
}

// submit looks at where sendmail(1) hands over: to this daemon, else nothing of it is
// judged here.
func (c *sendmailCheck) submit(s *Sendmail) {
	if s == nil {
		c.add(Note, "submit.cf was not found", "whether what PHP and cron hand to sendmail(1) comes through here is not known", "")
		return
	}
	host := strings.Trim(s.host, "[]")
	ip, err := netip.ParseAddr(strings.TrimPrefix(host, "IPv6:"))
	if host == "localhost" || err == nil && ip.IsLoopback() {
		c.ok("%s hands over to this host (%s)", s.path, s.host)
		return
	}
	c.add(Warning, fmt.Sprintf("%s hands over to %q", s.path, s.host), "what PHP and cron hand to sendmail(1) does not come through the filter of this host",
		"in submit.mc, then rebuild submit.cf: FEATURE(`msp', `[127.0.0.1]')dnl")
}
