// Package cpuprofile lets the benchmark's runner take a CPU profile of exactly the time that it measures.
package cpuprofile

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// Env names the file that a profile is written to; without it OnSignal does nothing.
const Env = "BENCH_CPUPROFILE"

// OnSignal starts a CPU profile at every first SIGUSR1 and ends it at every second. The file appears, complete, when the profile has ended; a
// later profile replaces it. Problems go to standard error.
func OnSignal() {
	path := os.Getenv(Env)
	if path == "" {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for {
			<-signals
			if err := profile(path, signals); err != nil {
				fmt.Fprintln(os.Stderr, "taking a CPU profile:", err)
			}
		}
	}()
}

// profile writes one profile that ends with the next signal.
func profile(path string, end <-chan os.Signal) error {
	partial := path + ".part"
	f, err := os.Create(partial)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only when it failed: closing twice is harmless
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	<-end
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(partial, path)
}
