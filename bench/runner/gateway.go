package runner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
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

	"github.com/outrigger-gateway/outrigger/bench/load"
	"github.com/outrigger-gateway/outrigger/bench/report"
	"github.com/outrigger-gateway/outrigger/bench/roles"
	"github.com/outrigger-gateway/outrigger/bench/roles/cpuprofile"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
	"github.com/outrigger-gateway/outrigger/bench/upstream"
)

// gateway is what serves one or several variants: a gateway process of ours with its plugin servers, or a peer with its agents.
type gateway struct {
	name    string
	address string
	// programs were started by the runner; the last one is the gateway.
	programs []*process
	// counts says that it is one of ours, which tells its allocations.
	counts bool
	// The processes before the first round: of the gateway itself, and of all plugin servers or agents.
	host, servers []int
	// profiles are the files that CPU profiles are written to, by process.
	hostProfile, serverProfile string
}

// subject is a variant that can be measured.
type subject struct {
	variant *scenario.Variant
	gateway *gateway
	prefix  string
	request *scenario.Request
	// failed says that a peer did not start, or does not do its work: its points are invalid, and the others are measured all the same.
	failed error
}

var notInFileNames = regexp.MustCompile(`[^a-z0-9]+`)

// fileName makes a name of words with dashes.
func fileName(parts ...string) string {
	return strings.Trim(notInFileNames.ReplaceAllString(strings.ToLower(strings.Join(parts, " ")), "-"), "-")
}

// startGateway starts a gateway of ours in a directory of its own.
func (r *Runner) startGateway(ctx context.Context, s *scenario.Scenario, group *scenario.Gateway, upstream string) (_ *gateway, err error) {
	name := group.Variants[0].Name
	dir := filepath.Join(r.scratch, fileName(s.Name, name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	g := &gateway{name: fmt.Sprintf("gateway %q", name), counts: true}
	var env []string
	e := scenario.Environment{Dir: dir, Upstream: upstream, Kits: r.kits, ServerEnv: map[string]string{}}
	if r.Profiles != "" {
		g.hostProfile = filepath.Join(r.Profiles, fileName(s.Name, name)+"-host.pprof")
		g.serverProfile = filepath.Join(r.Profiles, fileName(s.Name, name)+"-server.pprof")
		env = append(env, cpuprofile.Env+"="+g.hostProfile)
		e.ServerEnv[cpuprofile.Env] = g.serverProfile
	}
	settings, config, err := group.Files(e)
	if err != nil {
		return nil, err
	}
	args := r.role(s.CPUs, "gateway", "--settings", settings, "--config", config, "--native", strings.Join(group.Variants[0].Native, ","))
	p, err := start(program{name: g.name, dir: dir, args: args, env: env})
	if err != nil {
		return nil, err
	}
	g.programs = []*process{p}
	if g.address, err = p.line(ctx, roles.Ready, startTimeout); err != nil {
		if own := group.Variants[0].Own; own != nil {
			err = fmt.Errorf("%w\nits gateway.yaml is made from %s", err, own.Path())
		}
		return nil, errors.Join(err, p.stop())
	}
	return g, nil
}

// look finds the processes. Of a gateway of ours what it has started are plugin servers; a peer's last program is the gateway, with all that it
// has started, and the others are agents.
func (g *gateway) look() error {
	g.host, g.servers = nil, nil
	for i, p := range g.programs {
		below, err := descendants(p.pid())
		if err != nil {
			return err
		}
		switch {
		case g.counts:
			g.host, g.servers = []int{p.pid()}, below
		case i == len(g.programs)-1:
			g.host = append(below, p.pid())
		default:
			g.servers = append(g.servers, append(below, p.pid())...)
		}
	}
	return nil
}

// stop ends its programs, the gateway first.
func (g *gateway) stop() error {
	var errs []error
	for _, p := range slices.Backward(g.programs) {
		errs = append(errs, p.stop())
	}
	for _, pid := range g.servers {
		if err := gone(pid, 5*time.Second); err != nil {
			errs = append(errs, fmt.Errorf("%s left %w", g.name, err))
		}
	}
	return errors.Join(errs...)
}

// gone waits until a process has ended.
func gone(pid int, within time.Duration) error {
	for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		if load.ProcessCPU(pid) < 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d behind", pid)
		}
	}
}

