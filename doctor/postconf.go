package doctor

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Postfix is an instance's configuration, as postconf(1) prints it.
type Postfix struct {
	dir      string            // config_directory
	main     map[string]string // every parameter, defaults too
	services []service
}

// service is an entry of master.cf.
type service struct {
	name, kind string // "submission", "inet"
	chroot     bool
	command    string            // smtpd, pickup, cleanup, ...
	own        map[string]string // its -o options
}

func (s service) String() string { return s.name + "/" + s.kind }

// ReadPostfix reads what "postconf -x", "postconf -M" and "postconf -x -P" print for
// the instance with this configuration folder.
func ReadPostfix(dir, main, services, options string) (*Postfix, error) {
	p := &Postfix{dir: dir, main: readParameters(main)}
	if p.main["queue_directory"] == "" || p.main["mail_owner"] == "" {
		return nil, errors.New("postconf -x: no queue_directory or no mail_owner; want all parameters")
	}
	own, err := readOptions(options)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(services) {
		// service type private unpriv chroot wakeup maxproc command args (master(5)).
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) < 8 {
			return nil, fmt.Errorf("postconf -M: %q; want eight fields", strings.TrimSpace(line))
		}
		s := service{name: f[0], kind: f[1], chroot: p.chrooted(f[4]), command: filepath.Base(f[7])}
		s.own = own[s.String()]
		p.services = append(p.services, s)
	}
	return p, nil
}

// chrooted reads the fifth column of master.cf. Its default is y for installations
// that never set compatibility_level (Postfix 3.0, master(5)).
func (p *Postfix) chrooted(column string) bool {
	if column != "-" {
		return column == "y"
	}
	major, _, _ := strings.Cut(p.main["compatibility_level"], ".")
	level, err := strconv.Atoi(major)
	return err != nil || level < 1
}

// readParameters reads lines "name = value".
func readParameters(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, "="); ok {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return values
}

// readOptions reads lines "service/type/parameter = value". A service's name may hold
// anything but a space, a parameter's and a type no slash.
func readOptions(text string) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		place, value, ok := strings.Cut(line, "=")
		place = strings.TrimSpace(place)
		cut := strings.LastIndexByte(place, '/')
		if !ok || cut < 0 {
			return nil, fmt.Errorf("postconf -P: %q; want service/type/parameter = value", strings.TrimSpace(line))
		}
		if all[place[:cut]] == nil {
			all[place[:cut]] = map[string]string{}
		}
		all[place[:cut]][place[cut+1:]] = strings.TrimSpace(value)
	}
	return all, nil
}

// value is a parameter as a service has it.
func (p *Postfix) value(s service, name string) string {
	if v, ok := s.own[name]; ok {
		return v
	}
	return p.main[name]
}

// edit is the command that sets a parameter for a service: where its master.cf entry
// says something else, it is said there.
func (p *Postfix) edit(s service, name, value string) string {
	instance := p.instanceFlag()
	if _, ok := s.own[name]; ok {
		return fmt.Sprintf("postconf%s -P '%s/%s=%s' && postfix%s reload", instance, s, name, dense(value), instance)
	}
	return fmt.Sprintf("postconf%s -e '%s = %s' && postfix%s reload", instance, name, value, instance)
}

// instanceFlag is what Postfix' commands need to know the instance by.
func (p *Postfix) instanceFlag() string {
	if p.dir == postfixDir {
		return ""
	}
	return " -c " + p.dir
}

// dense is a list without blanks, which postconf -P does not take: commas do as well.
func dense(value string) string {
	list := strings.Join(strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t", r) }), ",")
	return strings.NewReplacer("{,", "{", ",}", "}").Replace(list)
}

// of lists the services that run a program.
func (p *Postfix) of(command string) []service {
	return slices.DeleteFunc(slices.Clone(p.services), func(s service) bool { return s.command != command })
}

// entry is one milter of a list: its address and what it has set for itself.
type entry struct {
	text string // the address as it is written
	own  map[string]string
}

// milterList splits a list as smtpd_milters is: by commas and spaces, but for
// "{ address, name=value, ... }" (Postfix 3.0).
func milterList(value string) ([]entry, error) {
	var list []entry
	for rest := strings.TrimLeft(value, ", \t\r\n"); rest != ""; rest = strings.TrimLeft(rest, ", \t\r\n") {
		end := strings.IndexAny(rest, ", \t\r\n")
		if rest[0] == '{' {
			if end = strings.IndexByte(rest, '}'); end < 0 {
				return list, fmt.Errorf("milters %q: want a } to each {", value)
			}
			list = append(list, bracedEntry(rest[1:end]))
			rest = rest[end+1:]
			continue
		}
		if end < 0 {
			end = len(rest)
		}
		list = append(list, entry{text: rest[:end]})
		rest = rest[end:]
	}
	return list, nil
}

func bracedEntry(inside string) entry {
	address, options, _ := strings.Cut(inside, ",")
	e := entry{text: strings.TrimSpace(address), own: map[string]string{}}
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		e.own[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return e
}

// postfixTime reads a time of Postfix': a number and s, m, h, d or w; seconds without.
func postfixTime(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	unit := time.Second
	if n := len(text); n > 0 && units[text[n-1]] != 0 {
		unit, text = units[text[n-1]], text[:n-1]
	}
	const most = math.MaxInt32 * time.Second // Postfix has 31 bits of seconds
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > int(most/unit) {
		return 0, fmt.Errorf("time %q; want a number with s, m, h, d or w", text)
	}
	return time.Duration(n) * unit, nil
}
