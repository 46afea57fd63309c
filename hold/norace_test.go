//go:build !race

package hold

// heldEach is how many messages each of 500 subjects has.
const heldEach = 20
