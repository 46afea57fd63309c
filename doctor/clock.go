package doctor

import (
	"time"

	"golang.org/x/sys/unix"
)

// synchronised asks the kernel whether something keeps its clock right (adjtimex(2)).
func synchronised() (bool, error) {
	state, err := unix.Adjtimex(&unix.Timex{}) // without a mode it only reads
	return state != unix.TIME_ERROR, err
}

// CheckClock looks at the host's clock.
func CheckClock() []Finding {
	r := &report{area: "clock"}
	switch is, err := synchronised(); {
	case err != nil:
		r.add(Note, "the kernel does not say whether its clock is right: "+err.Error(), "ends of blocks and times in the log go by it", "")
	case !is:
		// No warning: in a container, and with some NTP daemons, the kernel never knows.
		r.add(Note, "the kernel does not know its clock to be right", "ends of blocks and times in the log go by it; windows of one host do not", "timedatectl set-ntp true")
	default:
		r.ok("the kernel's clock is kept right")
	}
	return r.list
}

// mostOff is by how much a host's clock may differ from its store's: slewed daemons
// stay within, and windows take a minute for stragglers.
const mostOff = 2 * time.Second

// CheckOffset looks at by how much the store's clock is ahead of the host's.
func CheckOffset(ahead time.Duration) []Finding {
	r := &report{area: "clock"}
	if ahead.Abs() > mostOff {
		r.add(Warning, "the store's clock is "+ahead.Round(time.Millisecond).String()+" ahead of this host's (negative: behind)",
			"windows go by the store's clock, blocks and times in the log by the host's", "timedatectl set-ntp true, on both")
	} else {
		r.ok("the store's clock and this host's differ by %s", ahead.Abs().Round(time.Millisecond))
	}
	return r.list
}
