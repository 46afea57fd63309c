package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Identity is a user as the kernel checks rights.
type Identity struct {
	Name   string
	UID    int
	Groups []int
}

// LookupIdentity finds a user of this host with all its groups: Postfix takes them all
// on before it connects (initgroups(3)).
func LookupIdentity(name string) (Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Identity{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return Identity{}, fmt.Errorf("groups of %s: %w", name, err)
	}
	id := Identity{Name: name}
	if id.UID, err = strconv.Atoi(u.Uid); err != nil {
		return id, err
	}
	for _, text := range append(ids, u.Gid) {
		gid, err := strconv.Atoi(text)
		if err != nil {
			return id, err
		}
		id.Groups = append(id.Groups, gid)
	}
	return id, nil
}

// errUnseen says that we have not the rights to find out.
var errUnseen = errors.New("may not be looked at by this user")

// mayConnect says what keeps a user from a unix socket; nil when nothing does. It goes
// by owners and modes: access lists and security modules are not asked.
func (id Identity) mayConnect(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return seen(path, err)
	}
	for dir := filepath.Dir(real); ; dir = filepath.Dir(dir) {
		if err := id.may(dir, 0o1); err != nil {
			return err
		}
		if dir == "/" {
			break
		}
	}
	info, err := os.Stat(real)
	if err != nil {
		return seen(real, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is no socket", path)
	}
	return id.may(real, 0o2)
}

func seen(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s %w", path, errUnseen)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", path)
	}
	return err
}

// may checks one bit of a file's mode: 1 to go through a folder, 2 to write.
func (id Identity) may(path string, bit fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return seen(path, err)
	}
	st := info.Sys().(*syscall.Stat_t) // as os.Stat has it on Linux
	mode := info.Mode().Perm()
	if id.UID == 0 || mode&(bit<<id.class(st)) != 0 {
		return nil
	}
	return fmt.Errorf("%s (mode %04o, owner %s, group %s) is closed to user %s", path, mode, userName(st.Uid), groupName(st.Gid), id.Name)
}

// class is by how much the bits that count are shifted: the first class that a user is
// in decides, also where a later one would give more.
func (id Identity) class(st *syscall.Stat_t) int {
	switch {
	case int(st.Uid) == id.UID:
		return 6
	case slices.Contains(id.Groups, int(st.Gid)):
		return 3
	}
	return 0
}

func userName(uid uint32) string {
	number := strconv.Itoa(int(uid))
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

func groupName(gid uint32) string {
	number := strconv.Itoa(int(gid))
	if g, err := user.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}
