//go:build !race

package milter

const raceDetector = false
