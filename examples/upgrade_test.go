package examples

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// upgraded waits until another process has taken over, and gives its process id. It is ended with the test.
func (g *gateway) upgraded(t *testing.T, mark int) int {
	t.Helper()
	pid := 0
	g.log.waitWithin(t, startPatience, mark, "a new process to take over", func(l line) bool {
		if l.text("msg") == "the upgrade failed, this process goes on" {
			t.Fatalf("the upgrade failed: %s", l.text("error"))
		}
		if l.text("msg") != "a new process has taken over; this one finishes its requests" {
			return false
		}
		n, _ := l["pid"].(float64)
		pid = int(n)
		return true
	})
	t.Cleanup(func() { endHeir(t, pid) })
	return pid
}

// endHeir ends a process that has become a child of the tests, if nobody has, and looks at how it ended.
func endHeir(t *testing.T, pid int) {
	t.Helper()
	if len(running([]int{pid})) > 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	eventually(t, startPatience, fmt.Sprintf("process %d to end", pid), func() (bool, string) {
		return len(running([]int{pid})) == 0, "it runs"
	})
	var status unix.WaitStatus
	if got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err != nil || got != pid {
		return // a child of the process before it, which runs
	}
	if status.ExitStatus() != 0 {
		t.Errorf("process %d ended with %d, expected 0", pid, status.ExitStatus())
	}
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, startPatience, fmt.Sprintf("process %d to end", pid), func() (bool, string) { return len(running([]int{pid})) == 0, "it runs" })
}

// upgradable starts a gateway from a program of its own in its directory, which can be replaced.
func upgradable(t *testing.T, l launch) (g *gateway, program string) {
	t.Helper()
	dir, err := os.MkdirTemp(built.temp, "p")
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "outrigger")
	if err := theHost(program); err != nil {
		t.Fatal(err)
	}
	l.binary = program
	g = l.start(t)
	t.Cleanup(func() { // those that a test that failed does not know of
		for _, pid := range gatewaysOf(t, program) {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		for end := time.Now().Add(patience); len(gatewaysOf(t, program)) > 0 && time.Now().Before(end); time.Sleep(pollInterval) {
		}
		for _, pid := range gatewaysOf(t, program) {
			t.Errorf("process %d does not end within %v after SIGTERM", pid, patience)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return g, program
}

// gatewaysOf finds the processes of a gateway that run a program.
func gatewaysOf(t *testing.T, program string) (pids []int) {
	t.Helper()
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.state != 'Z' && strings.HasPrefix(p.command, program+" run ") {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// replaceProgram renames a program into the place of another one.
func replaceProgram(t *testing.T, program string, put func(path string) error) {
	t.Helper()
	if err := put(program + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
}

func script(text string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700) }
}

func theHost(path string) error { return os.Symlink(built.host, path) }

// Requests under load while the program is upgraded twice: none fails, neither on connections that are kept nor one that takes longer than the upgrade;
// what comes on connections that were idle or silent meanwhile is answered. Plugin servers of the old and the new process run side by side.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 8), make(chan struct{})
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
		echoHandler(w, r)
	})
	t.Cleanup(func() {
		select {
		case <-release:
		default:
			close(release)
		}
	})
	admin := filepath.Join(t.TempDir(), "a.sock")
	g, program := upgradable(t, launch{
		settings: settings{
			"plugin_servers": []server{exampleServer("go", "msgpack")}, "admin_listen": "unix://" + admin, "status_listen": "127.0.0.1:0", "drain_timeout": "60s", "log_level": "notice",
		},
		entities: routes(up.URL, route("/stamp", "{name: stamp-go}"), route("/slow", "{name: stamp-go}")),
	})
	crowd := crowded(t, g, 6)
	crowd.more(t, 100)
	pid := g.pid
	for round := range 2 {
		slow := make(chan error, 1)
		go func() {
			s := steady{address: g.address}
			defer s.close()
			resp, err := s.do("POST", "/slow", "wait")
			if err == nil && resp.StatusCode != 200 {
				err = fmt.Errorf("found status %d", resp.StatusCode)
			}
			slow <- err
		}()
		<-arrived
		idle := steady{address: g.address}
		if _, err := idle.do("GET", "/stamp", ""); err != nil {
			t.Fatal(err)
		}
		silent, err := net.Dial("tcp", g.address) // nothing was ever sent on it
		if err != nil {
			t.Fatal(err)
		}
		oldServers := serversBelow(t, pid)
		replaceProgram(t, program, theHost)
		mark := g.log.mark()
		if round == 0 {
			r := command(t, g.dir, nil, "upgrade", "--admin", "unix://"+admin)
			if r.code != 0 || !strings.Contains(r.out, " with version ") {
				t.Fatalf("outrigger upgrade: exit %d\n%s%s", r.code, r.out, r.err)
			}
		} else if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		heir := g.upgraded(t, mark)
		if len(running([]int{pid})) != 1 || len(running(oldServers)) != 1 {
			t.Fatalf("the old process %d or its plugin server %v has ended with a request in flight", pid, oldServers)
		}
		crowd.more(t, 100)
		if resp, err := idle.do("POST", "/stamp", "after a while"); err != nil || resp.StatusCode != 200 || !resp.Close {
			t.Errorf("the idle connection: found %v %v, expected 200 and the end of the connection", resp, err)
		}
		idle.close()
		late := steady{address: g.address, conn: silent, r: bufio.NewReader(silent)}
		if resp, err := late.do("POST", "/stamp", "after a while"); err != nil || resp.StatusCode != 200 || !resp.Close {
			t.Errorf("the silent connection: found %v %v, expected 200 and the end of the connection", resp, err)
		}
		late.close()
		release <- struct{}{}
		if err := <-slow; err != nil {
			t.Errorf("the request that took a while: %v", err)
		}
		gone(t, pid)
		eventually(t, patience, "the plugin server of the old process to end", func() (bool, string) { return len(running(oldServers)) == 0, fmt.Sprint(oldServers) })
		if servers := serversBelow(t, heir); len(servers) != 1 {
			t.Fatalf("found the plugin servers %v below the new process %d, expected one", servers, heir)
		}
		crowd.more(t, 20)
		pid = heir
	}
	crowd.end()
	if n := crowd.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, first: %v", n, crowd.sent.Load(), crowd.why)
	}
	if _, err := os.Stat(admin); err != nil {
		t.Errorf("the Admin socket of the newest process: %v", err)
	}
	endHeir(t, pid)
	if _, err := os.Stat(admin); err == nil {
		t.Error("the Admin socket outlives the newest process")
	}
	if dirs, _ := filepath.Glob(filepath.Join(g.dir, "outrigger-*")); len(dirs) > 0 {
		t.Errorf("run directories are left: %v", dirs)
	}
}

