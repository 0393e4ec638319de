package examples

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIGTERM finishes the request in flight, takes no new ones, ends with code 0 and leaves nothing.
func TestTerminate(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			arrived, release := make(chan struct{}), make(chan struct{})
			up := serve(t, func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-release
				echoHandler(w, r)
			})
			g := launch{settings: settings{"plugin_servers": exampleServers(carrier)}, entities: stamped(up.URL)}.start(t)
			pids := allPIDs(t, g)
			answered := make(chan *answer, 1)
			go func() {
				a, err := g.do("GET", "/stamp", nil)
				if err != nil {
					t.Errorf("the request in flight: %v", err)
				}
				answered <- a
			}()
			<-arrived
			g.signal(t, syscall.SIGTERM)
			eventually(t, patience, "the listener to close", func() (bool, string) {
				c, err := net.DialTimeout("tcp", g.address, time.Second)
				if err != nil {
					return true, ""
				}
				c.Close()
				return false, "a connection is accepted"
			})
			close(release)
			if a := <-answered; a != nil {
				a.want(t, 200)
				for _, l := range languages {
					a.wantHeader(t, "X-Stamp-"+l.suffix, l.name)
				}
			}
			if code := g.exit(t); code != 0 {
				t.Errorf("the gateway ended with code %d, expected 0", code)
			}
			if left := running(pids); len(left) > 0 {
				t.Errorf("the processes %v are left", left)
			}
			for _, l := range languages {
				if g.log.count(0, "msg", "stamped GET /stamp 200", "plugin", "stamp-"+l.name) != 1 {
					t.Errorf("the log phase of stamp-%s did not run once", l.name)
				}
			}
		})
	}
}

func stamped(upstream string) string {
	return routes(upstream, route("/stamp", "{name: stamp-go}", "{name: stamp-python}", "{name: stamp-js}"))
}

// allPIDs lists the processes below a gateway.
func allPIDs(t *testing.T, g *gateway) []int {
	t.Helper()
	children, err := descendants(g.pid)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range children {
		pids = append(pids, p.pid)
	}
	if len(pids) < 4 {
		t.Fatalf("found the processes %v below the gateway, expected three plugin servers and the reaper", children)
	}
	return pids
}

// A host that is killed leaves nothing either: within two seconds all its processes are gone, and so are its run directory with the sockets and its
// control groups. Each plugin server has started a process that has left its group and its session. One plugin server is stopped by a signal, a
// handler of another one is busy.
func TestLesson13KilledHostLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			for _, stopped := range []string{"", "go", "python", "js"} {
				t.Run("stopped "+stopped, func(t *testing.T) {
					testKilled(t, carrier, stopped)
				})
				if testing.Short() {
					break
				}
			}
		})
	}
}

