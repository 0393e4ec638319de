package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/internal/cpuprofile"
)

// gateway is one variant, running.
type gateway struct {
	variant  *Variant
	request  *Request
	host     *process
	upstream *process
	// servers are the processes that the host started, when it was ready.
	servers []int
	pinned  []string
	// profiles are the files that a CPU profile is written to: of the host, and of a plugin server that is written in Go; empty: none.
	hostProfile, serverProfile string
	binaries                   string
}

var notInFileNames = regexp.MustCompile(`[^a-z0-9]+`)

// fileName makes a name of words with dashes.
func fileName(parts ...string) string {
	return strings.Trim(notInFileNames.ReplaceAllString(strings.ToLower(strings.Join(parts, " ")), "-"), "-")
}

// startGateway starts the host and plugin server of a variant in a directory of their own.
func (r *runner) startGateway(ctx context.Context, s *Scenario, v *Variant, upstream *process) (*gateway, error) {
	dir := filepath.Join(r.scratch, fileName(s.Name, v.Name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	g := &gateway{variant: v, request: &s.Request, upstream: upstream, pinned: pinned(s.CPUs), binaries: filepath.Join(r.root, "bin")}
	var env []string
	serverEnv := map[string]string{}
	if r.profiles != "" {
		g.hostProfile = filepath.Join(r.profiles, fileName(s.Name, v.Name)+"-host.pprof")
		g.serverProfile = filepath.Join(r.profiles, fileName(s.Name, v.Name)+"-server.pprof")
		env = append(env, cpuprofile.Env+"="+g.hostProfile)
		serverEnv[cpuprofile.Env] = g.serverProfile
	}
	settings, config, err := v.files(dir, r.root, upstream.address, serverEnv)
	if err != nil {
		return nil, err
	}
	args := slices.Concat(g.pinned, []string{
		filepath.Join(g.binaries, "benchhost"), "--settings", settings, "--config", config, "--native", strings.Join(v.Native, ","),
	})
	if g.host, err = launch(ctx, fmt.Sprintf("gateway %q", v.Name), dir, env, args...); err != nil {
		return nil, err
	}
	if g.servers, err = descendants(g.host.pid()); err != nil {
		return nil, errors.Join(err, g.host.stop())
	}
	return g, nil
}

// pinned is the start of a command line that binds a program to processors.
func pinned(cpus string) []string {
	if cpus == "" {
		return nil
	}
	return []string{"taskset", "--cpu-list", cpus}
}

func (g *gateway) url(path string) string { return "http://" + g.host.address + path }

// probe sends one request and checks that the plugins did their work, on the response and on the request that the upstream got.
func (g *gateway) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url("/bench/echo"), nil)
	if err != nil {
		return err
	}
	for name, value := range g.request.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", g.host.name, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", g.host.name, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: found status %d with %q, expected 200\n%s", g.host.name, res.StatusCode, body, g.host.tail())
	}
	return errors.Join(
		missing(g.host.name+": response", g.variant.Response, func(name string) string { return res.Header.Get(name) }),
		missing(g.host.name+": request at the upstream", g.variant.Upstream, func(name string) string { return headOf(body, name) }),
	)
}

// missing compares headers with those that are expected.
func missing(where string, expected map[string]string, found func(name string) string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		if value := found(name); value != expected[name] {
			errs = append(errs, fmt.Errorf("%s: header %s: found %q, expected %q", where, name, value, expected[name]))
		}
	}
	return errors.Join(errs...)
}

// headOf finds a header in the head of a request; empty if it is not there.
func headOf(head []byte, name string) string {
	for line := range bytes.Lines(head) {
		n, value, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		if ok && textproto.CanonicalMIMEHeaderKey(n) == textproto.CanonicalMIMEHeaderKey(name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// drive sends requests for a time.
func (g *gateway) drive(ctx context.Context, connections int, d time.Duration) (load, error) {
	return wrk(ctx, g.pinned, g.url(g.request.Path), g.request.Headers, connections, d)
}

// measure takes one sample. Trouble of the gateway is in the sample; the error says that the run cannot go on.
func (g *gateway) measure(ctx context.Context, round, connections int, d time.Duration) (Sample, error) {
	s := Sample{Round: round}
	before, err := g.usage()
	if err != nil {
		s.Problem = err.Error()
		return s, ctx.Err()
	}
	began := time.Now()
	l, err := g.drive(ctx, connections, d)
	if ctx.Err() != nil {
		return s, ctx.Err()
	}
	took := time.Since(began)
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	s.Requests, s.PerSecond, s.Errors = l.Requests, l.PerSecond, l.Errors
	s.P50, s.P99 = microseconds(l.P50), microseconds(l.P99)
	after, err := g.usage()
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	if !slices.Equal(before.serverPIDs, after.serverPIDs) {
		s.Problem = "a plugin server was restarted"
	}
	n := float64(l.Requests)
	s.HostCPU = microseconds(after.host-before.host) / n
	s.ServerCPU = microseconds(after.servers-before.servers) / n
	s.UpstreamCPU = microseconds(after.upstream-before.upstream) / n
	s.LoadCPU = microseconds(l.CPU) / n
	s.Others = othersPart(before, after, l.CPU, took)
	return s, nil
}

// usage reads the processor times and refuses a gateway whose processes are not those that it started with.
func (g *gateway) usage() (usage, error) {
	if err := errors.Join(g.host.running(), g.upstream.running()); err != nil {
		return usage{}, err
	}
	u, err := readUsage(g.host.pid(), g.upstream.pid())
	if err == nil && !slices.Equal(u.serverPIDs, g.servers) {
		err = errors.New("a plugin server was restarted")
	}
	return u, err
}

// othersPart is the part of the machine's time between two moments that went to others: to programs that are not of the benchmark, or to other
// machines. Interrupts belong to nobody.
func othersPart(before, after usage, load, took time.Duration) float64 {
	ours := after.host - before.host + after.servers - before.servers + after.upstream - before.upstream + load
	busy := after.machine.Busy - before.machine.Busy
	steal := after.machine.Steal - before.machine.Steal
	whole := busy + steal + after.machine.Idle - before.machine.Idle
	if whole <= 0 || took <= 0 {
		return 0
	}
	return max(0, float64(busy-ours+steal)/float64(whole))
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// profile takes CPU profiles of the host, and of its plugin server if that is written in Go, under load.
func (g *gateway) profile(ctx context.Context, connections int, d time.Duration) error {
	pids := []int{g.host.pid()}
	files := []string{g.hostProfile}
	for _, pid := range g.servers {
		exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
		if err == nil && exe == filepath.Join(g.binaries, "benchplugins") {
			pids, files = append(pids, pid), append(files, g.serverProfile)
		}
	}
	toggle := func() error {
		var errs []error
		for _, pid := range pids {
			errs = append(errs, syscall.Kill(pid, syscall.SIGUSR1))
		}
		return errors.Join(errs...)
	}
	if err := toggle(); err != nil {
		return fmt.Errorf("%s: starting the CPU profile: %w", g.host.name, err)
	}
	_, err := g.drive(ctx, connections, d)
	if err := errors.Join(err, toggle()); err != nil {
		return fmt.Errorf("%s: taking the CPU profile: %w", g.host.name, err)
	}
	for _, f := range files {
		if err := awaitFile(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// awaitFile waits until a program has written a file.
func awaitFile(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("profile %s did not appear: %w", path, ctx.Err())
		}
	}
}
