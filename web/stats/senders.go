package stats

// tracked is how many senders of an hour a shard follows; 16 shards follow 1,024.
const tracked = 64

// senders finds those who send most among any number of them in bounded memory:
// a newcomer takes the place of who has sent least and inherits his rank, so that
// whoever sends more than his share of all messages is among them (the idea is
// known as space-saving). Counts begin with the place, so nobody is told to have
// sent what another did.
type senders struct {
	list []sender
	at   map[string]int // subject to place in list

	lowest int64 // nobody's rank is below
	hand   int   // where who has it was last found
}

type sender struct {
	SenderCount
	rank int64 // messages and what was inherited
}

func (s *senders) add(subject string, refused bool) {
	i, ok := s.at[subject]
	if !ok {
		i = s.place(subject)
	}
	s.list[i].rank++
	s.list[i].Messages++
	if refused {
		s.list[i].Refused++
	}
}

// place makes room for a newcomer.
func (s *senders) place(subject string) int {
	if s.at == nil {
		s.at = map[string]int{}
	}
	if len(s.list) < tracked {
		s.list = append(s.list, sender{SenderCount: SenderCount{Subject: subject}})
		s.at[subject] = len(s.list) - 1
		return len(s.list) - 1
	}
	least := s.least()
	delete(s.at, s.list[least].Subject)
	s.list[least] = sender{SenderCount: SenderCount{Subject: subject}, rank: s.list[least].rank}
	s.at[subject] = least
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
