// Package peers attacks the built daemon through its sockets: peers of the milter port
// that are slow, silent, rude, deaf or gone, more of them than there are descriptors, and
// mail that is meant to cost as much as it can. Meanwhile honest sessions from an address
// of their own are timed, and in the end the daemon has to be as small as it was.
package peers
