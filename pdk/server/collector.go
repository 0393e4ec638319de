package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// headroom is how much a plugin server allocates between two collections, in bytes, when little is alive. With Go's own setting a small server
// collects every 4 MiB, some thousand calls, and spends a fifth of its time on that.
const headroom = 32 << 20

// paceCollector makes the garbage collector run after headroom or after the heap has doubled, whichever is more. A GOGC in the environment wins.
func paceCollector() {
	if os.Getenv("GOGC") == "" {
		adjustPace(0)
	}
}

// adjustPace sets the percentage and comes again after the next collection.
func adjustPace(last int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := gcPercent(live[0].Value.Uint64())
	if diff := percent - last; diff > last/8 || diff < -last/8 { // each change stops the world
		debug.SetGCPercent(percent)
		last = percent
	}
	mark := new([16]byte) // unreachable at once: its cleanup runs after the next collection
	runtime.AddCleanup(mark, adjustPace, last)
}

// gcPercent is the GOGC that gives headroom above the live bytes. Go scales its smallest heap, 4 MiB, with it.
func gcPercent(live uint64) int {
	const smallest = 4 << 20
	return int(min(max(100*headroom/max(live, 1), 100), 100*headroom/smallest))
}
