package lanebench

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	grpclane "github.com/outrigger-gateway/outrigger/host/internal/transport/grpc"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/msgpack"
	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

const (
	// startTime is how long a target may take to start.
	startTime = 10 * time.Second
	// echoEnv makes this program an echo at that path.
	echoEnv = "OUTRIGGER_LANEBENCH_ECHO"
)

// target is what is measured, as the command line says.
type target struct {
	name, kind string
	command    []string // of kind address: the address alone
}

func parseTarget(s string) (target, error) {
	name, rest, ok := strings.Cut(s, "=")
	kind, command, ok2 := strings.Cut(rest, ":")
	t := target{name: name, kind: kind, command: strings.Fields(command)}
	if !ok || !ok2 || name == "" || !slices.Contains([]string{"server", "address", "echo"}, kind) || len(t.command) == 0 && kind != "echo" {
		return t, fmt.Errorf("found %q; expected name=server:command, name=address:unix:///path or name=echo:command", s)
	}
	return t, nil
}

// peer is a target that runs, with a lane to it.
type peer struct {
	name     string
	lane     transport.Lane
	instance uint64
	entities entities
	pid      int
	ends     []func() // last one first
}

type entities struct{ route, service *wire.Entity }

func (p *peer) cpu() time.Duration { return cpuOf(p.pid) }

func (p *peer) end(f func()) { p.ends = append(p.ends, f) }

func (p *peer) stop() {
	for _, end := range slices.Backward(p.ends) {
		end()
	}
}

// open starts a target and opens a lane to it.
func (o *options) open(t target) (_ *peer, err error) {
	p := &peer{name: t.name, instance: 1}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if p.entities.route, err = wire.NewEntity(map[string]any{"id": "4f5ab1f6-6c3c-4a0e-8b2a-3c1d5f6e7a80", "name": "shop", "paths": []any{"/shop"}}); err != nil {
		return nil, err
	}
	if p.entities.service, err = wire.NewEntity(map[string]any{"id": "5e6bc2a7-7d4d-4b1f-9c3b-4d2e6a7f8b91", "name": "shop", "host": "shop.internal", "port": 80}); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lane")
	if err != nil {
		return nil, err
	}
	p.end(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	switch t.kind {
	case "echo":
		err = p.openEcho(ctx, t, filepath.Join(dir, "echo.sock"))
	case "server":
		var address string
		if address, err = p.start(ctx, t.command, dir); err == nil {
			err = o.openServer(ctx, p, address)
		}
	case "address":
		err = o.openServer(ctx, p, strings.TrimPrefix(t.command[0], "tcp://"))
	}
	if err != nil {
		return nil, err
	}
	p.end(func() { _ = p.lane.Close("done", "the measurement is over") })
	return p, nil
}

// openEcho starts an echo and opens a lane to it once it listens.
func (p *peer) openEcho(ctx context.Context, t target, address string) error {
	var cmd *exec.Cmd
	if len(t.command) > 0 {
		cmd = exec.Command(t.command[0], append(slices.Clone(t.command[1:]), address)...)
		cmd.Env = os.Environ()
	} else {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cmd = exec.Command(self, os.Args[1:]...)
		cmd.Env = append(os.Environ(), echoEnv+"="+address)
	}
	said, err := p.run(cmd)
	if err != nil {
		return err
	}
	if _, err := said.next(ctx); err != nil { // "ready", whatever its words
		return err
	}
	p.lane, err = msgpack.Dial(ctx, "unix", address, nil, transport.Options{})
	return err
}

// start starts a plugin server as the host does (docs/wire.md section 9) and gives the address of its control plane.
func (p *peer) start(ctx context.Context, command []string, dir string) (string, error) {
	lifeline, keep, err := os.Pipe()
	if err != nil {
		return "", err
	}
	p.end(func() { _ = keep.Close() })
	cmd := exec.Command(command[0], command[1:]...)
	cmd.ExtraFiles = []*os.File{lifeline}
	cmd.Env = append(os.Environ(), "OUTRIGGER_PLUGIN=82f1b1a5c0d94e1f", "PLUGIN_PROTOCOL_VERSIONS=1", "OUTRIGGER_RUN_DIR="+dir, "OUTRIGGER_LIFELINE_FD=3", "OUTRIGGER_SERVER=lanebench")
	said, err := p.run(cmd)
	_ = lifeline.Close()
	if err != nil {
		return "", err
	}
	for {
		line, err := said.next(ctx)
		if err != nil {
			return "", err
		}
		if parts := strings.Split(line, "|"); len(parts) >= 5 && parts[0] == "1" {
			return parts[2] + ":" + parts[3], nil
		}
	}
}

// lines are those that a program writes.
type lines chan string

func (l lines) next(ctx context.Context) (string, error) {
	select {
	case line, ok := <-l:
		if !ok {
			return "", errors.New("it ended before it was ready; its standard error says why")
		}
		return line, nil
	case <-ctx.Done():
		return "", fmt.Errorf("it is not ready after %s", startTime)
	}
}

// run starts a program in a group of its own, which ends with the peer.
func (p *peer) run(cmd *exec.Cmd) (lines, error) {
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe() // an echo ends with it
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	said, read := make(lines, 16), make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			select {
			case said <- s.Text():
			default: // nobody waits for so many
			}
		}
		close(said)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	p.end(func() {
		_ = stdin.Close()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-read
		_ = cmd.Wait()
	})
	return said, nil
}

// openServer configures an instance at a plugin server and opens a lane to it.
func (o *options) openServer(ctx context.Context, p *peer, address string) error {
	cc, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	p.end(func() { _ = cc.Close() })
	control := pluginv1.NewPluginServerClient(cc)
	is, err := control.Describe(ctx, &pluginv1.DescribeRequest{ProtocolVersion: wire.Version, MinProtocolVersion: wire.MinVersion}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("calling Describe: %w", err)
	}
	p.pid = cmp.Or(int(is.GetPid()), p.pid)
	if len(is.GetPlugins()) == 0 {
		return errors.New("it has no plugins")
	}
	configured, err := control.Configure(ctx, &pluginv1.ConfigureRequest{
		InstanceId: p.instance, Plugin: cmp.Or(o.plugin, is.GetPlugins()[0].GetName()), Config: []byte(o.config), RecordId: "6f7cd3b8-8e5e-4c2a-8d4c-5e3f7b8a9ca2",
	})
	if err != nil {
		return fmt.Errorf("calling Configure: %w", err)
	}
	for _, e := range configured.GetErrors() {
		return fmt.Errorf("it refuses the configuration: %s: %s", e.GetPath(), e.GetMessage())
	}
	if o.carrier == "grpc" {
		p.lane, err = grpclane.Open(ctx, cc, transport.Options{})
		return err
	}
	for _, d := range is.GetDataPlanes() {
		if d.GetCarrier() != "msgpack" {
			continue
		}
		where := d.GetAddress()
		if where == "" {
			where = address
		} else if host, _, err := net.SplitHostPort(address); err == nil && d.GetNetwork() == "tcp" && strings.HasPrefix(where, ":") {
			where = host + where
		}
		p.lane, err = msgpack.Dial(ctx, d.GetNetwork(), where, nil, transport.Options{Token: d.GetToken()})
		return err
	}
	return errors.New("it has no data plane of carrier msgpack")
}
