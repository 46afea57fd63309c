package web

import (
	"context"
	"fmt"
	"net"
	"os/user"

	"golang.org/x/sys/unix"
)

type peerKey struct{}

// withPeer is an http.Server's ConnContext: it remembers which system user is on
// the other end of a unix socket, for the audit line.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return ctx
	}
	name := fmt.Sprintf("uid %d", cred.Uid)
	if u, err := user.LookupId(fmt.Sprint(cred.Uid)); err == nil {
		name = u.Username
	}
	return context.WithValue(ctx, peerKey{}, name)
}

func peerName(ctx context.Context) string {
	if name, ok := ctx.Value(peerKey{}).(string); ok {
		return name
	}
	return "unknown"
}
