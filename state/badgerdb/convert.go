package badgerdb

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
	"o2n-milter/state/internal/text"
)

// In format 1 each window, each member of a set and each recipient of a campaign had a
// record of its own. They are put together when a store of that format is opened:
//
//	limit/NAME/SUBJECT          a window: state.Slots
//	known/SET/SUBJECT/HASH      a member of a set: state.DecodeMember
//	letter/SUBJECT/SKETCH/HASH  the same of the campaign whose first letter looks so (base64url)
const (
	limitPrefix  = "limit/"
	knownPrefix  = "known/"
	letterPrefix = "letter/"
)

// convertKeys is how many are put together in one go.
const convertKeys = 1000

// conversion puts the windows and members of format 1 together.
type conversion struct {
	store    *Store
	keys     int // done
	unread   int // of them
	told     time.Time
	subjects map[string]ledger.Earlier // of this go
	order    []string                  // of them
	gone     []record                  // the keys of this go
}

// convert brings what is left of format 1 into this one. A crash in the middle leaves
// the rest for the next time.
func (s *Store) convert() (faults []string, err error) {
	c := conversion{store: s, told: time.Now()}
	// Windows first: to take one twice would count its charges twice, so it leaves in the
	// commit that takes it, which is small while there are no members.
	for _, prefix := range []string{limitPrefix, knownPrefix, letterPrefix} {
		if err := c.all(prefix); err != nil {
			return nil, fmt.Errorf("conversion of %s: %w", prefix, err)
		}
	}
	if c.keys > 0 {
		s.log.Info("store: windows and known recipients are in the new format", "records", c.keys)
	}
	if c.unread > 0 {
		faults = []string{fmt.Sprintf("%d of %d windows and known recipients could not be read, and are forgotten", c.unread, c.keys)}
	}
	return faults, nil
}

// all converts the keys of a prefix, as many in one go as a commit takes. It does not
// begin at the first one again: what is deleted is still in the way.
func (c *conversion) all(prefix string) error {
	n := convertKeys
	for from := prefix; from != ""; {
		next, err := c.next(prefix, from, n)
		if errors.Is(err, badger.ErrTxnTooBig) && n > 1 {
			n /= 2
			continue
		}
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// next converts n keys of a prefix, and says at which one to go on; empty: there is none.
func (c *conversion) next(prefix, from string, n int) (next string, err error) {
	c.subjects, c.order, c.gone = make(map[string]ledger.Earlier), nil, nil
	unread := c.unread
	err = c.store.base.use(func(db *badger.DB) error {
		next, err = walk(db, from, prefix+"\xff", func(item *badger.Item) error {
			if len(c.gone) == n {
				return errEnough
			}
			return c.add(prefix, item)
		})
		return err
	})
	if err != nil || len(c.gone) == 0 {
		return "", err
	}
	var records []record
	for _, subject := range c.order {
		for _, r := range c.subjects[subject].Records() {
			records = append(records, subjectRecord(r))
		}
	}
	if prefix == limitPrefix {
		err = c.store.writer.write(append(records, c.gone...), nil)
	} else {
		err = c.store.writer.inParts(append(records, c.gone...))
	}
	if err != nil {
		c.unread = unread
		return "", err
	}
	c.keys += len(c.gone)
	if now := time.Now(); now.Sub(c.told) > 10*time.Second {
		c.told = now
		c.store.log.Info("store: windows and known recipients are brought into the new format", "records", c.keys)
	}
	return next, nil
}

// add takes one record. One that cannot be read is forgotten.
func (c *conversion) add(prefix string, item *badger.Item) error {
	c.gone = append(c.gone, record{key: item.KeyCopy(nil), gone: true})
	parts := strings.Split(string(item.Key()[len(prefix):]), "/")
	// Parts there are, and where the subject is among them.
	want, at := 2, 1
	switch prefix {
	case knownPrefix:
		want = 3
	case letterPrefix:
		want, at = 3, 0
	}
	if len(parts) != want {
		c.unread++
		return nil
	}
	subject, err := text.Unescape(parts[at])
	if err != nil {
		c.unread++
		return nil
	}
	to, err := c.subject(subject)
	if err != nil {
		return err
	}
	return item.Value(func(value []byte) error {
		if err := addTo(to, prefix, parts, value); err != nil {
			c.unread++
		}
		return nil
	})
}

// subject is where what belongs to a subject goes.
func (c *conversion) subject(subject string) (ledger.Earlier, error) {
	if to, ok := c.subjects[subject]; ok {
		return to, nil
	}
	there, err := source{c.store.base}.Subject(subject)
	if err != nil && !errors.Is(err, ledger.ErrDamaged) {
		return ledger.Earlier{}, err
	}
	to := ledger.NewEarlier(subject, there)
	c.subjects[subject] = to
	c.order = append(c.order, subject)
	return to, nil
}

func addTo(to ledger.Earlier, prefix string, parts []string, value []byte) error {
	if prefix == limitPrefix {
		limit, err := text.Unescape(parts[0])
		if err != nil {
			return err
		}
		return to.Window(limit, value)
	}
	hash, err := strconv.ParseUint(parts[2], 16, 64)
	if err != nil {
		return err
	}
	if prefix == knownPrefix {
		set, err := text.Unescape(parts[0])
		if err != nil {
			return err
		}
		return to.Known(set, hash, value)
	}
	of, err := parseSketch(parts[1])
	if err != nil {
		return err
	}
	return to.Sent(of, hash, value)
}

func parseSketch(s string) (of state.Sketch, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != 8*len(of) {
		return of, fmt.Errorf("%s is no sketch", s)
	}
	for i := range of {
		of[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	return of, nil
}
