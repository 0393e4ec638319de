package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/scenario"
)

// readyPeer is a peer that can be started.
type readyPeer struct {
	peer *scenario.Peer
	path string // PATH for its programs
}

// PeersFile is where a checkout keeps the peers, from its root.
const PeersFile = "bench/peers/peers.yaml"

// preparePeers installs what the peers need. One that cannot be had is skipped, with the reason.
func (r *Runner) preparePeers(ctx context.Context, peers []scenario.Peer) {
	if len(peers) == 0 {
		r.skip("the peers: found no %s; run it in a checkout", PeersFile)
		return
	}
	agents, err := r.buildAgents(ctx)
	if err != nil {
		r.skip("the peers: %v", err)
		return
	}
	for i := range peers {
		p := &peers[i]
		path := agents + ":/usr/sbin:" + os.Getenv("PATH")
		if len(p.Needs.Pip) > 0 {
			bin, err := r.install(ctx, p)
			if err != nil {
				r.skip("peer %s: %v", p.Name, err)
				continue
			}
			path = bin + ":" + path
		}
		if err := r.need(ctx, p, path); err != nil {
			r.skip("peer %s: %v", p.Name, err)
			continue
		}
		r.peers = append(r.peers, &readyPeer{p, path})
	}
}

func (r *Runner) skip(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.skipped = append(r.skipped, strings.TrimSpace(strings.Join(strings.Fields(text), " ")))
	r.say("skipped: %s", text)
}

// buildAgents builds the programs of the peers' module and returns their directory.
func (r *Runner) buildAgents(ctx context.Context) (string, error) {
	bin, err := filepath.Abs(filepath.Join(r.Cache, "peers", "bin"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin+"/", "./cmd/...")
	cmd.Dir = filepath.Dir(PeersFile)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building their agents: %w: %s", err, lastLine(out))
	}
	return bin, nil
}

// install makes a Python environment with the peer's packages, which bring its program, and returns where it is.
func (r *Runner) install(ctx context.Context, p *scenario.Peer) (string, error) {
	dir, err := filepath.Abs(filepath.Join(r.Cache, "peers", fileName(p.Needs.Pip...)))
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "bin")
	done := filepath.Join(dir, ".installed")
	if _, err := os.Stat(done); err == nil {
		return bin, nil
	}
	r.say("installing %s for peer %s, once", strings.Join(p.Needs.Pip, " "), p.Name)
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		slices.Concat([]string{filepath.Join(bin, "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, p.Needs.Pip),
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("installing %s: %w: %s", strings.Join(p.Needs.Pip, " "), err, lastLine(out))
		}
	}
	return bin, os.WriteFile(done, nil, 0o644)
}

// need looks for the commands of a peer, and installs Debian packages where that is possible and they are missing.
func (r *Runner) need(ctx context.Context, p *scenario.Peer, path string) error {
	missing := func() string {
		for _, command := range p.Needs.Commands {
			if _, err := lookIn(path, command); err != nil {
				return command
			}
		}
		return ""
	}
	command := missing()
	if command == "" {
		return nil
	}
	if len(p.Needs.Apt) == 0 || os.Getuid() != 0 {
		return fmt.Errorf("found no program %s; install %s", command, strings.Join(append(p.Needs.Apt, p.Needs.Pip...), " "))
	}
	r.say("installing %s for peer %s", strings.Join(p.Needs.Apt, " "), p.Name)
	for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-y", "-qq", "--no-install-recommends"}, p.Needs.Apt...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("installing %s: %w: %s", strings.Join(p.Needs.Apt, " "), err, lastLine(out))
		}
	}
	if command = missing(); command != "" {
		return fmt.Errorf("found no program %s after installing %s", command, strings.Join(p.Needs.Apt, " "))
	}
	return nil
}

// lookIn finds a program in a PATH.
func lookIn(path, command string) (string, error) {
	if strings.Contains(command, "/") {
		return command, nil
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, command)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("found no program %s in %s", command, path)
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// startPeer starts the programs of a peer: the agents first, and the gateway when their sockets and ports answer.
func (r *Runner) startPeer(ctx context.Context, s *scenario.Scenario, v *scenario.Variant, upstream string) (_ *gateway, err error) {
	i := slices.IndexFunc(r.peers, func(p *readyPeer) bool { return p.peer == v.Peer })
	path := r.peers[i].path
	dir, err := os.MkdirTemp(r.scratch, "peer-") // short: socket addresses end at 107 bytes
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	ports := map[string]string{}
	_, upstreamPort, err := net.SplitHostPort(upstream)
	if err != nil {
		return nil, err
	}
	var portErr error
	programs, err := v.Setup().Write(dir, func(name string) string {
		switch {
		case name == "DIR":
			return dir
		case name == "UPSTREAM":
			return upstream
		case name == "UPSTREAM_PORT":
			return upstreamPort
		case name == "PORT" || strings.HasPrefix(name, "PORT_"):
			if ports[name] == "" {
				ports[name], portErr = freePort()
			}
			return ports[name]
		}
		return ""
	})
	if err := errors.Join(err, portErr); err != nil {
		return nil, fmt.Errorf("peer %s: %w", v.Peer.Name, err)
	}
	g := &gateway{name: fmt.Sprintf("peer %q", v.Name), address: "127.0.0.1:" + ports["PORT"]}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.stop())
		}
	}()
	for n, words := range programs {
		if words[0], err = lookIn(path, words[0]); err != nil {
			return nil, err
		}
		p, err := start(program{
			name: fmt.Sprintf("%s, program %d, %s", v.Name, n+1, filepath.Base(words[0])), dir: dir, args: r.pinned(s.CPUs, words), env: []string{"PATH=" + path},
		})
		if err != nil {
			return nil, err
		}
		g.programs = append(g.programs, p)
		network, where := listensAt(words, n == len(programs)-1, g.address)
		if err := p.answers(ctx, network, where); err != nil {
			return nil, fmt.Errorf("peer %s: %w", v.Peer.Name, err)
		}
	}
	return g, nil
}

// listensAt finds where a program will listen: the gateway at its address, an agent where --listen says.
func listensAt(words []string, last bool, address string) (network, where string) {
	if last {
		return "tcp", address
	}
	for i, w := range words {
		if w == "--listen" && i+1 < len(words) {
			if path, ok := strings.CutPrefix(words[i+1], "unix:"); ok {
				return "unix", path
			}
			return "tcp", words[i+1]
		}
	}
	return "", ""
}

// answers waits until a program accepts connections.
func (p *process) answers(ctx context.Context, network, where string) error {
	if network == "" {
		return nil
	}
	late := time.Now().Add(startTimeout)
	for {
		conn, err := net.DialTimeout(network, where, time.Second)
		if err == nil {
			return conn.Close()
		}
		if ended := p.running(); ended != nil {
			return ended
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s does not answer at %s: %w%s", p.name, where, err, p.tail())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freePort finds a port of loopback that nobody listens on.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port), nil
}
