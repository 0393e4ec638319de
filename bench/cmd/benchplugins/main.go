// Command benchplugins is a plugin server with the bench's plugins: the hello of the Go examples and sweep.
//
// With BENCH_CPUPROFILE set to a file, SIGUSR1 starts and ends a CPU profile.
package main

import (
	"github.com/outrigger-gateway/outrigger/bench/internal/cpuprofile"
	"github.com/outrigger-gateway/outrigger/bench/plugins"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

func main() {
	cpuprofile.OnSignal()
	server.Serve(plugins.All()...)
}
