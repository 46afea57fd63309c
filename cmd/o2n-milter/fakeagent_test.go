package main

import (
	"bufio"
	"encoding/json"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"o2n-milter/hold/wire"
)

// fakeQueue is an MTA's messages on hold behind an agent's socket; what is released
// leaves at once.
type fakeQueue struct {
	host string
	mu   sync.Mutex
	ids  []string
}

// cmdHoldAgent answers as a hold agent until the script ends: "holdagent SOCKET HOST
// QUEUEID...".
func cmdHoldAgent(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	q := &fakeQueue{host: args[1], ids: args[2:]}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go q.serve(c)
		}
	}()
}

// serve answers the one request of a connection.
func (q *fakeQueue) serve(c net.Conn) {
	defer c.Close()
	out, in := json.NewEncoder(c), bufio.NewScanner(c)
	_ = out.Encode(wire.Answer{Host: &wire.Host{MTA: "postfix", Name: q.host}}) // the daemon may have gone, here and below
	var r wire.Request
	if !in.Scan() || json.Unmarshal(in.Bytes(), &r) != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	last := wire.Answer{Done: true}
	if r.Verb == wire.VerbList && slices.Contains(r.Queues, wire.QueueHold) {
		for _, id := range q.ids {
			_ = out.Encode(wire.Answer{Message: &wire.Queued{ID: id, Queue: wire.QueueHold, Arrived: time.Now().Add(-3 * time.Hour), From: login, Count: 1}})
		}
	}
	for _, id := range r.IDs {
		last.Results = append(last.Results, q.do(r.Verb, id))
	}
	_ = out.Encode(last)
}

func (q *fakeQueue) do(verb, id string) wire.Result {
	i := slices.Index(q.ids, id)
	switch {
	case verb == wire.VerbFind && i >= 0:
		return wire.Result{ID: id, Queue: wire.QueueHold}
	case i < 0:
		return wire.Result{ID: id, Missing: true}
	case verb == wire.VerbRelease, verb == wire.VerbDelete:
		q.ids = slices.Delete(q.ids, i, i+1)
	}
	return wire.Result{ID: id}
}
