package examples

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// faultPlugins are the test plugins that act as they are told in all phases but response.
var faultPlugins = []struct{ server, plugin string }{
	{"go", "fault-go"}, {"python", "fault-python"}, {"python", "fault-async-python"}, {"js", "fault-js"}, {"js", "fault-async-js"},
}

// faults are the ways in which a handler may end in access, and what the client gets under fail mode closed and open.
var faults = []struct {
	do           string
	config       string // more of the configuration
	record       string // more of the record
	closed, open int
}{
	{do: "nothing", closed: 200, open: 200},
	{do: "raise", closed: 500, open: 200},
	{do: "raise-after-read", closed: 500, open: 200},
	{do: "raise-between", closed: 500, open: 200},
	{do: "raise-after-write", closed: 500, open: 200},
	{do: "raise-odd", closed: 500, open: 200},
	{do: "raise-loud", closed: 500, open: 200},
	{do: "sleep", config: ", ms: 60000", record: ", timeout: 200", closed: 500, open: 200},
	{do: "exit", closed: 418, open: 418},
	{do: "exit-swallowed", closed: 418, open: 418},
	{do: "exit-raise", closed: 418, open: 418},
	{do: "exit-sleep", config: ", ms: 60000", closed: 418, open: 418},
}

// faultPath is the route of a fault.
func faultPath(plugin, do, mode string) string { return "/" + plugin + "/" + do + "/" + mode }

// faultRoutes are the routes of every plugin, fault and fail mode.
func faultRoutes() []string {
	var list []string
	for _, p := range faultPlugins {
		for _, f := range faults {
			for _, mode := range []string{"closed", "open"} {
				list = append(list, route(faultPath(p.plugin, f.do, mode),
					fmt.Sprintf("{name: %s, fail_mode: %s, config: {do: %s%s}%s}", p.plugin, mode, f.do, f.config, f.record)))
			}
		}
	}
	return list
}

// However a handler ends, before, between or after its calls of the PDK, the client gets the answer of the fail mode, nothing that the handler wrote
// stays, the next request is served, and a request that was there before is not disturbed.
func TestLesson01HandlerThatFailsDelaysNobody(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			up := echoUpstream(t)
			list := faultRoutes()
			dirs := map[string]string{}
			for _, p := range faultPlugins {
				dirs[p.plugin] = t.TempDir()
				list = append(list, route("/"+p.plugin+"/hold", fmt.Sprintf("{name: %s, timeout: 60s, config: {do: hold, dir: %s}}", p.plugin, dirs[p.plugin])))
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			pids := map[string]int{}
			for _, l := range languages {
				pids[l.name] = g.serverPID(t, l.name)
			}
			for _, p := range faultPlugins {
				t.Run(p.plugin, func(t *testing.T) {
					t.Parallel()
					before := holdAt(t, g, "/"+p.plugin+"/hold", dirs[p.plugin], 1)
					testFaults(t, g, p.plugin)
					before.release(t)[0].want(t, 200).wantHeader(t, "X-Fault", "left")
				})
			}
			t.Cleanup(func() {
				for name, pid := range pids {
					if again := g.serverPIDs(t, name); !slices.Equal(again, []int{pid}) {
						t.Errorf("server %s was replaced: it had the process %d, which should have survived all faults, and has %v", name, pid, again)
					}
				}
			})
		})
	}
}

func testFaults(t *testing.T, g *gateway, plugin string) {
	for _, f := range faults {
		for mode, status := range map[string]int{"closed": f.closed, "open": f.open} {
			path := faultPath(plugin, f.do, mode)
			mark := g.log.mark()
			a := g.get(t, path) // within patience, which is less than a handler that sleeps takes
			if a.status != status {
				t.Errorf("%s: found %v, expected status %d", path, a, status)
				continue
			}
			a.wantHeader(t, "X-Fault")
			switch status {
			case 200:
				a.echo(t).wantUpstream(t, "X-Fault")
			case 418:
				if string(a.body) != "exited" {
					t.Errorf("%s: found %v, expected the body of the exit", path, a)
				}
			}
			if f.closed != 500 {
				continue
			}
			id := a.header.Get("X-Kong-Request-Id")
			if status == 500 && !strings.Contains(string(a.body), id) {
				t.Errorf("%s: the error body %q does not name the request", path, a.body)
			}
			failed := g.log.waitFields(t, mark, "msg", "plugin failed", "request_id", id)
			if !failed.has("plugin", plugin, "phase", "access", "level", "error") || failed.text("error") == "" || len(failed.text("error")) > 8<<10 {
				t.Errorf("%s: found the log line %v", path, failed)
			}
			if strings.Contains(string(a.body), "boom") {
				t.Errorf("%s: the client sees what only the log should: %s", path, a.body)
			}
		}
	}
}

