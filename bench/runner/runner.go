// Package runner runs scenarios: it starts the processes, takes the samples in interleaved rounds, and checks before and after that the plugins
// do their work.
package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/report"
	"github.com/outrigger-gateway/outrigger/bench/roles"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
)

// Runner runs scenarios, one after the other.
type Runner struct {
	// Program is this program, which plays the roles of package roles.
	Program string
	// Cache is the directory of what is prepared once: plugin directories with their environments, and peers.
	Cache string
	// Rounds are interleaved; Sample is the length of one measurement, WarmUp that of the load on every variant before the first round.
	Rounds         int
	Sample, WarmUp time.Duration
	// IdleFor is how long connections are idle before memory is read: the gateway has to notice it, and gives memory back after a while.
	IdleFor time.Duration
	// Profiles is where CPU profiles go, empty: none are taken; Profile is the length of one.
	Profiles string
	Profile  time.Duration
	// Prepare makes a plugin directory ready and returns the command that serves it; SDK tells one SDK package of a language from another.
	Prepare func(ctx context.Context, dir string, out io.Writer) (command []string, err error)
	SDK     func(language string) (string, error)
	// Progress takes what is done meanwhile.
	Progress io.Writer

	scratch string // a directory for the files of this run
	kits    map[string][]string
	peers   []*readyPeer
	skipped []string
}

// settle is the load before each measurement that is not counted, so that what the other variants left in caches is gone.
const settle = 150 * time.Millisecond

// Open prepares what the scenarios need. Close it in any case.
func (r *Runner) Open(ctx context.Context, scenarios []*scenario.Scenario, peers []scenario.Peer) error {
	var err error
	if r.scratch, err = os.MkdirTemp("", "outrigger-bench-"); err != nil {
		return err
	}
	if err := os.Chmod(r.scratch, 0o755); err != nil { // peers may run as users of their own
		return err
	}
	if r.Profiles != "" {
		if err := os.MkdirAll(r.Profiles, 0o755); err != nil {
			return err
		}
	}
	if err := r.prepareKits(ctx, scenarios); err != nil {
		return err
	}
	if slices.ContainsFunc(scenarios, func(s *scenario.Scenario) bool { return s.Peers }) {
		r.preparePeers(ctx, peers)
		for _, s := range scenarios {
			if s.Peers {
				for _, p := range r.peers {
					s.Variants = append(s.Variants, p.peer.Variants()...)
				}
			}
		}
	}
	return context.Cause(ctx)
}

// Close removes what belongs to this run alone.
func (r *Runner) Close() error {
	if r.scratch == "" {
		return nil
	}
	return os.RemoveAll(r.scratch)
}

// Skipped says what is not measured, and why.
func (r *Runner) Skipped() []string { return r.skipped }

// Estimate is about how long the scenarios take, once they are prepared.
func (r *Runner) Estimate(scenarios []*scenario.Scenario) time.Duration {
	const begin = 1500 * time.Millisecond
	var all time.Duration
	for _, s := range scenarios {
		variants := time.Duration(len(s.Variants))
		if s.Lanes { // a target and its echo for each, once more on one processor
			all += 4 * variants * time.Duration(len(s.Loads)*r.Rounds) * r.Sample
			continue
		}
		all += variants * (begin + r.WarmUp)
		all += variants * time.Duration(len(s.Loads)*r.Rounds) * (r.Sample + settle + 20*time.Millisecond)
		if r.Profiles != "" {
			all += variants * r.Profile
		}
		if s.Idle > 0 {
			all += r.IdleFor + 2*time.Second
		}
	}
	return all
}

// Run runs one scenario: all its variants are up at the same time, and one of them has load.
func (r *Runner) Run(ctx context.Context, s *scenario.Scenario) (_ report.Result, err error) {
	if s.Lanes {
		return r.lane(ctx, s)
	}
	r.say("%s: %s", s.Name, s.Question)
	up, err := start(program{name: "upstream", dir: r.scratch, args: r.role(s.CPUs, "upstream")})
	if err != nil {
		return report.Result{}, err
	}
	defer func() { err = errors.Join(err, up.stop()) }()
	address, err := up.line(ctx, roles.Ready, startTimeout)
	if err != nil {
		return report.Result{}, err
	}
	gen, err := r.startGenerator(s.CPUs)
	if err != nil {
		return report.Result{}, err
	}
	defer func() { err = errors.Join(err, gen.process.stop()) }()
	gateways, subjects, err := r.startAll(ctx, s, address)
	defer func() { err = errors.Join(err, stopAll(gateways)) }()
	if err != nil {
		return report.Result{}, err
	}
	return r.ask(ctx, s, subjects, gen, up.pid())
}

