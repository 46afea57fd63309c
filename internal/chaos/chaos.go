//go:build !chaos

package chaos

// Point is such a place.
func Point(string) {}
