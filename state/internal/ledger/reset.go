package ledger

// Reset clears the windows, sets and campaigns of a subject, in memory and in the
// store, and returns how many windows held anything. While the store is away it
// clears what is in memory, and the rest when Attach can.
func (w *Windows) Reset(subject string, changed func(*Change)) (int, error) {
	mask := uint32(1) << w.shardOf(subject)
	w.lock(mask)
	defer w.unlock(mask)
	sh := &w.shards[w.shardOf(subject)]
	c := newChange()
	if err := w.bring(sh, subject, c); err != nil {
		return 0, err
	}
	if sh.away {
		sh.cleared[subject] = true
	}
	n := len(c.posts)
	line := w.clock.Line()
	for _, e := range sh.all {
		if e.Subject != subject {
			continue
		}
		if line > 0 { // else no call has come yet, and nothing is known of the time
			e.expire(line)
		}
		e.partial = false
		if e.empty() {
			continue
		}
		if e.kind() == window {
			n++
		}
		c.clear(e)
	}
	c.handOver(changed)
	return n, nil
}

// bring loads what the store holds of subject. A window that cannot be read is
// cleared all the same: it is the way to get rid of it.
func (w *Windows) bring(sh *shard, subject string, c *Change) error {
	if w.source == nil || sh.away {
		return nil
	}
	limits, sets, err := w.source.Names(subject)
	if err != nil {
		return err
	}
	for _, limit := range limits {
		if _, err := w.entry(window, limit, subject); err != nil {
			e := sh.tables[window][name{limit, subject}]
			if e == nil {
				e = sh.add(newEntry(window, limit, subject))
			}
			c.posts = append(c.posts, post{entry: e, stale: true, whole: &whole{unread: true}})
		}
	}
	for _, n := range sets {
		if _, err := w.entry(set, n, subject); err != nil {
			return err
		}
	}
	_, err = w.entry(campaigns, "", subject)
	return err
}

// clear empties an entry.
func (c *Change) clear(e *Entry) {
	members := e.members()
	c.posts = append(c.posts, post{entry: e, stale: true, whole: &whole{taken: e.taken(), members: members}})
}