// ask proves, warms up, measures, and proves again.
func (r *Runner) ask(ctx context.Context, s *scenario.Scenario, subjects []*subject, gen *generator, upstreamPID int) (report.Result, error) {
	for _, x := range subjects {
		err := distinct(x.proves(ctx, s.Loads))
		if err != nil && x.variant.Peer == nil {
			return report.Result{}, err
		}
		for late := time.Now().Add(peerTime); err != nil && time.Now().Before(late) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			err = distinct(x.proves(ctx, s.Loads)) // it listens, and is not ready yet: Traefik
		}
		if x.failed = errors.Join(x.failed, err); x.failed != nil {
			r.say("%s: %v", s.Name, x.failed)
		}
	}
	hardest := slices.MaxFunc(s.Loads, func(a, b scenario.Load) int { return a.Connections - b.Connections })
	hardest.Rate = 0
	for _, x := range subjects {
		if x.failed != nil {
			continue
		}
		if _, err := gen.drive(ctx, x.spec(hardest, 0, r.WarmUp), func() {}, func() {}); err != nil {
			return report.Result{}, fmt.Errorf("warming up variant %q: %w", x.variant.Name, err)
		}
		if err := x.gateway.look(); err != nil {
			return report.Result{}, err
		}
	}
	samples, err := r.measure(ctx, s, subjects, gen, upstreamPID)
	if err != nil {
		return report.Result{}, err
	}
	if err := r.takeProfiles(ctx, s, subjects, gen, hardest); err != nil {
		return report.Result{}, err
	}
	if err := r.idle(ctx, s, subjects, gen, samples); err != nil {
		return report.Result{}, err
	}
	result := report.Summarise(s, samples)
	// What was proved before the first round must still hold after the last.
	for _, x := range subjects {
		for i, err := range x.proves(ctx, s.Loads) {
			if p := result.Find(x.variant.Name, s.Loads[i]); err != nil {
				p.Problems = append(p.Problems, "after the last round: "+err.Error())
			}
		}
		if x.gateway == nil {
			continue
		}
		if failed := x.gateway.complaint(); failed != "" {
			for _, l := range s.Loads {
				p := result.Find(x.variant.Name, l)
				p.Problems = append(p.Problems, "the log of the gateway has: "+failed)
			}
		}
	}
	return result, context.Cause(ctx)
}

// peerTime is how long a peer that listens may take until it does its work.
const peerTime = 10 * time.Second

// distinct joins errors, each once.
func distinct(errs []error) error {
	var list []error
	for _, err := range errs {
		if !slices.Contains(list, err) {
			list = append(list, err)
		}
	}
	return errors.Join(list...)
}

// proves probes a variant with the bodies of each load.
func (x *subject) proves(ctx context.Context, loads scenario.Loads) []error {
	errs := make([]error, len(loads))
	if x.failed != nil {
		return errs // its points say so already
	}
	known := map[[2]int]error{}
	for i, l := range loads {
		bodies := [2]int{l.Body, l.Response}
		if _, ok := known[bodies]; !ok {
			known[bodies] = x.probe(ctx, l)
		}
		errs[i] = known[bodies]
	}
	return errs
}

