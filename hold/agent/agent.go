// Package agent is the privileged process that works the MTA's queue for the
// daemon: it knows five verbs (wire.VerbList and so on), one request a connection,
// and does nothing else. It has no state, reads no message, and trusts nothing in a
// request. Its other end is hold.Agent.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"o2n-milter/hold/mtaqueue"
	"o2n-milter/hold/wire"
)

const (
	// maxConns bounds the requests at the same time. The daemon has a few.
	maxConns = 16
	// requestWait is what a peer has to send its request.
	requestWait = 10 * time.Second
	// answerWait is what a peer has to take each line.
	answerWait = 10 * time.Second
	// workWait bounds what one request may take, a list as well.
	workWait = 2 * time.Minute
)

// Server answers requests.
type Server struct {
	Queue mtaqueue.MTA
	// Group may ask, beside root: the primary group of a peer. -1 for root alone.
	Group int
	Log   *slog.Logger
}

// Serve answers whoever connects, until ctx ends; requests in hand are finished. It
// closes the listener.
func (s *Server) Serve(ctx context.Context, ln *net.UnixListener) error {
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, maxConns)
	for {
		nc, err := ln.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			s.Log.Error("hold agent: accept", "error", err)
			time.Sleep(100 * time.Millisecond) // for one to be closed
			continue
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		who, err := peerOf(nc)
		if err == nil {
			err = s.admit(who)
		}
		if err != nil {
			s.Log.Warn("hold agent: refused", "uid", who.uid, "gid", who.gid, "pid", who.pid, "error", err)
			refuse(nc, err)
			continue
		}
		select {
		case places <- struct{}{}:
			running.Go(func() {
				defer func() { <-places }()
				s.talk(nc, who)
			})
		default:
			refuse(nc, fmt.Errorf("busy with %d requests", maxConns))
		}
	}
}

// peer is the process at the other end, as the kernel knows it.
type peer struct{ uid, gid, pid int }

func peerOf(nc *net.UnixConn) (peer, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return peer{-1, -1, -1}, err
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return peer{-1, -1, -1}, err
	}
	return peer{int(cred.Uid), int(cred.Gid), int(cred.Pid)}, nil
}

// admit looks at the credentials whatever the socket's mode lets through.
func (s *Server) admit(who peer) error {
	if who.uid == 0 || s.Group >= 0 && who.gid == s.Group {
		return nil
	}
	return errors.New("only root and the daemon's group may ask")
}

func refuse(nc *net.UnixConn, why error) {
	nc.SetWriteDeadline(time.Now().Add(time.Second)) // an empty socket takes it at once
	_ = json.NewEncoder(nc).Encode(wire.Answer{Problem: why.Error()})
	nc.Close()
}

// talk has one request and its answer.
func (s *Server) talk(nc *net.UnixConn, who peer) {
	defer nc.Close()
	out := &answers{nc}
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error("hold agent: panic", "panic", p, "stack", string(debug.Stack()))
			_ = out.write(wire.Answer{Problem: "the agent is at fault; see its log"})
		}
	}()
	host := s.Queue.Host()
	if out.write(wire.Answer{Host: &host}) != nil {
		return
	}
	nc.SetReadDeadline(time.Now().Add(requestWait))
	line, err := readLine(nc)
	if errors.Is(err, io.EOF) { // who only wants to know the host hangs up here
		return
	}
	req, err := parse(line, err, s.Queue.ValidID)
	if err != nil {
		s.Log.Warn("hold agent: request refused", "uid", who.uid, "pid", who.pid, "error", err)
		_ = out.write(wire.Answer{Problem: err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), workWait)
	defer cancel()
	if err := s.do(ctx, req, who, out); err != nil {
		s.Log.Warn("hold agent: "+req.Verb, "uid", who.uid, "pid", who.pid, "error", err)
		_ = out.write(wire.Answer{Problem: err.Error()})
	}
}

// answers writes lines; a peer that does not take them ends its request.
type answers struct{ nc *net.UnixConn }

func (a *answers) write(answer wire.Answer) error {
	line, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	a.nc.SetWriteDeadline(time.Now().Add(answerWait))
	_, err = a.nc.Write(append(line, '\n'))
	return err
}
