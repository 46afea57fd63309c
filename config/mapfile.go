package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/rules"
)

// mapFile is the file of [account."LOGIN"] tables that is read again by itself.
type mapFile struct {
	path     string // empty: none
	base     *reader
	networks []netip.Prefix
	required bool // the configuration names it
	seen     bool // it was there once: that it is gone is a fault then
}

func newMapFile(base *reader) *mapFile {
	m := &mapFile{base: base, path: base.cfg.Accounts.File, networks: base.cfg.Rules.Networks,
		required: base.isSet("accounts", "file")}
	if m.required && slices.ContainsFunc(base.faults, func(f Fault) bool { return f.Key == "accounts.file" }) {
		m.path = "" // that it cannot be read is said already
	}
	return m
}

// accounts is Accounts.Read.
func (m *mapFile) accounts() ([]*accounts.Account, error) {
	list, faults, _ := m.read()
	errs := make([]error, 0, len(faults))
	for _, f := range faults {
		errs = append(errs, f)
	}
	return list, errors.Join(errs...)
}

// read gives the accounts of the configuration and of the file together.
func (m *mapFile) read() ([]*accounts.Account, []Fault, []Fault) {
	c := &Config{}
	c.Rules.Actions = map[string]rules.Action{}
	c.Accounts.Table = map[string]*accounts.Account{}
	r := newReader(c, slices.DeleteFunc(Keys(), func(k Key) bool { return !strings.HasPrefix(k.Name, "account.") }))
	r.outer = m.base.places
	if src, fault := m.source(); fault != nil {
		r.faults = append(r.faults, *fault)
	} else {
		r.read(src)
	}
	list := slices.Concat(m.base.listed, r.listed)
	_, clashes := accounts.NewTable(list)
	for _, clash := range clashes {
		key := clash.What + "s" // "scripts", "ips"
		second := m.at(r, clash.Second, key)
		r.faultAt(second, second.key, fmt.Sprintf("%s is of account %s too, at %s", show(clash.Value),
			show(clash.First), m.at(r, clash.First, key)), "each "+clash.What+" in one account")
	}
	m.spelledTwice(r, list)
	m.outside(r, list)
	return list, r.faults, r.notes
}

func (m *mapFile) source() (source, *Fault) {
	if m.path == "" {
		return source{}, nil
	}
	if _, err := os.Stat(m.path); errors.Is(err, fs.ErrNotExist) && !m.required && !m.seen {
		return source{}, nil
	}
	m.seen = true
	return readSource(m.path)
}

// at is where an account's key was set, in the file or in the configuration.
func (m *mapFile) at(r *reader, login string, key ...string) place {
	path := append([]string{"account", login}, key...)
	if r.isSet(path...) {
		return r.at(path...)
	}
	return m.base.at(path...)
}

// spelledTwice refuses two accounts for logins that are one mailbox to the rules:
// with and without the realm, with a dot at the end.
func (m *mapFile) spelledTwice(r *reader, list []*accounts.Account) {
	first := map[string]string{}
	for _, a := range list {
		one := a.Login
		if realm := m.base.cfg.Rules.DefaultRealm; realm != "" && !strings.Contains(one, "@") {
			one += "@" + realm
		}
		one = message.ParseAddress(one).Fold()
		if other, seen := first[one]; seen && other != a.Login {
			at := m.at(r, a.Login)
			r.faultAt(at, at.key, fmt.Sprintf("is the login %s too, at %s", show(other), m.at(r, other)), "each login in one spelling")
		}
		first[one] = a.Login
	}
}

// outside notes addresses that no mail without login is taken from, so that
// they say nothing. Loopback clients are local submissions.
func (m *mapFile) outside(r *reader, list []*accounts.Account) {
	for _, a := range list {
		for _, p := range a.IPs {
			inside := slices.ContainsFunc(m.networks, func(n netip.Prefix) bool { return n.Overlaps(p) })
			if inside || p.Addr().IsLoopback() {
				continue
			}
			at := m.at(r, a.Login, "ips")
			r.notes = append(r.notes, Fault{File: at.file, Line: at.line, Key: at.key,
				Problem: fmt.Sprintf("accepted, but %s has no effect: it is in no accounts.networks", p),
				Want:    "a network that holds it"})
		}
	}
}
