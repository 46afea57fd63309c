package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"o2n-milter/accounts"
	"o2n-milter/rules"
)

// Load reads the main file, conf.d/*.toml beside it in name order, and the map
// file of accounts. It reports every fault of all of them in file order; there
// is a Config only when there is none. A main file that the user named
// (explicit) must exist.
func Load(file string, explicit bool) (*Config, []Fault) {
	c, faults := load(file, explicit)
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// LoadAdmin reads [admin], which is all that a client of a running daemon needs,
// while somebody is in the middle of an edit elsewhere in the files. all is how
// many faults there are; known is false when they leave it in doubt which socket
// is meant, for a change must not reach another daemon.
func LoadAdmin(file string, explicit bool) (admin Admin, all []Fault, known bool) {
	c, faults := load(file, explicit)
	known = true
	for _, f := range faults {
		table, _, _ := strings.Cut(f.Key, ".")
		inSchema := slices.ContainsFunc(schema, func(k Key) bool { return strings.HasPrefix(k.Name, table+".") })
		known = known && inSchema && table != "admin"
	}
	return c.Admin, faults, known
}

// load is Load that gives what could be read beside the faults.
func load(file string, explicit bool) (*Config, []Fault) {
	c := &Config{File: file}
	c.Rules.Actions = map[string]rules.Action{}
	c.Accounts.Table = map[string]*accounts.Account{}
	r := newReader(c, schema)
	r.defaults("", nil)

	names, fault := mainFiles(file, explicit)
	if fault != nil {
		r.faults = append(r.faults, *fault)
	}
	sum := sha256.New()
	for _, name := range names {
		src, fault := readSource(name)
		if fault != nil {
			r.faults = append(r.faults, *fault)
		}
		r.read(src)
		sum.Write(src.sum[:])
	}
	c.Files = names
	r.finish()
	r.across()
	c.Rules.Origin, c.Rules.Value = r.origin, r.valueText
	c.Rules.Version = fmt.Sprintf("%.6x", sum.Sum(nil))

	m := newMapFile(r)
	_, faults, notes := m.read()
	c.Accounts.Read = m.accounts
	if m.seen {
		c.Files = append(c.Files, c.Accounts.File)
	}
	all := append(r.faults, faults...)
	inOrder(all, c.Files)
	c.Notes = notes
	inOrder(c.Notes, c.Files)
	return c, all
}

// mainFiles are the files to read, in order, of which the first is the main file
// if it exists.
func mainFiles(file string, explicit bool) ([]string, *Fault) {
	var names []string
	var fault *Fault
	switch _, err := os.Stat(file); {
	case err == nil:
		names = append(names, file)
	case explicit || !errors.Is(err, fs.ErrNotExist):
		fault = fileFault(file, err)
	}
	folder := filepath.Join(filepath.Dir(file), "conf.d")
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) && fault == nil {
		fault = fileFault(folder, err)
	}
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".toml") && !strings.HasPrefix(n, ".") {
			names = append(names, filepath.Join(folder, n))
		}
	}
	return names, fault
}

// inOrder sorts by file and line; what was found first stays first.
func inOrder(faults []Fault, files []string) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(
			cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line))
	})
}

func (r *reader) origin(key string) (string, int) {
	p := r.places[strings.ToLower(key)]
	return p.file, p.line
}

// at is the place of a key, or of the table or file that should hold it.
func (r *reader) at(path ...string) place {
	for ; len(path) > 0; path = path[:len(path)-1] {
		if p, ok := r.places[fold(path)]; ok {
			return p
		}
	}
	return place{file: r.cfg.File, line: 1}
}

func (r *reader) isSet(path ...string) bool {
	_, ok := r.places[fold(path)]
	return ok
}

// finish settles the default files, whose absence is no fault.
func (r *reader) finish() {
	c := r.cfg
	switch dir, err := filepath.Abs(filepath.Dir(c.File)); {
	case err != nil:
		r.faults = append(r.faults, *fileFault(c.File, err))
	case !r.isSet("accounts", "file"):
		c.Accounts.File = filepath.Join(dir, c.Accounts.File)
	}
	if r.isSet("web", "link_key_file") {
		return
	}
	if f, err := os.Open(c.Web.LinkKeyFile); err == nil { // there, and this user may read it
		_ = f.Close()
		if _, err := linkKey(c.Web.LinkKeyFile, "/"); err != nil {
			r.faultAt(r.at("web"), "web.link_key_file", fmt.Sprintf("%q %v", c.Web.LinkKeyFile, err), wantLinkKey)
		}
	}
}

func (r *reader) faultAt(p place, key, problem, want string) {
	r.faults = append(r.faults, Fault{File: p.file, Line: p.line, Key: key, Problem: problem, Want: want})
}

// across checks what only several keys together can get wrong.
func (r *reader) across() {
	r.remote()
	if n := r.cfg.Notify; n.Webhook != "" && n.WebhookKeyFile == "" {
		r.faultAt(r.at("notify", "webhook"), "notify.webhook", "is set and notify.webhook_key_file is not", "a key that signs what is posted")
	}
	r.campaigns()
	r.twoListeners()
	r.redisFiles()
	r.contentSteps()
}

// remote refuses addresses that other hosts may reach, unless that is said to be meant.
func (r *reader) remote() {
	web, milter := r.cfg.Web, r.cfg.Milter
	if web.Listen != "" && !web.AllowRemote && !loopback(web.Listen) {
		r.faultAt(r.at("web", "listen"), "web.listen", fmt.Sprintf("%q is open to other hosts", web.Listen),
			"a loopback address, or allow_remote = true")
	}
	for _, addr := range milter.Listen {
		where, tcp := strings.CutPrefix(addr, "tcp:")
		if tcp && !milter.AllowRemote && !loopback(where) {
			r.faultAt(r.at("milter", "listen"), "milter.listen", fmt.Sprintf("%q is open to other hosts, which may claim any login", addr),
				"a unix socket, a loopback address, or allow_remote = true")
		}
	}
}

func loopback(hostPort string) bool {
	host, _, _ := net.SplitHostPort(hostPort)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.Unmap().IsLoopback())
}

// twoListeners refuses one address for two listeners. Port 0 is another each time.
func (r *reader) twoListeners() {
	type listener struct{ table, key, addr string }
	c := r.cfg
	var all []listener
	for _, addr := range c.Milter.Listen {
		all = append(all, listener{"milter", "listen", addr})
	}
	all = append(all, listener{"admin", "socket", "unix:" + c.Admin.Socket},
		listener{"web", "listen", "tcp:" + c.Web.Listen}, listener{"web", "public_listen", "tcp:" + c.Web.PublicListen})
	for i, l := range all {
		before := slices.IndexFunc(all[:i], func(o listener) bool { return o.addr == l.addr && o.key+o.table != l.key+l.table })
		if before < 0 || strings.HasSuffix(l.addr, ":0") || l.addr == "tcp:" {
			continue
		}
		other := all[before]
		if !r.isSet(l.table, l.key) { // then the other one took a default's address
			l, other = other, l
		}
		r.faultAt(r.at(l.table, l.key), l.table+"."+l.key,
			fmt.Sprintf("%q is the address of %s.%s too", l.addr, other.table, other.key), "an address of its own")
	}
}
