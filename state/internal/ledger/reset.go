package ledger

import "errors"

// Reset clears the windows, sets and campaigns of a subject, in memory and in the
// store, and returns how many windows held anything. While the store is away it
// clears what is in memory, and the rest when Attach can.
func (w *Windows) Reset(subject string, changed func(*Change)) (int, error) {
	shard := w.shardOf(subject)
	w.lock(1 << shard)
	defer w.unlock(1 << shard)
	sh := &w.shards[shard]
	e, err := w.entry(sh, subject)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return 0, err
	}
	if sh.away {
		sh.cleared[subject] = true
	}
	c := newChange()
	if err != nil {
		// It is the way to get rid of it.
		c.posts = append(c.posts, post{entry: sh.unread(subject), stale: true, whole: &whole{unread: true}})
		c.handOver(changed)
		return 1, nil
	}
	if line := w.clock.Line(); line > 0 { // else no call has come yet, and nothing is known of the time
		e.expire(line)
	}
	e.partial = false
	n := len(e.limits)
	if !e.empty() {
		c.posts = append(c.posts, post{entry: e, stale: true, whole: &whole{taken: e.taken()}})
	}
	e.lookSoon()
	e.account()
	c.handOver(changed)
	return n, nil
}

// unread is the entry of a subject that cannot be read, without what that holds.
func (sh *shard) unread(subject string) *Entry {
	e := sh.entries[subject]
	if e == nil {
		e = sh.add(&Entry{Subject: subject})
	}
	e.partial = false
	return e
}
