// Package faults breaks what the daemon stands on and looks whether it keeps its
// promises: the daemon as it is shipped, driven through the milter protocol by many
// sessions at once, on Badger and on Redis, killed, starved and damaged; and built to panic
// at places chosen by chance (o2n-milter/internal/chaos).
//
// Each campaign prints one line: what was tried, what held. It is bounded in time,
// stays on loopback, and ends only what it started. FAULTS=long runs them in full
// (make faults); without it a slice of each runs.
package faults
