package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"
)

// existing wants a file or folder that is there.
func existing(s, dir string) (string, error) {
	path, err := absolute(s, dir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fileProblem(err)
	}
	return path, nil
}

// fileProblem says what is wrong with a file; its name stands before.
func fileProblem(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("does not exist")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("may not be read by this user")
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("cannot be read (%w)", err)
}

// minLinkKey is as long as the output of the hash that signs with it (SHA-256).
const minLinkKey = 32

// linkKey wants a file with a key in it that other users cannot read.
func linkKey(s, dir string) (string, error) {
	path, raw, err := secret(s, dir)
	if err != nil {
		return "", err
	}
	if n := keyLength(string(raw)); n < minLinkKey {
		return "", fmt.Errorf("holds a key of %d bytes", n)
	}
	return path, nil
}

// secret reads a file that other users must not be able to read.
func secret(s, dir string) (path string, raw []byte, err error) {
	if path, err = existing(s, dir); err != nil {
		return "", nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, fileProblem(err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return "", nil, fmt.Errorf("is open to every user (mode %04o)", mode)
	}
	if raw, err = os.ReadFile(path); err != nil {
		return "", nil, fileProblem(err)
	}
	return path, raw, nil
}

// keyLength counts the bytes of a key in hex or raw, newlines at its end ignored.
func keyLength(raw string) int {
	raw = strings.TrimRight(raw, "\r\n")
	if key, err := hex.DecodeString(raw); err == nil {
		return len(key)
	}
	return len(raw)
}

// group wants a group of this host, by name or number.
func group(s string) (string, error) {
	if _, err := user.LookupGroup(s); err == nil {
		return s, nil
	}
	if _, err := user.LookupGroupId(s); err == nil {
		return s, nil
	}
	return "", errors.New("is no group of this host")
}
