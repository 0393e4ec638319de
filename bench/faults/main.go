// Command faults loads a real gateway while its upstreams misbehave, its clients abort, names move and the configuration is reloaded every
// second. Every answer is judged: each body says which request it is for, so that an answer to somebody else's request cannot pass. It ends with exit
// code 1 when an answer was wrong or crossed, a reload failed, or memory grew. See docs/faults.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	gateway string
	time    time.Duration
	clients int
	seed    uint64
	out     string
	// routes and plugins are further routes, and plugin records on them, that every reload brings anew.
	routes, plugins int
}

func main() {
	o := options{}
	flag.StringVar(&o.gateway, "gateway", "bin/outrigger", "program of the gateway")
	flag.DurationVar(&o.time, "time", time.Minute, "how long")
	flag.IntVar(&o.clients, "clients", 32, "clients at the same time")
	flag.Uint64Var(&o.seed, "seed", 0, "of the random choices; 0: a new one, which is printed")
	flag.IntVar(&o.routes, "routes", 0, "further routes in the configuration")
	flag.IntVar(&o.plugins, "plugins", 0, "plugin records on the further routes, at most one each")
	flag.StringVar(&o.out, "out", "build/faults", "directory for the report and the log of the gateway")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "faults: found the argument %q, expected flags only\n", flag.Arg(0))
		os.Exit(2)
	}
	if o.plugins > o.routes {
		fmt.Fprintf(os.Stderr, "faults: found --plugins %d, expected at most --routes, %d\n", o.plugins, o.routes)
		os.Exit(2)
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	passed, err := run(ctx, &o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

// run does everything. What it started has ended when it returns.
func run(ctx context.Context, o *options) (passed bool, err error) {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return false, err
	}
	up, err := startUpstream()
	if err != nil {
		return false, err
	}
	defer up.close()
	g, err := startGateway(ctx, o, up)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	t := newTally()
	fmt.Printf("faults: %s with %d clients, seed %d\n", o.time, o.clients, o.seed)
	ctx, stop := context.WithTimeout(ctx, o.time)
	defer stop()
	load(ctx, o, g.address, t)
	reloading := make(chan struct{})
	go func() {
		defer close(reloading)
		g.reloadEverySecond(ctx, t)
	}()
	g.watchMemory(ctx, t)
	<-reloading
	t.wait()
	text, passed := t.report(o)
	fmt.Print(text)
	return passed, errors.Join(os.WriteFile(o.out+"/faults.md", []byte(text), 0o644), context.Cause(g.died))
}