// running says why one of its programs does not run any more, if so.
func (g *gateway) running() error {
	var errs []error
	for _, p := range g.programs {
		errs = append(errs, p.running())
	}
	return errors.Join(errs...)
}

// complaint is the first line of its log that says that a plugin failed; "" when none did. A failure may be let through: the answers do not show it.
func (g *gateway) complaint() string {
	if !g.counts {
		return ""
	}
	log, err := os.ReadFile(g.programs[0].log)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte("plugin failed")) {
			return string(bytes.TrimSpace(line))
		}
	}
	return ""
}

// allocations that the host has made so far; 0 for a peer, which does not tell.
func (g *gateway) allocations(ctx context.Context) (float64, error) {
	if !g.counts {
		return 0, nil
	}
	p := g.programs[len(g.programs)-1]
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return 0, fmt.Errorf("%s: %w", g.name, err)
	}
	text, err := p.line(ctx, roles.Allocations, 10*time.Second)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// probe sends one request with a body like those of a load, and checks that the plugins did their work, on the response and on the request that
// the upstream got. It returns the status and, when the upstream's answer has a fixed length, that.
func (s *subject) probe(ctx context.Context, l scenario.Load) error {
	var errs []error
	if len(s.variant.Proof.Response) > 0 || s.variant.Own != nil || l.Response >= 0 {
		res, _, err := s.ask(ctx, s.request.Bytes(s.gateway.address, s.prefix, l))
		if err != nil {
			return err
		}
		errs = append(errs, s.missing("response", s.variant.Proof.Response, l, res.Header.Get))
	}
	if s.variant.Own != nil {
		return errors.Join(errs...)
	}
	echo := *s.request
	echo.Path = upstream.EchoPath
	echoed := l
	echoed.Response = -1
	_, head, err := s.ask(ctx, echo.Bytes(s.gateway.address, s.prefix, echoed))
	if err != nil {
		return err
	}
	return errors.Join(append(errs, s.missing("request at the upstream", s.variant.Proof.Upstream, l, func(name string) string { return headOf(head, name) }))...)
}

// ask sends a whole request over a connection of its own.
func (s *subject) ask(ctx context.Context, request []byte) (*http.Response, []byte, error) {
	where := fmt.Sprintf("variant %q", s.variant.Name)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.gateway.address)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", where, err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	res, body, err := exchange(conn, request)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", where, errors.Join(err, s.gateway.running()))
	}
	if res.StatusCode != http.StatusOK {
		hint := ""
		if s.variant.Own != nil && res.StatusCode < http.StatusInternalServerError {
			hint = "; say with --request and -H what your configuration lets through"
		}
		return nil, nil, fmt.Errorf("%s: found status %d with %.200q, expected 200%s%s", where, res.StatusCode, body, hint, s.gateway.programs[0].tail())
	}
	return res, body, nil
}

func exchange(conn net.Conn, request []byte) (*http.Response, []byte, error) {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(request)
		sent <- err
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer: %w", err)
	}
	return res, body, <-sent
}

// missing compares headers with those that are expected.
func (s *subject) missing(where string, expected map[string]string, l scenario.Load, found func(name string) string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		want := strings.NewReplacer("${BODY}", strconv.Itoa(max(0, l.Body)), "${RESPONSE}", strconv.Itoa(responseLength(l))).Replace(expected[name])
		if value := found(name); value != want {
			errs = append(errs, fmt.Errorf("variant %q: %s: header %s: found %q, expected %q: the plugin did not do its work", s.variant.Name, where, name, value, want))
		}
	}
	return errors.Join(errs...)
}

