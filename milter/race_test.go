//go:build race

package milter

const raceDetector = true