// serversBelow finds the plugin servers of a process of the gateway, not those of one that it has started.
func serversBelow(t *testing.T, pid int) (pids []int) {
	t.Helper()
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		env, _ := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
		if p.parent == pid && p.state != 'Z' && strings.Contains("\x00"+string(env), "\x00OUTRIGGER_SERVER=") {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// failsToUpgrade asks for an upgrade that fails, or does not begin, for a reason.
func (g *gateway) failsToUpgrade(t *testing.T, what, why string) {
	t.Helper()
	mark := g.log.mark()
	g.signal(t, syscall.SIGUSR2)
	l := g.log.waitWithin(t, startPatience, mark, what, func(l line) bool {
		return slices.Contains([]string{"the upgrade failed, this process goes on", "no upgrade begins", "a new process has taken over; this one finishes its requests"}, l.text("msg"))
	})
	if !strings.Contains(l.text("error")+l.text("reason"), why) {
		t.Errorf("%s: found %v, expected %q", what, l, why)
	}
}

// A new process that is not ready in time is ended.
func TestUpgradeThatIsNeverReady(t *testing.T) {
	t.Parallel()
	g, program := upgradable(t, launch{settings: settings{"upgrade_timeout": "1s"}, entities: routes(echoUpstream(t).URL, route("/x"))})
	replaceProgram(t, program, script("exec sleep 3600"))
	g.failsToUpgrade(t, "a program that is never ready", "upgrade_timeout is over")
	eventually(t, patience, "the new process to be gone", func() (bool, string) {
		left, err := descendants(g.pid)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range left {
			if strings.Contains(p.command, "sleep") {
				return false, p.String()
			}
		}
		return true, ""
	})
	g.get(t, "/x").want(t, 200)
}

// Whatever is wrong with the new program or what it needs, the old process goes on, and a later upgrade may succeed.
func TestUpgradesThatFail(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	dir := t.TempDir()
	plugins := filepath.Join(dir, "plugins")
	if err := os.Symlink(built.goExamples, plugins); err != nil {
		t.Fatal(err)
	}
	g, program := upgradable(t, launch{
		settings: settings{"plugin_servers": []server{exampleServer("go", "msgpack").with("command", []string{plugins})}, "log_level": "notice"},
		entities: routes(up.URL, route("/stamp", "{name: stamp-go}")),
	})
	crowd := crowded(t, g, 2)
	fails := func(what, why string) {
		t.Helper()
		g.failsToUpgrade(t, what, why)
		crowd.more(t, 20)
	}
	replaceProgram(t, program, script("exit 7"))
	fails("a program that ends", "exit status 7")
	replaceProgram(t, program, func(path string) error { return os.WriteFile(path, []byte("no program"), 0o700) })
	fails("a file that is no program", "exec format error")

	replaceProgram(t, program, theHost)
	good, err := os.ReadFile(g.entities)
	if err != nil {
		t.Fatal(err)
	}
	write(t, g.entities, "_format_version: \"3.0\"\nservices: [{name: 7, url: nowhere}]\n")
	fails("entities that are wrong", "exit status 1")
	write(t, g.entities, string(good))
	if err := os.Remove(plugins); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/false", plugins); err != nil {
		t.Fatal(err)
	}
	fails("a plugin server that does not start", "")
	g.log.wait(t, 0, "the reason", func(l line) bool {
		return strings.Contains(l.text("text"), `plugin server "go" is`) && strings.Contains(l.text("text"), "ready in the process that this one is to replace")
	})
	if len(running([]int{g.pid})) != 1 {
		t.Fatal("the old process has ended")
	}
	crowd.end()
	if n := crowd.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, first: %v", n, crowd.sent.Load(), crowd.why)
	}
}

