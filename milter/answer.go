package milter

import (
	"encoding/binary"
	"fmt"
	"time"

	gomilter "github.com/emersion/go-milter"
)

// Write passes on what the library answers, one whole answer at a time: what is to be
// changed in a message goes with its verdict. A write that does not go through ends
// the session at its next read.
func (c *conn) Write(p []byte) (int, error) {
	c.written = append(c.written, p...)
	for rest := c.written[c.whole:]; len(rest) >= 5; rest = c.written[c.whole:] {
		size := 4 + int(binary.BigEndian.Uint32(rest))
		if len(rest) < size {
			break
		}
		if c.whole += size; !changes(rest[4]) || c.whole >= maxHeld {
			c.send(c.session.outgoing(c.written[:c.whole]))
			c.written, c.whole = append(c.written[:0], c.written[c.whole:]...), 0
		}
	}
	if len(c.written) == 0 && cap(c.written) > keepWritten {
		c.written = nil
	}
	return len(p), nil
}

// changes says whether a packet changes the message, and the answer is still to come.
func changes(code byte) bool {
	switch gomilter.ModifyActCode(code) {
	case gomilter.ActChangeHeader, gomilter.ActAddHeader, gomilter.ActQuarantine:
		return true
	}
	return false
}

// send sends one whole answer.
func (c *conn) send(answer []byte) {
	if c.failed {
		return
	}
	c.allowWrite()
	var err error
	if c.tape != nil {
		err = c.tape.Answer(answer)
	} else {
		_, err = c.Conn.Write(answer)
	}
	c.sent(err)
}

func (c *conn) allowWrite() {
	until := time.Now().Add(packetTime)
	if !within(c.writeUntil, until) {
		c.writeUntil = until
		c.Conn.SetWriteDeadline(until)
	}
}

func (c *conn) sent(err error) {
	if err != nil {
		c.failed = true
		c.explain(fmt.Errorf("answer not taken: %w", err))
	}
}

// sendContinue is what the MTA gets at a stage where nothing is refused.
func (c *conn) sendContinue() { c.send(continueAnswer) }

var (
	continueAnswer = []byte{0, 0, 0, 1, byte(gomilter.ActContinue)}
	progressAnswer = []byte{0, 0, 0, 1, 'p'} // SMFIR_PROGRESS
)

// replyPacket refuses with a reply line.
func replyPacket(line string) []byte {
	packet := binary.BigEndian.AppendUint32(make([]byte, 0, 4+1+len(line)+1), uint32(1+len(line)+1))
	packet = append(packet, byte(gomilter.ActReplyCode))
	return append(append(packet, line...), 0)
}

// sendProgress tells the MTA to wait on. That is no answer.
func (c *conn) sendProgress() {
	if c.failed {
		return
	}
	c.allowWrite()
	_, err := c.Conn.Write(progressAnswer)
	c.sent(err)
}
