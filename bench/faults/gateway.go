package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Times of the gateway and of this program with it.
const (
	readTimeout = time.Second      // of the gateway, for its upstreams
	startLimit  = 20 * time.Second // until it listens
	stopLimit   = 20 * time.Second // for it to end in order
	reloadLimit = 10 * time.Second // until a reload shows
)

// gateway is the process under test.
type gateway struct {
	cmd     *exec.Cmd
	dir     string
	address string
	up      *upstream
	names   *nameServer
	log     *os.File
	// more are the further routes of the configuration.
	more  []map[string]any
	ended chan struct{}
	// died ends, with its cause, when the process does before it should.
	died context.Context
	stop context.CancelCauseFunc
}

// startGateway starts the gateway and waits for its address.
func startGateway(ctx context.Context, o *options, up *upstream) (_ *gateway, err error) {
	g := &gateway{up: up, ended: make(chan struct{})}
	g.died, g.stop = context.WithCancelCause(context.Background())
	if g.names, err = startNameServer(); err != nil {
		return nil, err
	}
	if g.dir, err = os.MkdirTemp("", "faults-"); err != nil {
		g.names.close()
		return nil, err
	}
	for i := range o.routes {
		route := map[string]any{"name": fmt.Sprintf("more-%d", i), "paths": []string{fmt.Sprintf("/more/%d/", i)}}
		if i < o.plugins {
			route["plugins"] = []any{map[string]any{"name": "request-termination", "config": map[string]any{"status_code": 404}}}
		}
		g.more = append(g.more, route)
	}
	if err := g.launch(ctx, o); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func (g *gateway) launch(ctx context.Context, o *options) error {
	settings := map[string]any{
		"proxy_listen": "127.0.0.1:0", "admin_listen": "off", "run_dir": filepath.Join(g.dir, "run"), "declarative_config": "gateway.yaml",
		"dns_resolver": []string{g.names.address()}, "log_level": "warn", "drain_timeout": "2s",
	}
	text, err := json.MarshalIndent(settings, "", "  ") // JSON is YAML
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(filepath.Join(g.dir, "outrigger.yaml"), text, 0o600), g.configure(0), os.Mkdir(filepath.Join(g.dir, "run"), 0o700)); err != nil {
		return err
	}
	if g.log, err = os.Create(filepath.Join(o.out, "gateway.log")); err != nil {
		return err
	}
	g.cmd = exec.Command(o.gateway, "run", "--settings", filepath.Join(g.dir, "outrigger.yaml"))
	g.cmd.Stderr = g.log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := g.cmd.Start(); err != nil {
		return err
	}
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		first, _ := r.ReadString('\n')
		line <- first
		_, _ = io.Copy(io.Discard, r)
		err := g.cmd.Wait()
		g.stop(fmt.Errorf("the gateway ended by itself: %w; its log is %s", errors.Join(err, errors.New(g.cmd.ProcessState.String())), g.log.Name()))
		close(g.ended)
	}()
	select {
	case first := <-line:
		_, address, found := strings.Cut(strings.TrimSpace(first), " is ready on ")
		if !found {
			return fmt.Errorf("the gateway said %q, expected a line with its address; its log is %s", first, g.log.Name())
		}
		g.address = address
		return nil
	case <-time.After(startLimit):
		return fmt.Errorf("the gateway did not listen within %v; its log is %s", startLimit, g.log.Name())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// configure writes the entities; the answer of /generation/ tells the number.
func (g *gateway) configure(generation int) error {
	type object = map[string]any
	service := func(name, host string, routes ...object) object {
		return object{
			"name": name, "host": host, "port": g.up.port, "retries": 1, "read_timeout": readTimeout.Milliseconds(), "connect_timeout": 2000,
			"write_timeout": 5000, "routes": routes,
		}
	}
	entities := object{
		"_format_version": "3.0",
		"services": []object{
			service("steady", addresses[0], object{"name": "steady", "hosts": []string{"faults.test"}, "paths": []string{"/"}, "strip_path": false}),
			service("moving", movingName, object{"name": "moving", "hosts": []string{movingName}, "paths": []string{"/"}, "strip_path": false}),
		},
		"routes": append([]object{{
			"name": "generation", "paths": []string{"/generation/"},
			"plugins": []object{{"name": "request-termination", "config": object{"status_code": 200, "message": strconv.Itoa(generation)}}},
		}}, g.more...),
	}
	text, err := json.MarshalIndent(entities, "", "  ")
	if err != nil {
		return err
	}
	written := filepath.Join(g.dir, "gateway.yaml.new")
	return errors.Join(os.WriteFile(written, text, 0o600), os.Rename(written, filepath.Join(g.dir, "gateway.yaml")))
}

// reloadEverySecond changes the configuration, has it read, waits until it shows, and moves the name every few times.
func (g *gateway) reloadEverySecond(ctx context.Context, t *tally) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if n%5 == 0 {
			t.nameMoved(g.names.move())
		}
		took, err := g.reload(ctx, n)
		if ctx.Err() != nil || g.died.Err() != nil {
			return
		}
		t.mu.Lock()
		t.reloads = append(t.reloads, took)
		if err != nil {
			t.refused = append(t.refused, err.Error())
		}
		t.mu.Unlock()
	}
}

// reload has a new configuration read. took is the time from the signal until requests see it.
func (g *gateway) reload(ctx context.Context, n int) (took time.Duration, err error) {
	if err := g.configure(n); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return 0, err
	}
	shown := ""
	for late := time.Now().Add(reloadLimit); time.Now().Before(late) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + g.address + "/generation/")
		if err != nil {
			shown = err.Error()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if shown = string(body); err == nil && strings.Contains(shown, `"`+strconv.Itoa(n)+`"`) {
			return time.Since(begun), nil
		}
	}
	return time.Since(begun), fmt.Errorf("reload %d did not show within %v: %.200q", n, reloadLimit, shown)
}

// watchMemory takes samples until ctx ends.
func (g *gateway) watchMemory(ctx context.Context, t *tally) {
	deadline, _ := ctx.Deadline()
	tick := time.NewTicker(max(time.Until(deadline)/30, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if mb, err := g.resident(); err == nil {
				t.mu.Lock()
				t.memory = append(t.memory, sample{time.Since(t.begun), mb})
				t.mu.Unlock()
			}
		case <-ctx.Done():
			return
		case <-g.died.Done():
			return
		}
	}
}

// resident is the resident memory in MB.
func (g *gateway) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	return float64(pages*os.Getpagesize()) / 1e6, err
}

// close ends the gateway in order. An error is one of it.
func (g *gateway) close() error {
	var err error
	if g.cmd != nil && g.cmd.Process != nil && g.died.Err() == nil {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.ended:
			if code := g.cmd.ProcessState.ExitCode(); code != 0 {
				err = fmt.Errorf("the gateway ended with code %d; its log is %s", code, g.log.Name())
			}
		case <-time.After(stopLimit):
			err = fmt.Errorf("the gateway did not end within %v", stopLimit)
			_ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
			<-g.ended
		}
	}
	g.names.close()
	if g.log != nil {
		_ = g.log.Close()
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// A name that moves between the addresses of the upstream.
const (
	movingName = "moving.test"
	nameTTL    = time.Second
	nameGrace  = 2 * time.Second // for requests that were on their way, and a resolver that answers from its cache while it asks
)

// nameServer answers for the moving name.
type nameServer struct {
	conn net.PacketConn
	at   chan int // holds the index of the address
	done chan struct{}
}
