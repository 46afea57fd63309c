package badgerdb

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// stand is how far the database is. It is written with one commit of each second, just
// before the database is synced, and with each that grows the journal or the decisions:
// the progress file names none that is not in the database, so none in between is missed.
type stand struct {
	Commit  int64     `json:"commit"`  // number of this commit; they only grow
	At      time.Time `json:"at"`      // the callers' time of its newest call
	Journal int64     `json:"journal"` // the journal's last line at that time
	History int64     `json:"history"` // bytes of decisions, about
}

// mark is written once in a second with commits, under a key of its own: a chain in
// which a part that the database has lost is missing, wherever it was.
type mark struct {
	At     time.Time `json:"at"`
	Before int64     `json:"before"` // the commit of the mark before; 0: none
	First  int64     `json:"first"`  // the oldest mark kept
}

// keptMarks is how many are kept, at some 100 bytes: the last 2 hours and 45 minutes
// of seconds in which something was written. A table holds 8 MB at most before it is
// merged with others, at a thousand messages a second less than a minute.
const keptMarks = 10_000

// chain are the commits of the marks kept, in order.
type chain []int64

// with is the chain with one more link, its mark, and the commits whose marks are to go.
func (c chain) with(commit int64, at time.Time) (grown chain, m mark, gone []int64) {
	if n := len(c); n > 0 {
		m.Before = c[n-1]
	}
	grown = append(c, commit)
	if over := len(grown) - keptMarks; over > 0 {
		gone, grown = grown[:over], grown[over:]
	}
	m.At, m.First = at.UTC(), grown[0]
	return grown, m, gone
}

// found is a mark in the database.
type found struct {
	commit int64
	mark
}

// gaps says in words what is missing of a chain read from the database, in order.
func gaps(marks []found) (faults []string) {
	if len(marks) == 0 {
		return nil
	}
	first := marks[len(marks)-1].First
	there := make(map[int64]bool, len(marks))
	for i, m := range marks {
		there[m.commit] = true
		// A mark may be there that a later one does not name: its commit was told to
		// have failed, and got through.
		if m.commit <= first || there[m.Before] {
			continue
		}
		since := "the beginning"
		if i > 0 {
			since = utc(marks[i-1].At)
		}
		faults = append(faults, fmt.Sprintf("a part of the database is missing: charges and decisions between %s and %s may be forgotten", since, utc(m.At)))
	}
	return faults
}

// broken takes the marks of a chain away that is not whole: another begins.
func broken(marks []found) (records []record) {
	for _, m := range marks {
		records = append(records, record{key: markKey(m.commit), gone: true})
	}
	return records
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// rolledBack says in words what a database that ends at here has lost of what was on
// the disk by p; empty when nothing.
func rolledBack(here stand, p progress) string {
	switch {
	case here.Commit >= p.Commit:
		return ""
	case here.Commit == 0:
		return fmt.Sprintf("the database is empty, though commit %d of %s was on the disk: charges and decisions before that are forgotten", p.Commit, utc(p.At))
	}
	return fmt.Sprintf("the database ends at commit %d of %s, though commit %d of %s was on the disk: charges and decisions between may be forgotten",
		here.Commit, utc(here.At), p.Commit, utc(p.At))
}

// readStand reads how far the database is, and the marks.
func readStand(db *badger.DB) (st stand, marks []found, err error) {
	value, ok, err := get(db, []byte(standKey))
	if err == nil && ok {
		if err = json.Unmarshal(value, &st); err != nil {
			err = fmt.Errorf("%s: %w", standKey, err)
		}
	}
	if err != nil {
		return stand{}, nil, err
	}
	err = scan(db, markPrefix, true, func(item *badger.Item) error {
		m, err := readMark(item)
		marks = append(marks, m)
		return err
	})
	if n := len(marks); n > 0 && marks[n-1].commit > st.Commit {
		st.Commit, st.At = marks[n-1].commit, marks[n-1].At
	}
	return st, marks, err
}

func readMark(item *badger.Item) (m found, err error) {
	commit, err := strconv.ParseInt(strings.TrimPrefix(string(item.Key()), markPrefix), 10, 64)
	if err == nil {
		m.commit = commit
		err = item.Value(func(value []byte) error { return json.Unmarshal(value, &m.mark) })
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", item.Key(), err)
	}
	return m, err
}
