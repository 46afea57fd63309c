package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"
)

// callTime bounds a question to a socket of the daemon.
const callTime = 3 * time.Second

const startDaemon = "systemctl status o2n-milter; is o2n-milter serve running with this configuration?"

// CheckMilters asks at each milter socket, and looks at who else may.
func CheckMilters(ctx context.Context, ours []Address) []Finding {
	r := &report{area: "sockets"}
	for _, a := range ours {
		err := greet(ctx, a)
		switch {
		case err == nil:
			r.ok("%s answers as a milter", a)
		case errors.Is(err, fs.ErrPermission):
			r.add(Note, fmt.Sprintf("%s: permission denied", a), "whether the filter answers there is not known", "run this as root")
		default:
			r.add(Fault, fmt.Sprintf("%s: %v", a, err), "the MTA finds no filter there, and does with all mail what it is told to do then", startDaemon)
		}
		r.exposed(a)
	}
	return r.list
}

func (a Address) dial(ctx context.Context) (net.Conn, error) {
	network, where := "unix", a.Path
	if a.Path == "" {
		host := a.Host
		if everywhere(host) {
			host = "localhost"
		}
		network, where = "tcp", net.JoinHostPort(host, strconv.Itoa(a.Port))
	}
	return (&net.Dialer{Timeout: callTime}).DialContext(ctx, network, where)
}

// greet negotiates as an MTA does and hangs up: SMFIC_OPTNEG with version 6, all
// actions and all protocol steps.
func greet(ctx context.Context, a Address) error {
	nc, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(callTime)); err != nil {
		return err
	}
	const optneg, offered = 'O', 13
	packet := binary.BigEndian.AppendUint32(nil, offered)
	packet = append(packet, optneg)
	for _, word := range []uint32{6, 0x1ff, 0x1fffff} {
		packet = binary.BigEndian.AppendUint32(packet, word)
	}
	if _, err := nc.Write(packet); err != nil {
		return err
	}
	answer := make([]byte, 5)
	if _, err := io.ReadFull(nc, answer); err != nil {
		return fmt.Errorf("no answer of a milter: %w", err)
	}
	if answer[4] != optneg {
		return fmt.Errorf("answers %q; want a milter's negotiation", answer)
	}
	_, _ = nc.Write([]byte{0, 0, 0, 1, 'Q'}) // a courtesy
	return nil
}

const whyAnyLogin = "whoever can connect may claim any login, and fill or block that account"

// exposed looks at who may connect beside the MTA.
func (r *report) exposed(a Address) {
	if a.Path == "" {
		ip, err := netip.ParseAddr(a.Host)
		if local := a.Host == "localhost" || err == nil && ip.IsLoopback(); local {
			r.add(Note, a.String()+" is open to every user of this host", whyAnyLogin,
				"where others than root have a shell or PHP: [milter] listen = [\"unix:/var/spool/postfix/o2n-milter/milter.sock\"]")
		} else {
			r.add(Warning, a.String()+" is open to other hosts", whyAnyLogin, "let a firewall pass only the MTAs")
		}
		return
	}
	info, err := os.Stat(a.Path)
	if err == nil && info.Mode().Perm()&0o002 != 0 {
		r.add(Warning, fmt.Sprintf("%s is open to every user of this host (mode %04o)", a, info.Mode().Perm()), whyAnyLogin, "[milter] socket_mode = \"0660\"")
	}
}

// CheckTCP asks whether anybody takes connections at a key's address.
func CheckTCP(ctx context.Context, key, address string) []Finding {
	r := &report{area: "sockets"}
	nc, err := (&net.Dialer{Timeout: callTime}).DialContext(ctx, "tcp", address)
	if err != nil {
		r.add(Fault, fmt.Sprintf("%s: %v", key, err), "the pages, metrics and health there cannot be reached", startDaemon)
		return r.list
	}
	_ = nc.Close() // nothing was sent
	r.ok("%s: %s takes connections", key, address)
	return r.list
}

// CheckAgent judges what asking the hold agent came to. Needed says whether the rules
// may put mail on hold.
func CheckAgent(socket string, err error, needed bool) []Finding {
	r := &report{area: "sockets"}
	level, why := Note, "no rule puts mail on hold as it stands; what would be held could not be released"
	if needed {
		level, why = Warning, "mail that a rule puts on hold stays there"
	}
	switch {
	case err == nil:
		r.ok("hold.agent: %s answers", socket)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, io.EOF) && os.Geteuid() != 0:
		r.add(Note, "hold.agent: "+err.Error(), "it answers only root and the daemon: whether it works is not known", "run this as root")
	case errors.Is(err, context.DeadlineExceeded):
		r.add(level, "hold.agent: hold agent at "+socket+": no answer in time", why, "systemctl restart o2n-milter-hold.service, and look at its log")
	default:
		r.add(level, "hold.agent: "+err.Error(), why, "systemctl enable --now o2n-milter-hold.socket")
	}
	return r.list
}

// CheckListening compares what the configuration says with where the daemon listens,
// which it does not change while it runs.
func CheckListening(configured, running []Address) []Finding {
	r := &report{area: "sockets"}
	for _, a := range configured {
		if !slices.ContainsFunc(running, a.reaches) {
			r.add(Warning, fmt.Sprintf("milter.listen has %s, and the daemon listens on %s", a, joined(running)),
				"the sockets are opened at the start only: what the MTA finds after the next one is another thing", "systemctl restart o2n-milter")
		}
	}
	return r.list
}

// CheckPrivate looks at a socket whose users may change what is decided or held.
func CheckPrivate(key, path string) []Finding {
	r := &report{area: "sockets"}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o002 != 0 {
		r.add(Fault, fmt.Sprintf("%s: %s is open to every user of this host (mode %04o)", key, path, info.Mode().Perm()),
			"whoever can connect may lift blocks and release mail", "chmod o-w "+path)
	}
	return r.list // whether it is there is found by asking
}
