package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Redis is what a server, or all masters of a Cluster, say of themselves.
type Redis struct {
	Version string
	Evicts  string        // the policy, where keys are dropped when memory is full; else empty
	Forgets bool          // no append-only file
	Missing int           // masters that did not answer
	Ahead   time.Duration // of this host's clock
}

// CheckRedis looks at the server itself, whether the daemon runs or not.
func CheckRedis(s Redis, err error, onFailure string) []Finding {
	r := &report{area: "store"}
	if err != nil {
		r.add(Fault, "redis: "+err.Error(), "mail is answered as state.on_failure says: "+onFailure, "look at state.redis, the server and what is between")
		return r.list
	}
	if s.Evicts != "" {
		r.add(Warning, "redis drops keys when its memory is full ("+s.Evicts+")", "limits leak, without a word", "redis-cli config set maxmemory-policy noeviction, and in redis.conf")
	}
	if s.Forgets {
		r.add(Warning, "redis: appendonly is off", "a restart of the server forgets what was charged since its last snapshot",
			"redis-cli config set appendonly yes, and in redis.conf")
	}
	if s.Missing > 0 {
		r.add(Fault, fmt.Sprintf("redis: %d masters of the Cluster do not answer", s.Missing), "mail whose subjects are there is answered as state.on_failure says", "redis-cli cluster nodes")
	}
	if Worst(r.list) == OK {
		r.ok("redis %s answers, keeps what it is given and drops nothing", s.Version)
	}
	return append(r.list, CheckOffset(s.Ahead)...)
}

// Daemon is what a running daemon says of itself.
type Daemon struct {
	Version string
	Backend string // of the store
	Config  string // version of the configuration in force; empty: not known
	Store   string // why the store is not whole; empty when it is
	Clock   string // what is wrong with the host's clock
	Hold    string // why held mail stays
}

// CheckDaemon judges what the daemon said, or why it did not. Want has what this
// program and the files say.
func CheckDaemon(d Daemon, err error, want Daemon) []Finding {
	r := &report{area: "daemon"}
	if errors.Is(err, fs.ErrPermission) {
		r.add(Note, err.Error(), "what the daemon says of itself and of the traffic is not known", "run this as root")
		return r.list
	}
	if err != nil {
		r.add(Fault, err.Error(), "without the daemon the MTA defers all mail, or lets it pass unjudged, as it is told", startDaemon)
		return r.list
	}
	for _, f := range []struct{ what, why string }{
		{d.Store, "what is charged or decided now may not be kept"},
		{d.Clock, "ends of blocks and times in the log are not the host's"},
		{d.Hold, "held mail of this host stays"},
	} {
		if f.what != "" {
			r.add(Warning, f.what, f.why, "see docs/operations.md")
		}
	}
	if d.Backend != want.Backend {
		r.add(Warning, fmt.Sprintf("state.backend has %s, and the daemon's store is %s", want.Backend, d.Backend),
			"it is read at the start only: other hosts and commands may count somewhere else", "systemctl restart o2n-milter")
	}
	if d.Config != want.Config && d.Config != "" && want.Config != "" {
		r.add(Warning, fmt.Sprintf("the files are configuration %s, and the daemon judges by %s", want.Config, d.Config),
			"they have changed since it read them, or it reads others: what they say is not in force", "systemctl reload o2n-milter")
	}
	if d.Version != want.Version {
		r.add(Note, fmt.Sprintf("the daemon is version %s, this is %s", d.Version, want.Version), "it was not started anew after an upgrade", "systemctl restart o2n-milter")
	}
	if len(r.list) == 0 {
		r.ok("the daemon answers and is whole")
	}
	return r.list
}
