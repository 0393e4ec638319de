//go:build !race

package router

// raceDetector: see race_test.go.
const raceDetector = false
