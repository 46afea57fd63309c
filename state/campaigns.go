package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"
)

// CampaignGrace is how many of a subject's campaigns are never forgotten for want of
// room: those that got a letter last. Else one that is just beginning would have the
// fewest recipients, and go before its next letter comes. Few are left to choose from,
// as Redis asks for the recipients of each.
const CampaignGrace = MaxCampaigns - 16

// CampaignID names the campaign of subject whose first letter looks like s.
func CampaignID(subject string, s Sketch) string {
	var few [128]byte // for subjects of up to 96 bytes
	b := few[:0]
	for _, word := range s {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	sum := sha256.Sum256(append(b, subject...))
	return string(hex.AppendEncode(few[:0], sum[:8]))
}

// Campaigns are those of one subject. A campaign is its recipients: who they are, and
// when they were last written to, is all that is kept of it beside the sketch of its
// first letter; when the last one leaves it is over.
//
// The zero value is empty and ready. Not safe for concurrent use.
type Campaigns struct {
	length int64 // Remember in ns, of all; 0 until the first Advance or Load
	list   []campaign
	oldest int64 // no recipient's slot is before it
	newest int64 // nor after it
	size   int   // bytes that the recipients take
}

type campaign struct {
	sketch     Sketch
	recipients Members // at least one
}

// Advance brings c to campaigns that remember for so long at this time; every other
// method answers for that time. Folded is as Members.Advance says it.
func (c *Campaigns) Advance(remember time.Duration, line int64) (folded bool) {
	same := c.length == int64(remember)
	c.length = int64(remember)
	if len(c.list) == 0 || (same && slotLeaves(c.oldest, c.length) > line && line/slotWidth(c.length) >= c.newest) {
		return false
	}
	for i := range c.list {
		folded = c.list[i].recipients.Advance(remember, line) || folded
	}
	c.trim()
	return folded
}

// Expire drops what has left campaigns that remember as long as they did last.
func (c *Campaigns) Expire(line int64) (folded bool) {
	return c.length > 0 && c.Advance(time.Duration(c.length), line)
}

// trim drops campaigns without recipients, lets go of an array that is mostly empty,
// and finds the bounds anew.
func (c *Campaigns) trim() {
	c.list = slices.DeleteFunc(c.list, func(x campaign) bool { return x.recipients.Len() == 0 })
	switch {
	case len(c.list) == 0:
		c.list = nil
	case len(c.list) < cap(c.list)/4:
		c.list = slices.Clone(c.list)
	}
	c.oldest, c.newest, c.size = 0, 0, 0
	for i := range c.list {
		m := &c.list[i].recipients
		c.size += m.Size()
		if i == 0 {
			c.oldest, c.newest = m.oldest, m.newest
		}
		c.oldest, c.newest = min(c.oldest, m.oldest), max(c.newest, m.newest)
	}
}

// Len is how many campaigns there are.
func (c *Campaigns) Len() int { return len(c.list) }

// Remember is how long recipients count; 0 when there never was one.
func (c *Campaigns) Remember() time.Duration { return time.Duration(c.length) }

// Leaves is when the last one leaves if nobody is written to again; c is not empty.
func (c *Campaigns) Leaves() int64 { return slotLeaves(c.newest, c.length) }

// Recipients is how many there are in all.
func (c *Campaigns) Recipients() (n int) {
	for i := range c.list {
		n += c.list[i].recipients.Len()
	}
	return n
}

// Each calls f with the sketch of each campaign, and its recipients.
func (c *Campaigns) Each(f func(of Sketch, recipients *Members)) {
	for i := range c.list {
		f(c.list[i].sketch, &c.list[i].recipients)
	}
}

func (c *Campaigns) find(of Sketch) int {
	return slices.IndexFunc(c.list, func(x campaign) bool { return x.sketch == of })
}

// Nearest is the campaign whose first letter is nearest to s, at most near bits away;
// of several the one with the most recipients, and of those the one with the lowest
// sketch.
func (c *Campaigns) Nearest(s Sketch, near int) (of Sketch, found bool) {
	best := -1
	for i := range c.list {
		x := &c.list[i]
		d := x.sketch.Distance(s)
		if d > near || (d == near && best >= 0 && !x.before(&c.list[best])) {
			continue
		}
		best, near = i, d
	}
	if best < 0 {
		return s, false
	}
	return c.list[best].sketch, true
}

// before says that a letter as near to x as to y belongs to x.
func (x *campaign) before(y *campaign) bool {
	return cmp.Or(y.recipients.Len()-x.recipients.Len(), slices.Compare(x.sketch[:], y.sketch[:])) < 0
}

// Known is how many recipients a campaign has, and unknown how many of hashes are not
// among them. One that is not there has none.
func (c *Campaigns) Known(of Sketch, hashes []uint64) (known, unknown int64) {
	i := c.find(of)
	if i < 0 {
		return 0, int64(len(hashes))
	}
	m := &c.list[i].recipients
	return int64(m.Len()), m.Unknown(hashes)
}

// CampaignMarks say what one Put changed.
type CampaignMarks []campaignMarks

type campaignMarks struct {
	sketch     Sketch
	recipients MemberMarks
}

// Len is how many recipients changed.
func (c CampaignMarks) Len() int {
	n := 0
	for i := range c {
		n += c[i].recipients.Len()
	}
	return n
}

// Each calls f with the sketch of each campaign, and those of its recipients that
// changed.
func (c CampaignMarks) Each(f func(of Sketch, recipients *MemberMarks)) {
	for i := range c {
		f(c[i].sketch, &c[i].recipients)
	}
}

// Put makes hashes, in order and each once, recipients of a campaign from the time of
// the last Advance on, and begins it where it is not there. Over MaxCampaigns it
// forgets others.
func (c *Campaigns) Put(of Sketch, hashes []uint64, line int64) CampaignMarks {
	if len(hashes) == 0 {
		return nil
	}
	x := c.last(of)
	c.size -= x.recipients.Size()
	marks := append(make(CampaignMarks, 0, 1), campaignMarks{of, x.recipients.Put(hashes, line)})
	c.size += x.recipients.Size()
	if len(c.list) == 1 {
		c.oldest = x.recipients.oldest
	}
	c.newest = max(c.newest, x.recipients.newest)
	for len(c.list) > MaxCampaigns {
		marks = append(marks, c.forget())
	}
	return marks
}

// last finds a campaign, or begins it, and puts it at the end: the list is in the
// order of the last letters.
func (c *Campaigns) last(of Sketch) *campaign {
	x := campaign{sketch: of, recipients: Members{length: c.length}}
	if i := c.find(of); i >= 0 {
		x = c.list[i]
		c.list = slices.Delete(c.list, i, i+1)
	}
	c.list = append(c.list, x)
	return &c.list[len(c.list)-1]
}

// forget drops the campaign with the fewest recipients of those that may go; of
// several the one whose last letter is the oldest.
func (c *Campaigns) forget() campaignMarks {
	least := 0
	for i := range c.list[:len(c.list)-CampaignGrace] {
		if c.list[i].recipients.Len() < c.list[least].recipients.Len() {
			least = i
		}
	}
	x := c.list[least]
	gone := campaignMarks{x.sketch, MemberMarks{length: c.length}}
	for _, m := range x.recipients.list {
		gone.recipients.list = append(gone.recipients.list, memberMark{m.hash, m.k, never})
	}
	c.size -= x.recipients.Size()
	c.list = slices.Delete(c.list, least, least+1)
	return gone
}

// Undo takes back what Put did. What was put again since stays.
func (c *Campaigns) Undo(marks CampaignMarks) {
	for _, x := range slices.Backward(marks) {
		i := c.find(x.sketch)
		if i < 0 {
			// Forgotten for want of room, or all its recipients have left since.
			c.list = append(c.list, campaign{sketch: x.sketch, recipients: Members{length: c.length}})
			i = len(c.list) - 1
		}
		c.list[i].recipients.Undo(x.recipients)
	}
	c.sort()
	c.trim()
}

// sort brings the list in order of the last letters, as far as their slots tell.
func (c *Campaigns) sort() {
	slices.SortStableFunc(c.list, func(x, y campaign) int {
		return cmp.Or(cmp.Compare(x.recipients.newest, y.recipients.newest), slices.Compare(x.sketch[:], y.sketch[:]))
	})
}

// Merge adds other's recipients, as Members.Merge does. Of more than MaxCampaigns the
// next Put forgets some.
func (c *Campaigns) Merge(other Campaigns) {
	if c.length == 0 {
		c.length = other.length
	}
	for i := range other.list {
		x := &other.list[i]
		c.at(x.sketch).recipients.Merge(x.recipients)
	}
	c.sort()
	c.trim()
}

// at finds a campaign or begins it, without recipients.
func (c *Campaigns) at(of Sketch) *campaign {
	// Whoever loads many comes with the recipients of one after another.
	if n := len(c.list); n > 0 && c.list[n-1].sketch == of {
		return &c.list[n-1]
	}
	i := c.find(of)
	if i < 0 {
		c.list = append(c.list, campaign{sketch: of, recipients: Members{length: c.length}})
		i = len(c.list) - 1
	}
	return &c.list[i]
}

// Clone is a copy that shares nothing.
func (c *Campaigns) Clone() Campaigns {
	o := *c
	o.list = slices.Clone(c.list)
	for i := range o.list {
		o.list[i].recipients = o.list[i].recipients.Clone()
	}
	return o
}

// campaignSize is what a campaign takes beside its recipients, in bytes.
const campaignSize = 80

// Size is how many bytes the campaigns take beside the struct.
func (c *Campaigns) Size() int { return campaignSize*cap(c.list) + c.size }

// Restore adds a recipient as Members.Restore does a member. After the last one, Loaded
// must be called.
func (c *Campaigns) Restore(of Sketch, hash uint64, remember time.Duration, k int64) error {
	length := int64(remember)
	if err := CheckMember(remember, k); err != nil {
		return err
	}
	if length > c.length { // as in Members.Restore
		c.length = length
		for i := range c.list {
			c.list[i].recipients.resize(length)
		}
	}
	return c.at(of).recipients.Restore(hash, remember, k)
}

// Loaded makes c ready after it was loaded.
func (c *Campaigns) Loaded() {
	c.sort()
	c.trim()
}
