// Command nativehello is a gateway with plugins built in that elsewhere run in plugin servers: the example plugin hello-go, whose answers the tests
// compare with those of the one in examples/go, and the native ones of package trail.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/outrigger-gateway/outrigger/examples/go/hello"
	"github.com/outrigger-gateway/outrigger/examples/internal/testplugins/trail"
	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/plugins"
)

func main() {
	if host.RunReaper() {
		return
	}
	host.PaceCollector()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until a signal ends it; SIGHUP reads the entities again. args are those of outrigger run: "run --settings FILE --config FILE".
func run(args []string) error {
	if len(args) != 5 || args[0] != "run" || args[1] != "--settings" || args[3] != "--config" {
		return fmt.Errorf("found the arguments %q, expected run --settings FILE --config FILE", args)
	}
	h, err := host.New(host.Options{
		SettingsFile: args[2], Flags: map[string]string{"declarative_config": args[4]}, Env: os.Environ(),
		Plugins: slices.Concat(plugins.All(), []pdk.Plugin{hello.Plugin}, trail.Native()),
	})
	if err != nil {
		return err
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := h.Start(ctx); err != nil {
		return err
	}
	fmt.Printf("outrigger %s is ready on %s\n", host.Version, strings.Join(h.Addresses(), ", "))
	for {
		select {
		case <-reload:
			if err := h.Reload(ctx); err != nil {
				h.Logger().Error("reload refused, the old configuration stays", "error", err.Error())
			}
		case <-ctx.Done():
			return h.Shutdown(context.Background())
		}
	}
}
