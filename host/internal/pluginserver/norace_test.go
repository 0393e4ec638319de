//go:build !race

package pluginserver

// raceDetector says that the test binary, which is the fake server too, was built with -race.
const raceDetector = false
