package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"o2n-milter/accounts"
	"o2n-milter/rules"
)

// reader checks entries one by one in file order and stores what is good.
type reader struct {
	cfg    *Config
	keys   map[string]*Key  // by Name
	std    map[string]any   // decoded defaults by Name, as they were needed
	tables map[string]bool  // names of the tables that hold keys, in the same form
	places map[string]place // of every key and table, by folded key
	values map[string]any   // of every key but those of accounts, as decoded, likewise
	listed []*accounts.Account
	// outer holds the places of the configuration while the map file is read:
	// a login may stand in one of them only. Nil for the configuration itself.
	outer map[string]place

	src    source          // the file being read
	closed map[string]bool // keys of src whose children are not looked at
	faults []Fault
	notes  []Fault
}

// place is where a key was first named, and how it was spelled there.
type place struct {
	file string
	line int
	key  string
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

func newReader(c *Config, schema []Key) *reader {
	r := &reader{cfg: c, keys: map[string]*Key{}, std: map[string]any{}, tables: map[string]bool{}, places: map[string]place{}, values: map[string]any{}}
	for i, k := range schema {
		r.keys[k.Name] = &schema[i]
		for j, c := range k.Name {
			if c == '.' {
				r.tables[k.Name[:j]] = true
			}
		}
	}
	return r
}

func (r *reader) read(src source) {
	r.src = src
	r.closed = map[string]bool{}
	for _, e := range src.entries {
		r.entry(e)
	}
}

func (r *reader) fault(line int, key, problem, want string) {
	r.faults = append(r.faults, Fault{File: r.src.name, Line: line, Key: key, Problem: problem, Want: want})
}

// entry checks one key or table header.
func (r *reader) entry(e entry) {
	for i := range e.path {
		if r.closed[keyString(e.path[:i+1])] {
			return
		}
	}
	if r.unknown(e) || r.clash(e) {
		return
	}
	name := schemaName(e.path)
	_, isTable := e.value.(map[string]any)
	switch {
	case r.tables[name] && !isTable:
		bad := wrongType(e.value, fmt.Sprintf("one table [%s]", name))[0]
		r.fault(e.line, keyString(e.path), bad.problem, bad.want)
		r.close(e.path)
	case r.tables[name]:
		r.named(e)
	default:
		r.close(e.path) // a value's inner keys are checked with it
		if r.named(e) {
			r.value(e, r.keys[name])
		}
	}
}

func (r *reader) close(path []string) { r.closed[keyString(path)] = true }

// schemaName is the path with its free names replaced as in Key.Name. A part
// that holds a dot cannot make one name out of another: the parts are counted.
func schemaName(path []string) string {
	parts := slices.Clone(path)
	for i, p := range parts {
		if strings.Contains(p, ".") {
			parts[i] = strconv.Quote(p)
		}
	}
	if len(parts) > 1 && parts[0] == "limit" {
		parts[1] = "NAME"
	}
	if len(parts) > 3 && parts[0] == "limit" && parts[2] == "plans" {
		parts[3] = "PLAN"
	}
	if len(parts) > 1 && parts[0] == "account" {
		parts[1] = "LOGIN"
	}
	return strings.Join(parts, ".")
}

// unknown refuses what no key of the schema begins with.
func (r *reader) unknown(e entry) bool {
	for i := range e.path {
		path := e.path[:i+1]
		name := schemaName(path)
		last := i == len(e.path)-1
		if r.tables[name] || (last && r.keys[name] != nil) {
			continue
		}
		if k := r.keys[name]; k != nil { // [milter.listen.x]
			r.fault(e.line, keyString(path), "is a table", k.Kind)
			r.close(path)
			return true
		}
		if p, twin := r.places[fold(path)]; twin && p.key != keyString(path) {
			r.sameButCase(e.line, path, p)
			return true
		}
		problem := "unknown key"
		if s := r.suggest(path); s != "" {
			problem += fmt.Sprintf(" (did you mean %s?)", s)
		}
		r.fault(e.line, keyString(path), problem, r.wantAt(path[:i]))
		r.note(e.line, path)
		r.close(path)
		return true
	}
	return false
}

// note remembers the place of path if it is the first of its kind.
func (r *reader) note(line int, path []string) {
	f := fold(path)
	if _, known := r.places[f]; !known {
		r.places[f] = place{file: r.src.name, line: line, key: keyString(path)}
	}
}

// fold makes keys equal that differ only in case.
func fold(path []string) string { return strings.ToLower(keyString(path)) }

// clash refuses a key that is there already, in another file or in other case,
// and notes the places of new ones.
func (r *reader) clash(e entry) bool {
	for i := range e.path {
		path := e.path[:i+1]
		before, known := r.places[fold(path)]
		_, isTable := lookDown(e, i)
		switch {
		case !known:
			r.note(e.line, path)
		case before.key != keyString(path):
			r.sameButCase(e.line, path, before)
			return true
		case !isTable && i == len(e.path)-1:
			r.fault(e.line, keyString(path), "is set again; it is first set at "+before.String(), "it in one place")
			r.close(path)
			return true
		}
	}
	return false
}

// lookDown says whether the part i of the entry's path is a table.
func lookDown(e entry, i int) (map[string]any, bool) {
	if i < len(e.path)-1 {
		return nil, true
	}
	table, ok := e.value.(map[string]any)
	return table, ok
}

func (r *reader) sameButCase(line int, path []string, before place) {
	r.fault(line, keyString(path), fmt.Sprintf("is the same key as %s at %s but for case", before.key, before), "it in one place")
	r.close(path)
}

// value checks a key's value and stores it.
func (r *reader) value(e entry, k *Key) {
	got, flaws := k.check(e.value, r.src.dir)
	for _, f := range flaws {
		line := e.line
		if f.elem > 0 && f.elem <= len(e.elems) {
			line = e.elems[f.elem-1]
		}
		r.fault(line, keyString(e.path), f.problem, f.want)
	}
	if len(flaws) > 0 {
		return
	}
	k.set(r.cfg, e.path, got)
	if e.path[0] != "account" { // a map file may hold 100,000
		r.values[fold(e.path)] = e.value
	}
}

var limitName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// named makes the limit or account that an entry belongs to, with its defaults,
// when it is new. It says whether the entry may be looked at further.
func (r *reader) named(e entry) bool {
	if len(e.path) < 2 || (e.path[0] != "limit" && e.path[0] != "account") {
		return true
	}
	table, name := e.path[:2], e.path[1]
	if e.path[0] == "limit" {
		if !limitName.MatchString(name) {
			r.refuse(e.line, table, show(name)+" is no name of a limit", "1 to 32 of a-z, 0-9, _ and -")
			return false
		}
		if !slices.ContainsFunc(r.cfg.Rules.Limits, func(l rules.Limit) bool { return l.Name == name }) {
			r.cfg.Rules.Limits = append(r.cfg.Rules.Limits, rules.Limit{Name: name})
			r.defaults("limit.NAME.", table)
		}
		return true
	}
	login := strings.ToLower(name)
	if r.cfg.Accounts.Table[login] != nil {
		return true
	}
	if before, twice := r.outer[fold(table)]; twice {
		r.refuse(e.line, table, "is an account at "+before.String()+" too", "it in one place")
		return false
	}
	if login == "" || strings.ContainsFunc(login, func(c rune) bool { return c == ' ' || !strconv.IsPrint(c) }) {
		r.refuse(e.line, table, show(name)+" is no login", "a login without blanks and control characters")
		return false
	}
	a := &accounts.Account{Login: login}
	r.cfg.Accounts.Table[login] = a
	r.listed = append(r.listed, a)
	r.defaults("account.LOGIN.", table)
	return true
}

func (r *reader) refuse(line int, path []string, problem, want string) {
	r.fault(line, keyString(path), problem, want)
	r.close(path)
}

// defaults sets the keys whose schema name begins with prefix; table is the path
// that stands for the prefix, nil for keys without free names.
func (r *reader) defaults(prefix string, table []string) {
	for name, k := range r.keys {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || k.Default == "" || (table == nil && name != strings.ToLower(name)) {
			continue
		}
		if _, known := r.std[name]; !known { // a map file may hold 100,000 accounts
			r.std[name] = k.defaultValue()
		}
		path := append(slices.Clone(table), strings.Split(rest, ".")...)
		k.set(r.cfg, path, r.std[name])
	}
}

// defaultValue is Default decoded and checked. A default that the check refuses
// is a mistake in the schema, unless the check looks at the disk.
func (k *Key) defaultValue() any {
	var doc map[string]any
	if _, err := toml.Decode("v = "+k.Default, &doc); err != nil {
		panic(fmt.Sprintf("default of %s: %v", k.Name, err))
	}
	if k.disk {
		return doc["v"]
	}
	v, flaws := k.check(doc["v"], "/")
	if len(flaws) > 0 {
		panic(fmt.Sprintf("default of %s: %s", k.Name, flaws[0].problem))
	}
	return v
}
