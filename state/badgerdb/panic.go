package badgerdb

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ownPanic is a panic of ours over what the database holds. Another version may read it, so
// nothing is set aside: judging goes on from memory, and it is tried again now and then.
// Left alone it would end the daemon, at each start again.
type ownPanic struct{ what any }

func (p ownPanic) Error() string {
	return fmt.Sprintf("a fault of our own over what the database holds: %.200v", p.what)
}

var errOwnFault = errors.New("a fault of our own")

// whole turns a panic in do into an error, and logs where it was.
func (s *Store) whole(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ownPanic{p}
			s.log.Error("store: panic", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return do()
}

// passing is why a database cannot be used now, where another day it may be; empty where
// that is not known.
func passing(err error) string {
	if errors.As(err, new(ownPanic)) {
		return err.Error()
	}
	return diskFault(err)
}
