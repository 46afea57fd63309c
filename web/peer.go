package web

import (
	"context"
	"fmt"
	"net"
	"os/user"
)

type nameKey struct{}

// withPeer is an http.Server's ConnContext: it remembers which system user is on
// the other end of a unix socket, for the audit line.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	uid, ok := peerUID(c)
	if !ok {
		return ctx
	}
	name := fmt.Sprint("uid ", uid)
	if u, err := user.LookupId(fmt.Sprint(uid)); err == nil {
		name = u.Username
	}
	return context.WithValue(ctx, nameKey{}, name)
}

func peerName(ctx context.Context) string {
	if name, ok := ctx.Value(nameKey{}).(string); ok {
		return name
	}
	return "unknown"
}
