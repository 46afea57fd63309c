package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"o2n-milter/config"
)

// CheckFiles looks at owners and modes of what the configuration names, and at the
// room that the store has. Of a key with a fault it has the default, which nobody asked
// about.
func CheckFiles(cfg *config.Config, faults []config.Fault) []Finding {
	r := &report{area: "files"}
	secret := ""
	if holdsPassword(cfg.State.Redis) {
		secret, _ = cfg.Rules.Origin("state.redis")
	}
	for _, path := range cfg.Files {
		r.configFile(path, path == secret)
	}
	faulty := func(key string) bool {
		return slices.ContainsFunc(faults, func(f config.Fault) bool { return f.Key == key })
	}
	if !faulty("web.link_key_file") {
		r.linkKey(cfg.Web.LinkKeyFile)
	}
	if cfg.State.Backend == "memory" {
		r.add(Warning, "state.backend is memory", "a restart forgets all that was counted, blocks, exemptions and decisions",
			"[state] backend = \"badger\"")
	} else {
		r.folder(cfg.State.Path)
	}
	if cfg.State.Backend == "badger" {
		r.room(cfg.State.Path, cfg.State.MinFree)
	}
	if len(r.list) == 0 {
		r.ok("owners and modes are as they should be")
	}
	return r.list
}

func holdsPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	_, is := u.User.Password()
	return is || u.Query().Has("password")
}

// look is Stat whose failure is a finding.
func (r *report) look(path string) (fs.FileInfo, *syscall.Stat_t) {
	info, err := os.Stat(path)
	if err != nil {
		r.add(Note, fmt.Sprintf("%v", seen(path, err)), "its owner and mode are not known", "run this as root")
		return nil, nil
	}
	return info, info.Sys().(*syscall.Stat_t)
}

// configFile is for root to write: what stands there is done by the hold agent as root.
func (r *report) configFile(path string, secret bool) {
	info, st := r.look(path)
	if info == nil {
		return
	}
	mode := info.Mode().Perm()
	if mode&0o022 != 0 || st.Uid != 0 {
		level := Warning
		if mode&0o022 == 0 && int(st.Uid) == os.Geteuid() { // an installation of one's own
			level = Note
		}
		r.add(level, fmt.Sprintf("%s: mode %04o, owner %s", path, mode, userName(st.Uid)),
			"whoever may write it decides over all mail, and the hold agent does not start with it", fmt.Sprintf("chown root %s && chmod go-w %s", path, path))
	}
	if secret && mode&0o004 != 0 {
		r.add(Warning, fmt.Sprintf("%s holds a password of Redis, and every user may read it (mode %04o)", path, mode),
			"who has it may clear every limit and block", "put it into state.redis_password_file, or: chmod o-r "+path)
	}
}

func (r *report) linkKey(path string) {
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.add(Warning, "web.link_key_file: "+path+" does not exist", "there are no customer links: a blocked customer cannot see why",
			fmt.Sprintf("(umask 027 && openssl rand -hex 32 >%s) && chgrp o2n-milter %s, then start the daemon anew", path, path))
	case err != nil:
		r.add(Note, "web.link_key_file: "+seen(path, err).Error(), "whether there are customer links is not known", "run this as root")
	}
}

// folder is the store's, with addresses in it.
func (r *report) folder(path string) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		r.add(Note, "state.path: "+path+" does not exist", "the daemon makes it when it is started for the first time", "")
		return
	}
	info, st := r.look(path)
	if info == nil {
		return
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		r.add(Warning, fmt.Sprintf("state.path: %s: mode %04o, owner %s", path, mode, userName(st.Uid)),
			"other users may see who wrote to whom, or change what is counted", "chmod 0700 "+path)
	}
}

// File systems on which a store does not last, or that lose it (statfs(2)).
var badPlaces = map[int64]string{
	unix.TMPFS_MAGIC: "is in memory (tmpfs)", unix.NFS_SUPER_MAGIC: "is on NFS", unix.SMB2_SUPER_MAGIC: "is on SMB",
}

func (r *report) room(path string, want int64) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return // look has told
	}
	free := int64(fs.Bavail) * fs.Bsize
	what := fmt.Sprintf("state.path: %s has %d MB free, state.min_free is %d MB", path, free/1e6, want/1e6)
	const why = "below state.min_free the daemon counts in memory alone, and keeps no decisions"
	switch level := roomLevel(free, want); {
	case fs.Flags&unix.ST_RDONLY != 0:
		r.add(Fault, "state.path: "+path+" is read-only", why, "mount it for writing, or move state.path")
	case level > OK:
		r.add(level, what, why, "make room, or move state.path")
	default:
		r.ok("%s", what)
	}
	if place, bad := badPlaces[int64(fs.Type)]; bad {
		r.add(Warning, "state.path: "+path+" "+place, "what is counted there does not last, or is damaged", "put state.path on a disk of this host")
	}
}

// roomLevel judges free bytes. The daemon's database closes below want, and opens again
// at twice that.
func roomLevel(free, want int64) Level {
	switch {
	case free < want:
		return Fault
	case free/2 < want:
		return Warning
	}
	return OK
}
