// Command benchhost is the gateway as the benchmarks run it: package host with the plugins of command outrigger and, on demand, the bench's own
// plugins as native ones, so that a plugin can be measured inside the host and outside without a changed line. Everything else, such as
// deadlines, header rules and the log, is as in command outrigger.
//
// With BENCH_CPUPROFILE set to a file, SIGUSR1 starts and ends a CPU profile.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/outrigger-gateway/outrigger/bench/internal/cpuprofile"
	"github.com/outrigger-gateway/outrigger/bench/plugins"
	"github.com/outrigger-gateway/outrigger/host"
	native "github.com/outrigger-gateway/outrigger/plugins"
)

func main() {
	if host.RunReaper() {
		return
	}
	host.PaceCollector()
	settings := flag.String("settings", "", "outrigger.yaml")
	config := flag.String("config", "", "gateway.yaml")
	names := flag.String("native", "", "plugins of the bench that run natively, names with commas")
	flag.Parse()
	if err := run(*settings, *config, *names); err != nil {
		fmt.Fprintln(os.Stderr, "benchhost:", err)
		os.Exit(1)
	}
}

func run(settings, config, names string) error {
	cpuprofile.OnSignal()
	o := host.Options{SettingsFile: settings, Env: os.Environ(), Flags: map[string]string{"config": config}, Plugins: native.All()}
	for name := range strings.FieldsFuncSeq(names, func(r rune) bool { return r == ',' }) {
		p, err := plugins.ByName(name)
		if err != nil {
			return fmt.Errorf("--native: %w", err)
		}
		o.Plugins = append(o.Plugins, p)
	}
	h, err := host.New(o)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := h.Start(ctx); err != nil {
		return err
	}
	fmt.Println("benchhost is ready on", h.Addresses()[0])
	<-ctx.Done()
	return h.Shutdown(context.Background())
}
