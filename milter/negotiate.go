package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	gomilter "github.com/emersion/go-milter"
)

// codeUnknown is SMFIC_UNKNOWN, an SMTP command the MTA does not know.
const codeUnknown gomilter.Code = 'U'

// What is asked for. The library answers version 2, whatever was offered, so no
// DATA and no unknown commands come; the rest works with it on both MTAs. A reply
// is kept at RCPT: without any before end of message, Postfix on TCP (which
// leaves Nagle on) gets every message 44 ms late.
const (
	wantActions = gomilter.OptAddHeader | gomilter.OptChangeHeader |
		gomilter.OptQuarantine | gomilter.OptSetSymList
	wantProtocol = gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoMailReply |
		gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply | gomilter.OptNoBodyReply
)

// TapeFormat is the format of the tapes on a shelf. What is asked for decides which
// questions are answered, and which macros came with them, so a tape that was begun with
// other wishes cannot be read: a session that was never told the login would pass for
// mail without one. If the same questions are ever answered in another way, the number in
// front is another.
var TapeFormat = 1<<48 | uint64(wishes(wantActions, wantProtocol, wantMacros))

// wishes is a sum of what is asked for.
func wishes(actions gomilter.OptAction, protocol gomilter.OptProtocol, macros map[gomilter.Stage][]string) uint32 {
	return crc32.ChecksumIEEE(fmt.Append(nil, uint32(actions), uint32(protocol), macros)) // fmt sorts maps
}

// wantMacros replaces the MTA's default list at these stages. The queue id, i, is
// not asked for at CONNECT: Sendmail would give the first message's for ever.
// Sendmail takes 50 names a stage at most.
var wantMacros = map[gomilter.Stage][]string{
	gomilter.StageConnect:  {"j", "{daemon_name}", "{daemon_addr}", "{if_addr}", "{client_addr}", "{client_name}"},
	gomilter.StageMailFrom: {"i", "{auth_authen}", "{mail_addr}"},
	gomilter.StageRcptTo:   {"i", "{rcpt_addr}", "{rcpt_mailer}"},
	gomilter.StageEOM:      {"i"},
}

// terms is what MTA and milter have agreed on.
type terms struct {
	agreed   bool
	actions  gomilter.OptAction   // first the offer, then what is left of our wishes
	protocol gomilter.OptProtocol // likewise
}

// offer notes what the MTA can do. data is version, actions, protocol.
func (t *terms) offer(data []byte) error {
	if t.agreed {
		return errors.New("second negotiation")
	}
	if len(data) < 12 {
		return errors.New("negotiation too short")
	}
	t.agreed = true
	t.actions = gomilter.OptAction(binary.BigEndian.Uint32(data[4:]))
	t.protocol = gomilter.OptProtocol(binary.BigEndian.Uint32(data[8:]))
	return nil
}

// answer cuts the library's answer down to the offer: one action (Sendmail: or
// protocol) bit more than was offered, and the MTA defers all mail.
func (t *terms) answer(packet []byte) []byte {
	data := packet[5:]
	t.actions &= wantActions
	t.protocol &= wantProtocol
	binary.BigEndian.PutUint32(data[4:], uint32(t.actions))
	binary.BigEndian.PutUint32(data[8:], uint32(t.protocol))
	if t.actions&gomilter.OptSetSymList == 0 {
		packet = packet[:5+12]
		binary.BigEndian.PutUint32(packet, 1+12)
	}
	return packet
}

// may says whether an action was agreed on.
func (t *terms) may(action gomilter.OptAction) bool { return t.actions&action == action }

// silent says whether the MTA waits for no reply; noReply is the stage's bit.
func (t *terms) silent(noReply gomilter.OptProtocol) bool { return t.protocol&noReply != 0 }