// The first process of a container would take the new one with it: it goes on.
func TestUpgradeInAContainer(t *testing.T) {
	t.Parallel()
	g := launch{settings: settings{"log_level": "notice"}, entities: routes(echoUpstream(t).URL, route("/x")), alone: true}.start(t)
	g.failsToUpgrade(t, "an upgrade in a container", "first process of its container")
	g.get(t, "/x").want(t, 200)
}

// overUnix is a client of whoever listens at a path.
func overUnix(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}
}

// Between SIGTERM and the end of drain_delay the gateway is not ready, accepts connections, and ends each with its response. A second signal ends it.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s.sock")
	g := launch{settings: settings{"drain_delay": "1h", "status_listen": "unix://" + socket}, entities: routes(echoUpstream(t).URL, route("/x"))}.start(t)
	kept := steady{address: g.address}
	defer kept.close()
	if resp, err := kept.do("GET", "/x", ""); err != nil || resp.Close {
		t.Fatalf("found %v %v, expected a connection that is kept", resp, err)
	}
	g.signal(t, syscall.SIGTERM)
	status := overUnix(socket)
	eventually(t, patience, "the gateway not to be ready", func() (bool, string) {
		resp, err := status.Get("http://gateway/ready")
		if err != nil {
			return false, err.Error()
		}
		defer resp.Body.Close()
		return resp.StatusCode == 503, resp.Status
	})
	g.log.waitFields(t, 0, "msg", "the gateway is about to stop: it is not ready, and goes on accepting connections for a while")
	fresh := steady{address: g.address}
	defer fresh.close()
	for name, client := range map[string]*steady{"kept": &kept, "fresh": &fresh} {
		eventually(t, patience, "the gateway to end connections", func() (bool, string) {
			resp, err := client.do("POST", "/x", "body")
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s connection: %v %v", name, resp, err)
			}
			return resp.Close, "it is kept"
		})
	}
	g.signal(t, syscall.SIGTERM)
	if code := g.exit(t); code != 0 {
		t.Errorf("found exit code %d", code)
	}
}
