//go:build race

package hold

// heldEach is how many messages each of 500 subjects has: the race detector makes
// everything ten times slower.
const heldEach = 4
