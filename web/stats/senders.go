package stats

// tracked is how many senders of an hour a shard follows; 16 shards follow 1,024.
const tracked = 64

// senders finds those who send most among any number of them in bounded memory:
// a newcomer takes the place of who has sent least and inherits his rank, so that
// whoever sends more than his share of all messages is among them (the idea is
// known as space-saving). Counts begin with the place, so nobody is told to have
// sent what another did.
type senders struct {
	list   []sender
	hashes []uint64 // of list's subjects, in the same places: looked through faster than a map is changed

	lowest int64 // nobody's rank is below
	hand   int   // where who has it was last found
}

type sender struct {
	SenderCount
	rank int64 // messages and what was inherited
}

// add counts a message of a subject with this hash, which others may have too.
func (s *senders) add(subject string, hash uint64, refused bool) {
	i := s.find(subject, hash)
	if i < 0 {
		i = s.place(subject, hash)
	}
	s.list[i].rank++
	s.list[i].Messages++
	if refused {
		s.list[i].Refused++
	}
}

// find is the subject's place in list; -1: it has none.
func (s *senders) find(subject string, hash uint64) int {
	for i, h := range s.hashes {
		if h == hash && s.list[i].Subject == subject {
			return i
		}
	}
	return -1
}

// place makes room for a newcomer.
func (s *senders) place(subject string, hash uint64) int {
	if len(s.list) < tracked {
		s.list = append(s.list, sender{SenderCount: SenderCount{Subject: subject}})
		s.hashes = append(s.hashes, hash)
		return len(s.list) - 1
	}
	least := s.least()
	s.list[least] = sender{SenderCount: SenderCount{Subject: subject}, rank: s.list[least].rank}
	s.hashes[least] = hash
	return least
}

// least is who has the lowest rank: the next one from the last on, since ranks only rise
// and newcomers begin above the lowest.
func (s *senders) least() int {
	for range s.list {
		if s.hand = (s.hand + 1) % len(s.list); s.list[s.hand].rank <= s.lowest {
			return s.hand
		}
	}
	for i := range s.list {
		if s.list[i].rank < s.list[s.hand].rank {
			s.hand = i
		}
	}
	s.lowest = s.list[s.hand].rank
	return s.hand
}