// responseLength is the length of the upstream's answer.
func responseLength(l scenario.Load) int {
	if l.Response >= 0 {
		return l.Response
	}
	return upstream.Size
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

// spec is the order for the load generator.
func (s *subject) spec(l scenario.Load, warm, d time.Duration) load.Spec {
	spec := load.Spec{
		Address: s.gateway.address, Request: s.request.Bytes(s.gateway.address, s.prefix, l), Connections: l.Connections, Rate: float64(l.Rate),
		Warm: warm, Time: d, Status: http.StatusOK, Body: int64(responseLength(l)),
	}
	if s.variant.Own != nil {
		spec.Body = -1 // his plugins and his upstream may answer what they like
	}
	return spec
}

// used adds up the processor time of some of the watched processes.
func used(times []time.Duration, what string) (time.Duration, error) {
	var sum time.Duration
	for _, t := range times {
		if t < 0 {
			return 0, fmt.Errorf("%s was restarted, or has ended", what)
		}
		sum += t
	}
	return sum, nil
}

// measure takes one sample. Trouble of the gateway is in the sample; the error says that the run cannot go on.
func (s *subject) measure(ctx context.Context, gen *generator, upstreamPID, round int, l scenario.Load, warm, d time.Duration) (report.Sample, error) {
	x := report.Sample{Round: round}
	problem := func(err error) (report.Sample, error) {
		x.Problem = err.Error()
		return x, context.Cause(ctx)
	}
	if s.failed != nil {
		return problem(s.failed)
	}
	if err := s.gateway.running(); err != nil {
		return problem(err)
	}
	g := s.gateway
	spec := s.spec(l, warm, d)
	spec.Watch = slices.Concat(g.host, g.servers, []int{upstreamPID})
	var before, after machineCPU
	var errs [2]error
	allocated, err := g.allocations(ctx)
	if err != nil {
		return problem(err)
	}
	found, err := gen.drive(ctx, spec, func() { before, errs[0] = readMachineCPU() }, func() { after, errs[1] = readMachineCPU() })
	if err != nil {
		return problem(errors.Join(err, g.running()))
	}
	x.Requests, x.Errors = found.Requests, found.Errors
	host, err := used(found.Used[:len(g.host)], "the gateway")
	servers, err2 := used(found.Used[len(g.host):len(g.host)+len(g.servers)], "a plugin server")
	up, err3 := used(found.Used[len(g.host)+len(g.servers):], "the upstream")
	allocatedNow, err4 := g.allocations(ctx)
	if err := errors.Join(err, err2, err3, err4, errs[0], errs[1]); err != nil {
		return problem(err)
	}
	if found.Requests == 0 {
		return problem(errors.New("no request was answered"))
	}
	n := float64(found.Requests)
	x.Values = map[string]float64{
		report.PerSecond: found.PerSecond,
		report.P50:       microseconds(found.P50), report.P90: microseconds(found.P90), report.P99: microseconds(found.P99),
		report.P999: microseconds(found.P999), report.Max: microseconds(found.Max),
		report.HostCPU: microseconds(host) / n, report.ServerCPU: microseconds(servers) / n, report.CPU: microseconds(host+servers) / n,
		report.UpstreamCPU: microseconds(up) / n, report.LoadCPU: microseconds(found.CPU) / n,
	}
	if s.gateway.counts {
		x.Values[report.HostAllocs] = (allocatedNow - allocated) / float64(found.Answered)
	}
	x.Others = others(before, after, host+servers+up+found.CPU)
	if external := len(s.variant.Servers) > 0 || s.variant.Peer != nil && len(g.servers) > 0; external && servers <= 0 {
		x.Problem = "the plugin servers used no processor time: no plugin was called"
	}
	return x, context.Cause(ctx)
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
