package examples

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// attached is a plugin server that the test runs itself.
type attached struct {
	cmd   *exec.Cmd
	out   bytes.Buffer // both streams; read it after the end
	ended chan struct{}
}

// attach starts a plugin server of the examples at an address.
func attach(t *testing.T, lang, address string) *attached {
	t.Helper()
	dir := filepath.Join(built.repo, "examples", lang)
	return attachCommand(t, lang, address, append(serverCommand(lang, built.goExamples, dir), "--listen", address))
}

// attachCommand starts a plugin server that listens at an address.
func attachCommand(t *testing.T, lang, address string, args []string) *attached {
	t.Helper()
	a := &attached{cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	a.cmd.Env = environment(built.temp)
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	a.cmd.Stdout, a.cmd.Stderr = &a.out, &a.out
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = a.cmd.Wait() // the exit code is in ProcessState
		close(a.ended)
	}()
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill()
		<-a.ended
		if t.Failed() {
			t.Logf("%s server at %s wrote:\n%s", lang, address, a.out.String())
		}
	})
	return a
}

// end sends a signal and waits for the end.
func (a *attached) end(t *testing.T, s syscall.Signal) int {
	t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.ended:
	case <-time.After(patience):
		t.Fatalf("the plugin server does not end within %v after %v", patience, s)
	}
	return a.cmd.ProcessState.ExitCode()
}

// A server that somebody else runs: it may come after the gateway, go in order or by force, and come back; each time every route gets its own
// configuration. The gateway never ends it.
func TestLesson19AttachedServerComesAndGoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lang, network, carrier string }{
		{"go", "unix", "msgpack"}, {"go", "tcp", "msgpack"}, {"go", "tcp", "grpc"}, {"python", "unix", "msgpack"}, {"python", "unix", "grpc"}, {"js", "unix", "msgpack"}, {"js", "unix", "grpc"},
	} {
		t.Run(c.lang+" "+c.network+" "+c.carrier, func(t *testing.T) {
			t.Parallel()
			testAttached(t, c.lang, c.network, c.carrier)
		})
	}
}

// A server with two addresses: each is told to end in turn, under load. No request fails.
func TestAttachedDrain(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		for _, carrier := range carriers {
			t.Run(l.name+" "+carrier, func(t *testing.T) {
				t.Parallel()
				testAttachedDrain(t, l, carrier)
			})
		}
	}
}

func testAttachedDrain(t *testing.T, l language, carrier string) {
	var addresses []string
	var servers []*attached
	for range 2 {
		dir, err := os.MkdirTemp(built.temp, "s")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, "unix://"+filepath.Join(dir, "plugins.sock"))
		servers = append(servers, attach(t, l.name, addresses[len(addresses)-1]))
	}
	up := echoUpstream(t)
	s := server{"name": "own", "address": addresses, "carrier": carrier, "start_timeout": "30s", "timeout": "30s"}
	g := launch{
		late: true, settings: settings{"plugin_servers": []server{s}},
		entities: routes(up.URL, route("/x", "{name: hello-"+l.name+", config: {greeting: hi}}")),
	}.start(t)
	ready := 0 // lines of the log that say that an address is ready
	serves := func(more int) {
		t.Helper()
		ready += more
		eventually(t, startPatience, "both addresses to be ready", func() (bool, string) {
			n := 0
			for _, line := range g.log.since(0) {
				if line.has("msg", "plugin server is ready") && line["process"] != nil { // not the line about the whole server
					n++
				}
			}
			return n >= ready, fmt.Sprint(n, " of ", ready)
		})
	}
	serves(2)
	eventually(t, startPatience, "the plugin to run", func() (bool, string) {
		a := g.get(t, "/x")
		return a.status == 200, a.String()
	})
	stop := make(chan struct{})
	var load sync.WaitGroup
	var sent, failed atomic.Int64
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				if a, err := g.do("GET", "/x", nil); err != nil || a.status != 200 || a.header.Get("X-Hello-"+l.suffix) == "" {
					failed.Add(1)
					t.Errorf("a request fails: %v %v", a, err)
					return
				}
			}
		})
	}
	for i := range 4 {
		before := sent.Load()
		eventually(t, patience, "requests", func() (bool, string) { return sent.Load() > before+50 || failed.Load() > 0, "too few" })
		if code := servers[i%2].end(t, syscall.SIGTERM); code != 0 {
			t.Errorf("the plugin server ended with code %d after SIGTERM, expected 0", code)
		}
		servers[i%2] = attach(t, l.name, addresses[i%2])
		serves(1)
	}
	close(stop)
	load.Wait()
	t.Logf("%d requests, %d failed", sent.Load(), failed.Load())
}

func testAttached(t *testing.T, lang, network, carrier string) {
	dir, err := os.MkdirTemp(built.temp, "s")
	if err != nil {
		t.Fatal(err)
	}
	address := "unix://" + filepath.Join(dir, "plugins.sock")
	if network == "tcp" {
		address = fmt.Sprintf("tcp://127.0.0.1:%d", freePort(t))
	}
	up := echoUpstream(t)
	var suffix string
	for _, l := range languages {
		if l.name == lang {
			suffix = l.suffix
		}
	}
	var list []string
	for i := range 3 {
		list = append(list, route(fmt.Sprintf("/%d", i), fmt.Sprintf("{name: hello-%s, config: {greeting: number %d}}", lang, i)))
	}
	s := server{"name": "own", "address": address, "carrier": carrier, "start_timeout": "2s", "timeout": "10s"}
	g := launch{late: true, settings: settings{"plugin_servers": []server{s}}, entities: routes(up.URL, list...)}.start(t)
	g.get(t, "/0").want(t, 503)

	serves := func() {
		t.Helper()
		for i := range 3 {
			path := fmt.Sprintf("/%d", i)
			eventually(t, startPatience, path+" to answer", func() (bool, string) {
				a := g.get(t, path)
				return a.status == 200, a.String()
			})
			g.get(t, path).want(t, 200).wantHeader(t, "X-Hello-"+suffix, fmt.Sprintf("number %d, world", i))
		}
	}
	own := attach(t, lang, address)
	serves()
	if network == "unix" {
		if info, err := os.Stat(filepath.Join(dir, "plugins.sock")); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("found the socket %v %v, expected one that its owner alone may use", info, err)
		}
	}
	if code := own.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the plugin server ended with code %d after SIGTERM, expected 0", code)
	}
	g.get(t, "/0").want(t, 500)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the plugin server left %v", entries)
	}
	own = attach(t, lang, address)
	serves()
	own.end(t, syscall.SIGKILL)
	eventually(t, patience, "the fail mode's answer", func() (bool, string) {
		a := g.get(t, "/1")
		return a.status == 500, a.String()
	})
	own = attach(t, lang, address) // over the socket file that the killed one left
	serves()

	g.signal(t, syscall.SIGTERM)
	if code := g.exit(t); code != 0 {
		t.Errorf("the gateway ended with code %d, expected 0", code)
	}
	select {
	case <-own.ended:
		t.Error("the gateway has ended a plugin server that it did not start")
	default:
	}
}
