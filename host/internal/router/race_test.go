//go:build race

package router

func init() { raceDetector = true }
