// Package soak has the daemon at work for hours behind a real Postfix, with mail of all
// kinds at once: honest letters, too many of them, bulk, forged ones, what is held and let go,
// programs of the host, peers that are slow or vanish, visitors of the pages, an operator's
// commands. In the first third the daemon is built with the race detector and ended in each
// way there is; then it runs as it is shipped, and is left alone.
//
// It is measured at rest by the minute (descriptors, goroutines, memory, disk) and must stay as
// it is in the second half. In the end every letter has had one outcome, and no charge and no
// block is lost. SOAK says how long: SOAK=5m.
package soak
