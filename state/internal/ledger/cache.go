package ledger

const (
	// swept is how many entries each call looks at for dead ones, for each of its subjects. More than one,
	// so that sweeping is faster than the coming of new ones.
	swept = 2
	// pressed is how many while over the bound, so that the hand has been all round
	// before a shard has grown by some 3 percent.
	pressed = 64
	// alone is how many times the bound memory may take while the store is away.
	alone = 4
	// overhead is what an entry takes beside itself, in bytes: its place in a map
	// (of 24 for key and value and 1 more, 7/16 to 7/8 in use) and its seat.
	overhead = 40 + 20
)

// sweep lets the hand look at a few entries. It forgets the dead ones and, over
// the bound, those that have not been used since it last came by and can be spared.
func (w *Windows) sweep(sh *shard, line int64) {
	for i := 0; i < swept || (i < pressed && w.over(sh)); i++ {
		if len(sh.all) == 0 {
			return
		}
		if sh.hand >= len(sh.all) {
			sh.hand = 0
		}
		s := &sh.all[sh.hand]
		if line < s.rests && !w.over(sh) {
			sh.pass() // a look at the entry would cost a walk to memory of its own
			continue
		}
		e := s.entry
		if line >= s.rests {
			e.expire(line)
			s.rests = e.rests()
		}
		if !e.dead() && (!w.over(sh) || sh.recent(e) || !w.spare(e)) {
			sh.pass()
			continue
		}
		if e.dirty && !e.empty() {
			sh.lost++
		}
		sh.drop(e)
	}
}

// pass lets the hand go on.
func (sh *shard) pass() {
	sh.hand++
	sh.looked++
}

// recent says that e was used since the hand came by, about: entries come and go meanwhile.
func (sh *shard) recent(e *Entry) bool { return sh.looked-e.used < int64(len(sh.all)) }

// spare says that e may be let go: it is in the store as it is here. What is under
// way, or not in the store, stays. While the store is away all stays, as nothing can
// be read again, until memory takes alone times the bound. Over that even what is
// nowhere else goes, and is counted: a flood must not end the process, which would
// lose all.
func (w *Windows) spare(e *Entry) bool {
	switch {
	case e.pinned > 0 || e.stale:
		return false
	case e.shard.away:
		return e.shard.bytes > alone*w.share
	}
	return !e.dirty
}

func (w *Windows) over(sh *shard) bool { return w.share > 0 && sh.bytes > w.share }

func (sh *shard) add(e *Entry) *Entry {
	e.shard, e.pos = sh, len(sh.all)
	sh.entries[e.Subject] = e
	sh.all = append(sh.all, seat{entry: e})
	e.account()
	return e
}

func (sh *shard) drop(e *Entry) {
	last := len(sh.all) - 1
	moved := sh.all[last]
	sh.all[e.pos], moved.entry.pos = moved, e.pos
	sh.all[last] = seat{}
	sh.all = sh.all[:last]
	delete(sh.entries, e.Subject)
	sh.bytes -= int64(e.size)
	sh.windows -= e.counts
}

// Held is what memory holds.
type Held struct {
	Windows int
	Bytes   int64 // of all there is: an estimate, within some 30 percent
	Lost    int64 // subjects forgotten though charged while the store was away
}

// Held says what memory holds now.
func (w *Windows) Held() (h Held) {
	for i := range w.shards {
		sh := &w.shards[i]
		sh.mu.Lock()
		h.Windows += sh.windows
		h.Bytes += sh.bytes
		h.Lost += sh.lost
		sh.mu.Unlock()
	}
	return h
}
