package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"o2n-milter/hold/wire"
)

var errTooLong = fmt.Errorf("the request is longer than %d octets, or has no newline at its end", wire.MaxRequest)

// readLine reads up to a newline, which must be the last octet sent: there is one
// request. io.EOF when nothing came at all.
func readLine(r io.Reader) ([]byte, error) {
	buf := make([]byte, 0, 1<<10)
	for len(buf) < wire.MaxRequest {
		buf = slices.Grow(buf, 1<<10)
		n, err := r.Read(buf[len(buf):min(cap(buf), wire.MaxRequest)])
		buf = buf[:len(buf)+n]
		if i := bytes.IndexByte(buf, '\n'); i >= 0 {
			if i != len(buf)-1 {
				return nil, errors.New("more than one line; want one request a connection")
			}
			return buf, nil
		}
		if err == io.EOF && len(buf) > 0 {
			return nil, errTooLong
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, errTooLong
}

// parse reads a request and checks all of it. readErr is readLine's.
func parse(line []byte, readErr error, validID func(string) bool) (wire.Request, error) {
	if readErr != nil {
		return wire.Request{}, readErr
	}
	var req wire.Request
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return wire.Request{}, fmt.Errorf("request: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return wire.Request{}, errors.New("request: more than one value in the line")
	}
	return req, check(req, validID)
}

func check(req wire.Request, validID func(string) bool) error {
	switch req.Verb {
	case wire.VerbList:
		return checkList(req)
	case wire.VerbHold, wire.VerbRelease, wire.VerbDelete, wire.VerbFind:
		return checkIDs(req, validID)
	}
	return fmt.Errorf("verb %.20q; want %s, %s, %s, %s or %s", req.Verb,
		wire.VerbList, wire.VerbHold, wire.VerbRelease, wire.VerbDelete, wire.VerbFind)
}

var queues = []wire.Queue{wire.QueueHold, wire.QueueIncoming, wire.QueueActive, wire.QueueDeferred}

func checkList(req wire.Request) error {
	if len(req.IDs) > 0 {
		return fmt.Errorf("%s has ids; want none", req.Verb)
	}
	if len(req.Queues) > len(queues) {
		return fmt.Errorf("%d queues; want each once at most", len(req.Queues))
	}
	for _, q := range req.Queues {
		if !slices.Contains(queues, q) {
			return fmt.Errorf("queue %.20q; want one of %q", q, queues)
		}
	}
	return nil
}

func checkIDs(req wire.Request, validID func(string) bool) error {
	if len(req.Queues) > 0 {
		return fmt.Errorf("%s has queues; want ids alone", req.Verb)
	}
	if n := len(req.IDs); n < 1 || n > wire.MaxIDs {
		return fmt.Errorf("%d ids; want 1 to %d", n, wire.MaxIDs)
	}
	for _, id := range req.IDs {
		if !validID(id) {
			return fmt.Errorf("id %.40q; want a queue id of the MTA", id)
		}
	}
	sorted := slices.Sorted(slices.Values(req.IDs))
	if len(slices.Compact(sorted)) != len(req.IDs) {
		return errors.New("an id twice; want each once")
	}
	return nil
}
