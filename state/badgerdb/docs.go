package badgerdb

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
)

// The journal holds every doc, on the disk before it was answered, and is the truth
// of them as long as it is whole: no line damaged, none missing at its end. Badger's
// copy is what is left when it is not.

// keyKind is the kind of the one line in the journal that is no doc: what members are
// hashed with, so that a store that begins while the database is away knows it.
const (
	keyKind = "badgerdb"
	keyID   = "member-key"
)

// loadJournal takes what the journal holds into memory.
func (s *Store) loadJournal(docs []state.Doc) {
	for _, doc := range docs {
		switch {
		case doc.Kind == keyKind:
			if key, err := decodeKey(bytes.Trim(doc.Data, `"`)); err == nil {
				s.key = &key
			}
		case doc.Data != nil:
			if err := s.docs.Load(doc); err != nil {
				s.faults = append(s.faults, fmt.Sprintf("a doc in the journal cannot be used: %v", err))
			}
		}
	}
	if damage := s.journal.Damage(); damage != "" {
		s.journalDamaged = true
		s.faults = append(s.faults, "the journal is damaged: "+damage+"; blocks of those lines are as the database has them")
	}
}

// checkJournal finds out whether lines are missing at the journal's end, of which
// others remember the number.
func (s *Store) checkJournal(known int64) {
	if seq := s.journal.Seq(); seq < known {
		s.journalDamaged = true
		s.faults = append(s.faults, fmt.Sprintf("the journal ends at line %d, though line %d was written; blocks are as the database has them", seq, known))
		s.journal.After(known)
	}
}

// reconcile makes memory, journal and database hold the same docs, and returns what is
// to be written to the database.
func (s *Store) reconcile(db *badger.DB) (records []record, err error) {
	seen := make(map[string]bool)
	var regained []state.Doc
	err = scan(db, docPrefix, true, func(item *badger.Item) error {
		key := string(item.Key())
		seen[key] = true
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		regain, r := s.compare(key, value)
		if regain != nil {
			regained = append(regained, *regain)
		}
		if r != nil {
			records = append(records, *r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, doc := range s.docs.All() {
		if key := docKey(doc.Kind, doc.ID); !seen[string(key)] {
			records = append(records, docRecord(doc))
		}
	}
	if s.journalDamaged {
		// Whole again: all that is known stands in it. The key gives its end the number
		// that is known, whatever was lost.
		if err := s.journal.Append(append(regained, s.keyDoc())...); err != nil {
			return nil, err
		}
		s.journalDamaged = false
	}
	return records, nil
}

// compare looks at one doc of the database: regain is one that the journal has lost,
// r what to write where the database is behind.
func (s *Store) compare(key string, value []byte) (regain *state.Doc, r *record) {
	kind, id, _ := strings.Cut(strings.TrimPrefix(key, docPrefix), "/")
	known, ok := s.docs.Get(kind, id)
	stored, err := decodeDoc(key, value)
	if err == nil && s.journalDamaged && (!ok || stored.Rev > known.Rev) {
		if err = s.docs.Load(stored); err == nil {
			return &stored, nil
		}
	}
	switch {
	case ok:
		want := docRecord(known)
		if bytes.Equal(want.value, value) {
			return nil, nil
		}
		return nil, &want
	case !s.journalDamaged:
		return nil, &record{key: []byte(key), gone: true}
	}
	// Nobody knows what it said. It is left for who can read it.
	s.faults = append(s.faults, fmt.Sprintf("a doc in the database cannot be used: %v", err))
	return nil, nil
}

func decodeDoc(key string, value []byte) (doc state.Doc, err error) {
	if err = json.Unmarshal(value, &doc); err == nil && string(docKey(doc.Kind, doc.ID)) != key {
		err = fmt.Errorf("it says that it is %.100q of kind %.100q", doc.ID, doc.Kind)
	}
	if err != nil {
		return state.Doc{}, fmt.Errorf("%s: %w", key, err)
	}
	return doc, nil
}

// chooseKey finds the key that members are hashed with: the one that those in the
// database are hashed with; else the journal's; else a new one. Where there is no
// database to look into, db is nil.
func (s *Store) chooseKey(db *badger.DB) error {
	inJournal := s.key
	if db != nil {
		stored, err := storedKey(db)
		if err != nil {
			return err
		}
		if stored != nil {
			s.key = stored
		}
	}
	if s.key == nil {
		key := state.NewMemberKey()
		s.key = &key
	}
	if inJournal != nil && *inJournal == *s.key {
		return nil
	}
	return s.journal.Append(s.keyDoc())
}

// keyDoc is the key as it stands in the journal.
func (s *Store) keyDoc() state.Doc {
	return state.Doc{Kind: keyKind, ID: keyID, Rev: 1, Data: []byte(`"` + hex.EncodeToString(s.key[:]) + `"`)}
}

// storedKey is the database's; nil when it has none that can be read.
func storedKey(db *badger.DB) (*state.MemberKey, error) {
	value, found, err := get(db, []byte(memberKey))
	if err != nil || !found {
		return nil, err
	}
	key, err := decodeKey(value)
	if err != nil {
		return nil, nil // members are as good as forgotten
	}
	return &key, nil
}

// keepKey returns the record to write where the database has another key, or none.
func (s *Store) keepKey(db *badger.DB) ([]record, error) {
	stored, err := storedKey(db)
	if err != nil || (stored != nil && *stored == *s.key) {
		return nil, err
	}
	if stored != nil {
		s.log.Warn("store: the database's known recipients were hashed with another key, and count as new")
	}
	return []record{{key: []byte(memberKey), value: []byte(hex.EncodeToString(s.key[:]))}}, nil
}

// decodeKey reads a key from hex.
func decodeKey(text []byte) (key state.MemberKey, err error) {
	b, err := hex.DecodeString(string(text))
	if err == nil && len(b) != len(key) {
		err = fmt.Errorf("key of %d bytes; want %d", len(b), len(key))
	}
	if err != nil {
		return key, err
	}
	return state.MemberKey(b), nil
}
