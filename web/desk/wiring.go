package desk

import "time"

// Wiring is what the traffic since the daemon was started says of how the MTA is wired
// to it.
type Wiring struct {
	Since   time.Time       `json:"since"`
	Sockets []SocketTraffic `json:"sockets"` // by name
}

// SocketTraffic is what came through one milter socket.
type SocketTraffic struct {
	On         string           `json:"on"`          // "tcp:127.0.0.1:8895", "unix:/path"
	Sessions   int64            `json:"sessions"`    // that sent CONNECT
	Deaf       int64            `json:"deaf"`        // of these, whose MTA cannot be asked for macros
	CannotHold int64            `json:"cannot_hold"` // of these, whose MTA cannot put mail on hold
	Messages   int64            `json:"messages"`    // that were answered
	Logins     int64            `json:"logins"`      // of these, with a login
	Local      int64            `json:"local"`       // handed in by programs of this host
	Unjudged   int64            `json:"unjudged"`    // inbound mail
	Again      int64            `json:"again"`       // that came once more after they had passed
	Macros     map[string]int64 `json:"macros"`      // messages that had this macro; names without braces
}

// Wired tells of the traffic; nothing where nobody counts it.
func (d *Desk) Wired() Wiring {
	if d.Wiring == nil {
		return Wiring{Sockets: []SocketTraffic{}}
	}
	return d.Wiring()
}