func testKilled(t *testing.T, carrier, stopped string) {
	arrived := make(chan struct{})
	up := serve(t, func(http.ResponseWriter, *http.Request) { close(arrived) })
	entities := routes(up.URL, route("/busy", "{name: fault-python, config: {do: sleep, ms: 30000, phase: header_filter}, timeout: 30s}"))
	var servers []server
	for _, s := range testServers(carrier) {
		const daemon = `setsid sleep 3600 </dev/null >/dev/null 2>&1 & exec "$@"`
		servers = append(servers, s.with("command", append([]string{"/bin/sh", "-c", daemon, "sh"}, s["command"].([]string)...)))
	}
	g := launch{settings: settings{"plugin_servers": servers}, entities: entities}.start(t)
	if dirs, _ := filepath.Glob(filepath.Join(g.dir, "outrigger-*")); len(dirs) != 1 {
		t.Fatalf("found the run directories %v, expected one", dirs)
	}
	if daemons := daemonsBelow(t, g); len(daemons) != len(servers) {
		t.Fatalf("found the daemons %v, expected one of each plugin server", daemons)
	}
	pids := allPIDs(t, g)
	groups := controlGroups(pids)
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		if a, err := g.do("GET", "/busy", nil); err == nil {
			t.Errorf("found %v from a gateway that was killed", a)
		}
	}()
	defer func() { <-broken }()
	<-arrived
	if stopped != "" {
		for _, pid := range g.serverPIDs(t, stopped) { // and its daemon
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
	}
	g.signal(t, syscall.SIGKILL)
	g.exit(t)
	killed := time.Now()
	eventually(t, patience, "the processes, the run directory and the control groups to go", func() (bool, string) {
		left := running(pids)
		dirs, _ := filepath.Glob(filepath.Join(g.dir, "outrigger-*"))
		for _, group := range groups {
			if _, err := os.Stat(group); err == nil {
				dirs = append(dirs, group)
			}
		}
		return len(left) == 0 && len(dirs) == 0, fmt.Sprint("processes ", left, ", directories ", dirs)
	})
	// A busy machine may take longer.
	t.Logf("%d processes and %d control groups were gone after %v; the promise is two seconds", len(pids), len(groups), time.Since(killed).Round(time.Millisecond))
	if entries, err := os.ReadDir(g.dir); err != nil || len(entries) > 2 {
		t.Errorf("found %v in the directory of the gateway, expected its two files; %v", entries, err)
	}
}

// daemonsBelow lists the daemons that plugin servers of a gateway have started.
func daemonsBelow(t *testing.T, g *gateway) []process {
	t.Helper()
	var daemons []process
	eventually(t, patience, "the daemons to run", func() (bool, string) {
		all, err := descendants(g.pid)
		daemons = slices.DeleteFunc(all, func(p process) bool { return p.command != "sleep 3600" })
		return err == nil && len(daemons) == len(languages), fmt.Sprint(all, err)
	})
	return daemons
}

// controlGroups are the directories of the control groups that a gateway has made for processes; none where it may not.
func controlGroups(pids []int) []string {
	var dirs []string
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)) // it may have ended
		for line := range strings.Lines(string(text)) {
			group, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
			for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
				dir := filepath.Join(mount, group)
				if _, err := os.Stat(dir); unified && err == nil && strings.Contains(group, "outrigger") && !slices.Contains(dirs, dir) {
					dirs = append(dirs, dir)
				}
			}
		}
	}
	return dirs
}

// As in a container: the gateway is process 1 of its namespace, and so the parent that plugin servers must not take for a lost one.
func TestLesson14HostIsProcessOne(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		for name, s := range map[string]syscall.Signal{"terminated": syscall.SIGTERM, "killed": syscall.SIGKILL} {
			t.Run(carrier+" "+name, func(t *testing.T) {
				t.Parallel()
				testProcessOne(t, carrier, s)
			})
		}
	}
}

func testProcessOne(t *testing.T, carrier string, s syscall.Signal) {
	up := echoUpstream(t)
	g := launch{alone: true, settings: settings{"plugin_servers": exampleServers(carrier)}, entities: stamped(up.URL)}.start(t)
	pids := allPIDs(t, g)
	for range 3 {
		a := g.get(t, "/stamp").want(t, 200)
		for _, l := range languages {
			a.wantHeader(t, "X-Stamp-"+l.suffix, l.name)
		}
	}
	if n := g.log.count(0, "msg", "plugin server is down"); n > 0 || len(running(pids)) != len(pids) {
		t.Errorf("plugin servers went down %d times below process 1; of the processes %v there are %v", n, pids, running(pids))
	}
	g.signal(t, s)
	if code := g.exit(t); s == syscall.SIGTERM && code != 0 {
		t.Errorf("the gateway ended with code %d, expected 0", code)
	}
	eventually(t, patience, "the processes to go", func() (bool, string) {
		left := running(pids)
		return len(left) == 0, fmt.Sprint(left)
	})
	if err := os.RemoveAll(g.dir); err != nil { // with process 1 the kernel kills the reaper, too: nobody is left to clean up
		t.Error(err)
	}
}