// Faults in the other phases.
func TestFaultsByPhase(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			up := echoUpstream(t)
			var list []string
			add := func(plugin, phase string) {
				for _, mode := range []string{"closed", "open"} {
					list = append(list, route(faultPath(plugin, phase, mode), fmt.Sprintf("{name: %s, fail_mode: %s, fail_status: 590, config: {do: raise-after-write, phase: %s}}", plugin, mode, phase)))
				}
			}
			for _, p := range faultPlugins {
				for _, phase := range []string{"header_filter", "body_filter", "log"} {
					add(p.plugin, phase)
				}
			}
			for _, l := range languages {
				add("fault-response-"+l.name, "response")
			}
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			for _, p := range faultPlugins {
				testFaultIn(t, g, p.plugin, "header_filter", 590)
				testFaultIn(t, g, p.plugin, "log", 200)
				testFaultIn(t, g, p.plugin, "body_filter", 590)
			}
			for _, l := range languages {
				testFaultIn(t, g, "fault-response-"+l.name, "response", 590)
			}
			// rewrite runs for global plugins alone.
			for _, p := range faultPlugins {
				for mode, status := range map[string]int{"closed": 590, "open": 200} {
					g.reload(t, routes(up.URL, route(faultPath(p.plugin, "rewrite", mode)))+
						fmt.Sprintf("plugins: [{name: %s, fail_mode: %s, fail_status: 590, config: {do: raise-after-write, phase: rewrite}}]\n", p.plugin, mode))
					testFault(t, g, p.plugin, "rewrite", mode, status)
				}
			}
		})
	}
}

func testFaultIn(t *testing.T, g *gateway, plugin, phase string, closed int) {
	t.Helper()
	testFault(t, g, plugin, phase, "closed", closed)
	testFault(t, g, plugin, phase, "open", 200)
}

func testFault(t *testing.T, g *gateway, plugin, phase, mode string, status int) {
	t.Helper()
	path, mark := faultPath(plugin, phase, mode), g.log.mark()
	a, err := g.do("GET", path, nil)
	if err != nil && phase == "body_filter" && mode == "closed" {
		return // the head was on its way: cutting off is all that is left
	}
	if err != nil || a.status != status {
		t.Errorf("%s: found %v %v, expected status %d", path, a, err, status)
		return
	}
	a.wantHeader(t, "X-Fault")
	if status == 200 {
		a.echo(t).wantUpstream(t, "X-Fault")
	}
	failed := g.log.waitFields(t, mark, "msg", "plugin failed", "request_id", a.header.Get("X-Kong-Request-Id"))
	if !failed.has("plugin", plugin, "phase", phase) {
		t.Errorf("%s: found the log line %v", path, failed)
	}
}

// A handler that ends its process costs the calls of that server alone, and the process is replaced.
func TestDeath(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	var list []string
	for _, l := range languages {
		for _, mode := range []string{"closed", "open"} {
			list = append(list, route(faultPath("fault-"+l.name, "die", mode), fmt.Sprintf("{name: fault-%s, fail_mode: %s, config: {do: die}}", l.name, mode)))
		}
		list = append(list, route("/alive/"+l.name, fmt.Sprintf("{name: fault-%s, config: {do: exit}}", l.name)))
	}
	g := launch{settings: settings{"plugin_servers": testServers("msgpack")}, entities: routes(up.URL, list...)}.start(t)
	for _, l := range languages {
		for mode, status := range map[string]int{"closed": 500, "open": 200} {
			pid := g.serverPID(t, l.name)
			g.get(t, faultPath("fault-"+l.name, "die", mode)).want(t, status)
			for _, other := range languages {
				if other != l {
					g.get(t, "/alive/"+other.name).want(t, 418)
				}
			}
			eventually(t, patience, l.name+" to come back", func() (bool, string) {
				a := g.get(t, "/alive/"+l.name)
				return a.status == 418, a.String()
			})
			if again := g.serverPID(t, l.name); again == pid {
				t.Errorf("the process %d of %s has survived its end", pid, l.name)
			}
		}
	}
}
