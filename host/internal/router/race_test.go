//go:build race

package router

// raceDetector is set in builds with -race, where sync.Pool forgets things on purpose and package regexp then allocates.
const raceDetector = true
