// Package config is the TOML schema: it reads, checks and builds settings. Every
// fault of all files is reported at once, with file, line, key and what is wanted.
package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/rules"
)

// DefaultFile is read when no other file is named; that it does not exist is no fault.
const DefaultFile = "/etc/o2n-milter/o2n-milter.toml"

// Config is everything the files say, checked, with defaults filled in and
// relative paths made absolute.
type Config struct {
	File     string   // the main file
	Files    []string // every file read, in order
	Milter   Milter
	State    State
	Accounts Accounts
	Rules    rules.Settings
	Hold     Hold
	Content  Content
	Admin    Admin
	Notify   Notify
	Web      Web
	Log      Log
	// Notes are for the operator and no faults: what is sound and has no effect.
	Notes []Fault
}

// Milter is [milter].
type Milter struct {
	Listen          []string // "tcp:host:port" or "unix:/path"
	AllowRemote     bool     // Listen may be open to other hosts
	SocketMode      fs.FileMode
	SocketGroup     string        // group of unix sockets, empty for the process's own
	MaxSessions     int           // open at once, all listeners together
	MaxPerClient    int           // open at once from one TCP address
	ShutdownTimeout time.Duration // how long running messages may take to finish on stop
}

// State is [state].
type State struct {
	Backend    string // badger, redis, memory
	Path       string
	Durability string // process, power
	Cache      int64  // of windows in memory, in bytes
	MinFree    int64  // left on the disk for others, in bytes
	MaxSize    int64  // of the decisions on disk, in bytes
	Redis      string // URL
	// Files that Redis wants; empty for none.
	RedisPasswordFile string
	RedisCAFile       string
	Local             bool          // count alone while the store is away
	Retention         time.Duration // how long decisions are kept
}

// Accounts is [accounts] and the [account."LOGIN"] tables, without what Rules holds.
type Accounts struct {
	Table map[string]*accounts.Account // by lower-case login
	// File is the map file. That it does not exist is a fault only where the
	// configuration names it.
	File string
	// Read gives the accounts of Table and those of File as it is now, or every
	// fault of File joined into one error. Not safe for concurrent use.
	Read func() ([]*accounts.Account, error)
}

// Admin is [admin].
type Admin struct {
	Socket string
	Mode   fs.FileMode
	Group  string
}

// Web is [web].
type Web struct {
	Listen       string
	AllowRemote  bool // Listen may be open to other hosts
	PublicListen string
	PublicURL    string
	LinkKeyFile  string
	TrustedProxy []netip.Prefix // peers whose word on clients and operators is taken
	// ProxyUserHeader names the operator, in requests of TrustedProxy; empty: nobody.
	ProxyUserHeader string
}

// Keys of faults that are not about one key.
const (
	keyFile   = "file"   // the file as a whole
	keySyntax = "syntax" // it is no TOML from there on
)

// Fault is one thing that is wrong, and what would be right.
type Fault struct {
	File    string
	Line    int // 0 when the fault is about the file as a whole
	Key     string
	Problem string
	Want    string
}

func (f Fault) Error() string {
	return fmt.Sprintf("%s:%d: %s: %s; want %s", f.File, f.Line, f.Key, f.Problem, f.Want)
}
