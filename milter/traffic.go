package milter

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/rules"
)

// Traffic is what came through one listener since it was opened: what says whether the
// MTA behind it is wired as it should be.
type Traffic struct {
	On         string // "tcp:127.0.0.1:8895", "unix:/path"
	Sessions   int64  // that sent CONNECT
	Deaf       int64  // of these, whose MTA cannot be asked for macros
	CannotHold int64  // of these, whose MTA cannot put mail on hold
	Messages   int64  // that were answered
	Logins     int64  // of these, with a login
	Local      int64  // handed in by programs of this host
	Unjudged   int64  // inbound mail
	// Again counts messages that came once more after they had passed: what is behind us,
	// a later milter perhaps, has deferred them, which no MTA tells us.
	Again int64
	// Macros says how many messages had which macro, by names without braces: those
	// that something is made of.
	Macros map[string]int64
}

// counts is the Traffic of a listener that goes on.
type counts struct {
	mu     sync.Mutex
	t      Traffic
	sent   [len(counted)]int64 // messages that had the macro of the same place in counted
	withID int64               // messages that had a queue id
	passed recent
}

// counted are the macros that are counted, after the queue id.
var counted = [...]struct {
	macro macro
	stage func(*macros) *macroList
}{
	{hostName, connectStage}, {clientAddr, connectStage}, {daemonName, connectStage},
	{authAuthen, mailStage}, {mailAddr, mailStage},
	{rcptAddr, rcptStage}, {rcptMailer, rcptStage}, // of the last recipient
}

func connectStage(m *macros) *macroList { return &m.connect }
func mailStage(m *macros) *macroList    { return &m.mail }
func rcptStage(m *macros) *macroList    { return &m.rcpt }

// Traffic tells what came through each listener, by their names.
func (s *Server) Traffic() []Traffic {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Traffic
	for _, c := range s.traffic {
		list = append(list, c.told())
	}
	slices.SortFunc(list, func(a, b Traffic) int { return strings.Compare(a.On, b.On) })
	return list
}

func (c *counts) told() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.t
	t.Macros = map[string]int64{macroNames[queueID]: c.withID}
	for i, m := range counted {
		t.Macros[macroNames[m.macro]] = c.sent[i]
	}
	return t
}

// countsOf are those of a listener, by its Traffic's name; s.mu is held.
func (s *Server) countsOf(on string) *counts {
	if s.traffic[on] == nil {
		s.traffic[on] = &counts{t: Traffic{On: on}}
	}
	return s.traffic[on]
}

func (c *counts) session(t *terms) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Sessions++
	c.t.Deaf += one(!t.may(gomilter.OptSetSymList))
	c.t.CannotHold += one(!t.may(gomilter.OptQuarantine))
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// message counts one that was answered.
func (c *counts) message(mail *rules.Mail, m *macros, v *rules.Verdict) {
	key, passed := keyOf(mail, v)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Messages++
	c.t.Logins += one(mail.Login != "")
	c.t.Local += one(mail.Local)
	c.t.Unjudged += one(!v.Judged && !v.Own)
	c.t.Again += one(passed && c.passed.add(key))
	c.withID += one(mail.QueueID != "")
	for i := range counted {
		c.sent[i] += one(counted[i].stage(m).has(counted[i].macro))
	}
}

// keyOf is by which a message that passes is known if it comes again: its sender,
// recipients and Message-ID. A client that has its 250 has no reason to come again.
func keyOf(mail *rules.Mail, v *rules.Verdict) (key uint64, passed bool) {
	if !v.Judged || v.Action != rules.Accept && v.Action != rules.Tag {
		return 0, false
	}
	id := fieldOf(mail, "Message-ID")
	if id == "" {
		return 0, false
	}
	var h maphash.Hash
	h.SetSeed(seed)
	write := func(s string) { h.WriteString(s); h.WriteByte(0) }
	write(id)
	write(mail.Sender)
	for _, r := range mail.Recipients {
		write(r.Address)
	}
	return h.Sum64(), true
}

// seed is another in each process: nobody can find a message that counts as another's.
var seed = maphash.MakeSeed()

func fieldOf(mail *rules.Mail, name string) string {
	for _, f := range mail.Header {
		if strings.EqualFold(f.Name, name) {
			return strings.TrimSpace(f.Value)
		}
	}
	return ""
}

// recentMessages is how many passed messages a listener remembers. A client comes again
// within minutes; a busy host has some thousand messages in these.
const recentMessages = 4096

// recent is a set of the last recentMessages keys, which are hashes. Each is in a ring, and
// in a chain of those that have the lowest bits in common: a map is slower to forget.
type recent struct {
	keys  []uint64               // the ring: in the order that they came, from next on
	chain [recentMessages]uint16 // where the next one of a key's chain is, plus one; 0: nowhere
	first [recentMessages]uint16 // the same, of each chain's first
	next  uint16
}

// add puts a key in, and says whether it was there.
func (r *recent) add(key uint64) bool {
	for at := r.first[key%recentMessages]; at > 0; at = r.chain[at-1] {
		if r.keys[at-1] == key {
			return true
		}
	}
	at := r.next
	r.next = (r.next + 1) % recentMessages
	if len(r.keys) < recentMessages {
		r.keys = append(r.keys, key)
	} else {
		r.forget(at)
		r.keys[at] = key
	}
	first := &r.first[key%recentMessages]
	r.chain[at], *first = *first, at+1
	return false
}

// forget takes the key at a place out of its chain.
func (r *recent) forget(at uint16) {
	link := &r.first[r.keys[at]%recentMessages]
	for *link != at+1 {
		link = &r.chain[*link-1]
	}
	*link = r.chain[at]
}
