package mtaqueue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"o2n-milter/hold/wire"
)

// readPostqueue reads what "postqueue -j" prints, an object a message, and holds no
// more than one recipient of a message at a time: there may be very many. Mail that
// pickup(8) has not taken yet (maildrop) is left out: no milter has seen it.
func readPostqueue(r io.Reader, yield func(wire.Queued) error) error {
	dec := json.NewDecoder(r)
	for {
		q, err := readMessage(dec)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("postqueue: %w", err)
		}
		if !slices.Contains(postfixQueues, q.Queue) {
			continue
		}
		if err := yield(q); err != nil {
			return err
		}
	}
}

// readMessage returns io.EOF only between messages.
func readMessage(dec *json.Decoder) (q wire.Queued, err error) {
	if err := want(dec, '{'); err != nil {
		return q, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return q, unexpected(err)
		}
		if err := readMember(dec, key, &q); err != nil {
			return q, fmt.Errorf("%v: %w", key, unexpected(err))
		}
	}
	return q, unexpected(want(dec, '}'))
}

func readMember(dec *json.Decoder, key json.Token, q *wire.Queued) (err error) {
	switch key {
	case "queue_name":
		return dec.Decode(&q.Queue)
	case "queue_id":
		return dec.Decode(&q.ID)
	case "arrival_time":
		var seconds int64
		err = dec.Decode(&seconds)
		q.Arrived = time.Unix(seconds, 0).UTC()
	case "message_size":
		return dec.Decode(&q.Size)
	case "sender":
		err = dec.Decode(&q.From)
		if q.From = clip(q.From); q.From == "MAILER-DAEMON" { // so showq(8) writes the null sender
			q.From = ""
		}
	case "recipients":
		return readRecipients(dec, q)
	default: // later versions add some
		var other json.RawMessage
		return dec.Decode(&other)
	}
	return err
}

func readRecipients(dec *json.Decoder, q *wire.Queued) error {
	if err := want(dec, '['); err != nil {
		return err
	}
	for dec.More() {
		var r struct {
			Address string `json:"address"`
			Reason  string `json:"delay_reason"`
		}
		if err := dec.Decode(&r); err != nil {
			return err
		}
		q.Count++
		if len(q.Recipients) < wire.MaxRecipients {
			q.Recipients = append(q.Recipients, clip(r.Address))
		}
		if q.Reason == "" {
			q.Reason = clip(r.Reason)
		}
	}
	return want(dec, ']')
}

func want(dec *json.Decoder, d json.Delim) error {
	t, err := dec.Token()
	if err == nil && t != d {
		err = fmt.Errorf("%v; want %v", t, d)
	}
	return err
}

// unexpected is for the end of the input within a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
