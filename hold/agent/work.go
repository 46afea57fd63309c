package agent

import (
	"context"
	"slices"
	"strings"

	"o2n-milter/hold/wire"
)

// do answers a request that was checked. An error is what is answered instead of
// the rest.
func (s *Server) do(ctx context.Context, req wire.Request, who peer, out *answers) error {
	switch req.Verb {
	case wire.VerbList:
		return s.list(ctx, req.Queues, out)
	case wire.VerbFind:
		return out.write(wire.Answer{Results: s.find(req.IDs), Done: true})
	}
	results := s.change(ctx, req)
	s.note(req.Verb, who, results)
	return out.write(wire.Answer{Results: results, Done: true})
}

func (s *Server) list(ctx context.Context, of []wire.Queue, out *answers) error {
	wanted := func(q wire.Queue) bool { return len(of) == 0 || slices.Contains(of, q) }
	err := s.Queue.List(ctx, wanted, func(q wire.Queued) error { return out.write(wire.Answer{Message: &q}) })
	if err != nil {
		return err
	}
	return out.write(wire.Answer{Done: true})
}

func (s *Server) find(ids []string) []wire.Result {
	results := make([]wire.Result, len(ids))
	for i, id := range ids {
		q, err := s.Queue.Find(id)
		results[i] = wire.Result{ID: id, Queue: q, Missing: q == wire.QueueNone}
		if err != nil {
			results[i] = wire.Result{ID: id, Problem: err.Error()}
		}
	}
	return results
}

// change has the tools do it with what is in the queue, and looks afterwards what
// they did: both MTAs' tools pass over mail that is in hand elsewhere.
func (s *Server) change(ctx context.Context, req wire.Request) []wire.Result {
	before := s.find(req.IDs)
	var there []string
	for _, r := range before {
		if !r.Missing && r.Problem == "" {
			there = append(there, r.ID)
		}
	}
	if len(there) == 0 {
		return bare(before)
	}
	work := map[string]func(context.Context, []string) error{
		wire.VerbHold: s.Queue.Hold, wire.VerbRelease: s.Queue.Release, wire.VerbDelete: s.Queue.Delete,
	}
	err := work[req.Verb](ctx, there)
	after := s.find(there)
	for i, r := range before {
		if at := slices.Index(there, r.ID); at >= 0 {
			before[i] = outcome(req.Verb, after[at], err)
		}
	}
	return bare(before)
}

// outcome says whether a message is where the verb wants it; err is the tools'.
func outcome(verb string, now wire.Result, err error) wire.Result {
	if now.Problem != "" {
		return now
	}
	done := map[string]bool{
		wire.VerbHold: now.Queue == wire.QueueHold,
		// Mail on its way is released; if it waits in the queue because the tools
		// could not have it sent, a release is not over.
		wire.VerbRelease: now.Queue != wire.QueueHold && (now.Queue != wire.QueueDeferred || err == nil),
		wire.VerbDelete:  now.Queue == wire.QueueNone,
	}[verb]
	switch {
	case done:
		return wire.Result{ID: now.ID}
	case now.Queue == wire.QueueNone: // sent before it could be held
		return wire.Result{ID: now.ID, Missing: true}
	case err != nil:
		return wire.Result{ID: now.ID, Problem: firstOf(err.Error())}
	}
	return wire.Result{ID: now.ID, Problem: "still in the queue " + string(now.Queue) + ": another process has it in hand, or has just released it"}
}

// firstOf bounds what is told for each id: an error may have a line for each of them.
func firstOf(text string) string {
	if len(text) > wire.MaxText {
		text = strings.ToValidUTF8(text[:wire.MaxText], "") + "..."
	}
	return strings.ReplaceAll(text, "\n", "; ")
}

// bare leaves the queues out, which only find tells.
func bare(results []wire.Result) []wire.Result {
	for i := range results {
		results[i].Queue = wire.QueueNone
	}
	return results
}

// note logs a change with who asked for it.
func (s *Server) note(verb string, who peer, results []wire.Result) {
	var done, missing []string
	for _, r := range results {
		switch {
		case r.Missing:
			missing = append(missing, r.ID)
		case r.Problem != "":
			s.Log.Warn("hold agent: "+verb, "uid", who.uid, "pid", who.pid, "qid", r.ID, "error", r.Problem)
		default:
			done = append(done, r.ID)
		}
	}
	s.Log.Info("hold agent: "+verb, "uid", who.uid, "pid", who.pid,
		"done", strings.Join(done, " "), "missing", strings.Join(missing, " "))
}
