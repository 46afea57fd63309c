// Package simulation plays the filter through what may happen to it, in one goroutine
// of events and with clocks of its own: mail, sessions that outlast a reload,
// operators, customers, held mail, calls of the store that go wrong in every way,
// restarts and clocks that are set. After every event a small model, which knows
// nothing of how any of it is done, is held against what the filter says and keeps.
//
// A run is made of episodes of a thousand events. An episode is a function of its
// number, but for Badger, whose files go by clocks of their own; one that fails is told
// with the fewest events that still make it fail.
//
// What every single call of the store does when it goes wrong, is tried one by one by
// TestEveryCall.
package simulation