// startAll starts the gateways of a scenario, a few at a time. The gateways are to be stopped even when there is an error.
func (r *Runner) startAll(ctx context.Context, s *scenario.Scenario, upstream string) ([]*gateway, []*subject, error) {
	groups, err := s.Gateways()
	if err != nil {
		return nil, nil, err
	}
	started := make([]*gateway, len(groups))
	errs := make([]error, len(groups))
	var starting sync.WaitGroup
	places := make(chan struct{}, 4)
	for i := range groups {
		starting.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if groups[i].Variants[0].Peer != nil {
				started[i], errs[i] = r.startPeer(ctx, s, groups[i].Variants[0], upstream)
			} else {
				started[i], errs[i] = r.startGateway(ctx, s, &groups[i], upstream)
			}
		})
	}
	starting.Wait()
	subjects := map[*scenario.Variant]*subject{}
	var gateways []*gateway
	for i, g := range started {
		if v := groups[i].Variants[0]; v.Peer != nil && errs[i] != nil {
			subjects[v], errs[i] = &subject{variant: v, request: &s.Request, failed: errs[i]}, nil
		}
		if g == nil {
			continue
		}
		gateways = append(gateways, g)
		for _, v := range groups[i].Variants {
			subjects[v] = &subject{variant: v, gateway: g, prefix: groups[i].Prefix(v), request: &s.Request}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return gateways, nil, err
	}
	var list []*subject // in the order of the scenario
	for i := range s.Variants {
		list = append(list, subjects[&s.Variants[i]])
	}
	return gateways, list, nil
}

// measure takes the samples. A round measures every variant once under every load; the order of the variants turns from round to round, so that
// none always follows the same other.
func (r *Runner) measure(ctx context.Context, s *scenario.Scenario, subjects []*subject, gen *generator, upstreamPID int) (map[report.Key][]report.Sample, error) {
	samples := map[report.Key][]report.Sample{}
	for round := range r.Rounds {
		for _, l := range s.Loads {
			line := ""
			for i := range subjects {
				x := subjects[(i+round)%len(subjects)]
				found, err := x.measure(ctx, gen, upstreamPID, round+1, l, settle, r.Sample)
				if err != nil {
					return nil, err
				}
				k := report.Key{Variant: x.variant.Name, Load: l}
				samples[k] = append(samples[k], found)
				switch {
				case !found.Valid():
					line += fmt.Sprintf("  %s INVALID (%s%s)", x.variant.Name, found.Errors.String(), found.Problem)
				case l.Rate > 0:
					line += fmt.Sprintf("  %s p50 %.0f µs", x.variant.Name, found.Values[report.P50])
				default:
					line += fmt.Sprintf("  %s %.0f/s", x.variant.Name, found.Values[report.PerSecond])
				}
			}
			r.say("%s: round %d of %d, %s:%s", s.Name, round+1, r.Rounds, l, line)
		}
	}
	return samples, nil
}

// idle measures the memory of the first variant's host with idle connections, which no plugin knows of, and adds it to the samples of the first
// load.
func (r *Runner) idle(ctx context.Context, s *scenario.Scenario, subjects []*subject, gen *generator, samples map[report.Key][]report.Sample) error {
	if s.Idle == 0 {
		return nil
	}
	if err := allowsFiles(s.Idle); err != nil {
		r.skip("memory with %d idle connections: %v", s.Idle, err)
		return nil
	}
	x := subjects[0]
	spec := x.spec(scenario.Load{Connections: s.Idle, Body: -1, Response: -1}, 0, time.Second)
	err := gen.hold(ctx, spec, func() error {
		select {
		case <-time.After(r.IdleFor):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		memory, err := residentMemory(x.gateway.host)
		if err != nil {
			return err
		}
		mb := float64(memory) / 1e6
		r.say("%s: %s with %d idle connections: %.0f MB", s.Name, x.variant.Name, s.Idle, mb)
		for _, found := range samples[report.Key{Variant: x.variant.Name, Load: s.Loads[0]}] {
			if found.Values != nil {
				found.Values[report.IdleMemory] = mb
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("variant %q with %d idle connections: %w", x.variant.Name, s.Idle, err)
	}
	return nil
}

// allowsFiles says why the load generator and the gateway may not have so many connections. Go has raised the soft limit to the hard one already.
func allowsFiles(connections int) error {
	const spare = 256
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	if uint64(connections)+spare > limit.Cur {
		return fmt.Errorf("found a limit of %d open files, expected %d at least; raise it with ulimit -n", limit.Cur, connections+spare)
	}
	return nil
}

// stopAll ends gateways at the same time.
func stopAll(gateways []*gateway) error {
	errs := make([]error, len(gateways))
	var stopping sync.WaitGroup
	for i, g := range gateways {
		stopping.Go(func() { errs[i] = g.stop() })
	}
	stopping.Wait()
	return errors.Join(errs...)
}

func (r *Runner) say(format string, args ...any) {
	fmt.Fprintf(r.Progress, format+"\n", args...)
}
