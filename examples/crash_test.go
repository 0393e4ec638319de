package examples

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Plugin servers are killed while requests flow. The routes of the others never notice; those of the killed one are answered rightly or by
// the fail mode, and afterwards every one of five instances has its own configuration again.
func TestLesson06EveryRequestItsOwnConfiguration(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			testCrash(t, carrier)
		})
	}
}

func testCrash(t *testing.T, carrier string) {
	up := echoUpstream(t)
	const instances = 5
	var list []string
	for _, l := range languages {
		for i := range instances {
			list = append(list, route(fmt.Sprintf("/%s/%d", l.name, i), fmt.Sprintf("{name: hello-%s, config: {greeting: %s-%d}}", l.name, l.name, i)))
		}
	}
	g := launch{settings: settings{"plugin_servers": exampleServers(carrier)}, entities: routes(up.URL, list...)}.start(t)

	var killed atomic.Value // name of the language whose server may be down
	killed.Store("")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var served, failed atomic.Int64
	for _, l := range languages {
		for i := range instances {
			clients.Go(func() {
				path, header, want := fmt.Sprintf("/%s/%d", l.name, i), "X-Hello-"+l.suffix, fmt.Sprintf("%s-%d, you", l.name, i)
				for {
					select {
					case <-stop:
						return
					default:
					}
					before := killed.Load()
					a, err := g.do("GET", path, nil, "X-Name", "you")
					switch {
					case err != nil:
						t.Errorf("%s: the gateway did not answer: %v", path, err)
						return
					case a.status == 200 && a.header.Get(header) == want:
						served.Add(1)
					case a.status == 500 && a.header.Get(header) == "" && (before == l.name || killed.Load() == l.name):
						failed.Add(1)
					default:
						t.Errorf("%s: found %v, expected %q, or 500 while the server of %s is down", path, a, want, l.name)
						return
					}
				}
			})
		}
	}
	defer clients.Wait()
	defer close(stop)
	for round := range 2 {
		for _, l := range languages {
			killed.Store(l.name)
			pid := g.serverPID(t, l.name)
			mark := g.log.mark()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			ready := g.log.waitWithin(t, startPatience, mark, "the restart of "+l.name, func(n line) bool {
				return n.has("msg", "plugin server is ready", "server", l.name) && n["pid"] != nil
			})
			if ready.has("pid", fmt.Sprint(pid)) {
				t.Errorf("the new process has the pid %d of the old one", pid)
			}
			for i := range instances {
				path, want := fmt.Sprintf("/%s/%d", l.name, i), fmt.Sprintf("%s-%d, you", l.name, i)
				eventually(t, startPatience, path+" to answer", func() (bool, string) {
					a := g.get(t, path, "X-Name", "you")
					return a.status == 200 && a.header.Get("X-Hello-"+l.suffix) == want, a.String()
				})
			}
			if n := g.log.count(mark, "msg", "plugin server is down"); n != 1 {
				t.Errorf("round %d: %s went down %d times, expected once", round, l.name, n)
			}
			killed.Store("")
		}
	}
	if served.Load() == 0 {
		t.Error("no request was served")
	}
	t.Logf("%d requests were served, %d got the fail mode's answer", served.Load(), failed.Load())
}

// A server with two processes: each is given every configuration, and when one is killed the other serves on. Only what was in flight on the dead
// one may fail.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	var servers []server
	var list []string
	for _, l := range languages {
		servers = append(servers, exampleServer(l.name, "msgpack").with("processes", 2))
		list = append(list, route("/"+l.name, fmt.Sprintf("{name: hello-%s, config: {greeting: %s}}", l.name, l.name)))
	}
	g := launch{settings: settings{"plugin_servers": servers}, entities: routes(up.URL, list...)}.start(t)
	for _, l := range languages {
		pids := g.serverPIDs(t, l.name)
		if len(pids) != 2 {
			t.Fatalf("%s has the processes %v, expected two", l.name, pids)
		}
		for _, pid := range pids {
			mark := g.log.mark()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			g.log.waitFields(t, mark, "msg", "plugin server is down", "server", l.name)
			for range 20 {
				g.get(t, "/"+l.name).want(t, 200).wantHeader(t, "X-Hello-"+l.suffix, l.name+", world")
			}
			g.log.waitWithin(t, startPatience, mark, "the restart of "+l.name, func(n line) bool {
				return n.has("msg", "plugin server is ready", "server", l.name) && n["pid"] != nil
			})
		}
		again := g.serverPIDs(t, l.name)
		if len(again) != 2 || slices.Contains(pids, again[0]) || slices.Contains(pids, again[1]) {
			t.Errorf("%s has the processes %v, expected two that are not of %v", l.name, again, pids)
		}
		for range 20 {
			g.get(t, "/"+l.name).want(t, 200).wantHeader(t, "X-Hello-"+l.suffix, l.name+", world")
		}
	}
}

// A program that ends at once is started again with growing waits, and the routes stay closed.
func TestLesson05StartsBackOff(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	g := launch{
		late:     true,
		settings: settings{"plugin_servers": []server{exampleServer("js", "msgpack"), {"name": "dead", "command": []string{"/bin/false"}}}},
		entities: routes(up.URL, route("/dead", "{name: some-auth}"), route("/alive", "{name: hello-js}")),
	}.start(t)
	// The plugin has never been seen: nobody knows what it would do, so its route is closed.
	g.get(t, "/dead").want(t, 503)
	g.get(t, "/alive").want(t, 200)
	g.log.wait(t, 0, "five attempts", func() func(line) bool {
		n := 0
		return func(l line) bool {
			if l.has("msg", "plugin server is down", "server", "dead") {
				n++
			}
			return n == 5
		}
	}())
	g.get(t, "/dead").want(t, 503)
	var last float64
	grown := 0
	for _, l := range g.log.since(0) {
		if l.has("msg", "plugin server is down", "server", "dead") {
			wait, _ := l["retry_in"].(float64)
			if wait > last {
				grown++
			}
			last = wait
		}
	}
	if grown < 4 {
		t.Errorf("the waits between attempts grew %d times, expected 4: each is about twice the one before", grown)
	}
}
