package badgerdb

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// reading is what the host's clocks say at one moment.
type reading struct {
	wall time.Time     // may be set
	boot string        // which boot of the host this is; empty: not known
	up   time.Duration // since that boot, suspend included; nobody can set it
}

func readHost() reading {
	r := reading{wall: time.Now()}
	var ts unix.Timespec
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err == nil && unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
		r.boot, r.up = strings.TrimSpace(string(id)), time.Duration(ts.Nano())
	}
	return r
}

// odd is by how much a host's clock may be off before it is worth a line.
const odd = time.Hour

// absence is for how long a host may have been off before its clock is doubted.
const absence = 30 * 24 * time.Hour

// resume says where the store's time line is now, if it was at p.Line when the host's
// clocks said p; and what is odd about the host's clock, if anything is. In the same
// boot no setting of the clock counts; after a reboot there is nothing but the clock,
// but the line never goes back.
func resume(p progress, now reading) (line int64, doubt string) {
	sameBoot := p.Boot != "" && p.Boot == now.boot
	if !sameBoot {
		switch ahead := now.wall.Sub(p.Wall); {
		case ahead < -odd:
			doubt = "the host's clock is " + (-ahead).Round(time.Second).String() + " behind what it was before the host went down"
		case ahead > absence:
			doubt = "the host's clock says that the host was down for " + ahead.Round(time.Hour).String()
		}
		return max(p.Line, p.Line+int64(now.wall.Sub(p.Wall))), doubt
	}
	passed := max(0, now.up-p.Up)
	if off := now.wall.Sub(p.Wall.Add(passed)); off.Abs() > odd {
		doubt = "the host's clock was set by " + off.Round(time.Second).String() + "; windows go on by the time that has passed"
	}
	return p.Line + int64(passed), doubt
}
