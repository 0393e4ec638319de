// Command faults loads a real gateway, with plugin servers in three languages on the path, while its upstreams misbehave, its clients abort, names move,
// plugin servers are killed and replaced, the configuration is reloaded every second and the program is upgraded. Every answer is judged: each byte says
// which request it is for, so that an answer to somebody else's request cannot pass. It ends with exit code 1 when an answer was wrong or crossed, a
// change failed, or something grew. See docs/faults.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	gateway, repo string
	time          time.Duration
	clients       int
	tunnels       int
	seed          uint64
	out           string
	json          bool
	// routes and plugins are further routes, and plugin records on them, that every reload brings anew.
	routes, plugins int
}

// shortest is the least time in which everything happens at least once.
const shortest = 10 * time.Second

func main() {
	o := options{}
	flag.StringVar(&o.gateway, "gateway", "bin/outrigger", "program of the gateway")
	flag.StringVar(&o.repo, "repo", ".", "root of the repository")
	flag.DurationVar(&o.time, "time", time.Minute, "how long")
	flag.IntVar(&o.clients, "clients", 32, "clients at the same time")
	flag.IntVar(&o.tunnels, "tunnels", 4, "WebSocket tunnels at the same time")
	flag.Uint64Var(&o.seed, "seed", 0, "of the random choices; 0: a new one, which is printed")
	flag.IntVar(&o.routes, "routes", 0, "further routes in the configuration")
	flag.IntVar(&o.plugins, "plugins", 0, "plugin records on the further routes, at most one each")
	flag.BoolVar(&o.json, "json", false, "print the report as JSON")
	flag.StringVar(&o.out, "out", "build/faults", "directory for the report, as a table and as JSON, and the log of the gateway")
	flag.Parse()
	if err := o.check(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
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

// check finds what is wrong with the flags.
func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("found the argument %q, expected flags only", rest[0])
	case o.plugins > o.routes || o.plugins < 0:
		return fmt.Errorf("found --plugins %d, expected 0 to the %d of --routes", o.plugins, o.routes)
	case o.time < shortest:
		return fmt.Errorf("found --time %v, expected at least %v", o.time, shortest)
	case o.clients < 1 || o.tunnels < 1:
		return fmt.Errorf("found --clients %d and --tunnels %d, expected at least 1 of each", o.clients, o.tunnels)
	}
	for _, needed := range []string{"bin/faults-go", ".venv/bin/python", "sdk-js/dist/index.js"} {
		if _, err := os.Stat(filepath.Join(o.repo, needed)); err != nil {
			return fmt.Errorf("%w; make faults builds it", err)
		}
	}
	if _, err := os.Stat(o.gateway); err != nil {
		return fmt.Errorf("the gateway: %w; make build builds it", err)
	}
	return nil
}

// run does everything. What it started has ended when it returns.
func run(ctx context.Context, o *options) (passed bool, err error) {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return false, err
	}
	t := newTally()
	up, err := startUpstream(t.found)
	if err != nil {
		return false, err
	}
	defer up.close()
	g, err := startGateway(ctx, o, up)
	if err != nil {
		return false, err
	}
	if !o.json {
		fmt.Printf("faults: %s with %d clients, seed %d\n", o.time, o.clients, o.seed)
	}
	r := &report{Command: strings.Join(os.Args, " "), Commit: commit(o.repo), Started: time.Now(), Clients: o.clients, Tunnels: o.tunnels, Seed: o.seed, Problems: []string{}, Details: []string{}}
	err = g.endure(ctx, o, t, r)
	r.Seconds = time.Since(r.Started).Seconds()
	if err := errors.Join(err, g.close()); err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	if ctx.Err() != nil {
		r.Problems = append(r.Problems, "interrupted")
	}
	r.conclude(t)
	if o.json {
		text, err := r.json()
		if err != nil {
			return false, err
		}
		fmt.Print(string(text))
	} else {
		fmt.Print(r.markdown())
	}
	return r.Passed, r.write(o.out)
}

// endure loads the gateway for the time of the options, and looks before and after at what it uses.
func (g *gateway) endure(ctx context.Context, o *options, t *tally, r *report) (err error) {
	if r.Before, err = g.footprintOf(); err != nil {
		return err
	}
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(g.died, stop)()
	t.begun = time.Now()
	load(loaded, o, g.address, t)
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		defer stop()
		(&operator{g: g, t: t}).work(loaded, o.time)
	}()
	g.watch(loaded, t, o.time)
	<-worked
	t.wait()
	if g.died.Err() != nil {
		return context.Cause(g.died)
	}
	if ctx.Err() != nil {
		return nil // interrupted, which the report says
	}
	all, err := g.admin.servers()
	if err != nil {
		return err
	}
	for _, s := range all {
		r.Fused += s.Fused.Calls
	}
	r.After, err = g.settle(ctx, r.Before)
	return err
}

// commit names what the repository holds.
func commit(repo string) string {
	out, err := exec.Command("git", "-C", repo, "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
