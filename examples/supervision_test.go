package examples

import (
	"fmt"
	"testing"
)

// A request that kills its plugin server twice is refused from then on: the server lives, and other requests to the same plugin are answered.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	var list []string
	for _, l := range languages {
		list = append(list,
			route(faultPath("fault-"+l.name, "die", "closed"), fmt.Sprintf("{name: fault-%s, fail_mode: closed, config: {do: die}}", l.name)),
			route("/alive/"+l.name, fmt.Sprintf("{name: fault-%s, config: {do: exit}}", l.name)))
	}
	s := settings{"plugin_servers": testServers("msgpack"), "admin_listen": "127.0.0.1:0"}
	g := &operated{gateway: launch{settings: s, entities: routes(up.URL, list...)}.start(t), settings: s}
	g.admin = g.log.waitFields(t, 0, "msg", "the Admin listener is open").text("address")
	for i, l := range languages {
		poison := faultPath("fault-"+l.name, "die", "closed") + "?secret=1"
		alive := func() {
			t.Helper()
			eventually(t, startPatience, l.name+" to come back", func() (bool, string) {
				a := g.get(t, "/alive/"+l.name)
				return a.status == 418, a.String()
			})
		}
		for range 2 {
			pid := g.serverPID(t, l.name)
			g.get(t, poison, "X-Name", "me").want(t, 500)
			alive()
			if again := g.serverPID(t, l.name); again == pid {
				t.Fatalf("the process %d of %s has survived its end", pid, l.name)
			}
		}
		pid := g.serverPID(t, l.name)
		mark := g.log.mark()
		for range 3 {
			g.get(t, poison, "X-Name", "me", "X-Request-Id", "another").want(t, 500)
		}
		if again := g.serverPID(t, l.name); again != pid {
			t.Errorf("a request in quarantine killed %s: process %d, then %d", l.name, pid, again)
		}
		const said = "a request was in flight each time its plugin server died: it is refused for a while"
		if n := g.log.count(mark, "msg", said, "plugin", "fault-"+l.name); n != 1 {
			t.Errorf("%s: the quarantine is logged %d times, expected once", l.name, n)
		}
		alive()
		_, status := g.ask(t, "GET", "/status", "")
		q := status["quarantine"].(map[string]any)
		newest := q["entries"].([]any)[0].(map[string]any)
		if q["count"] != float64(i+1) || newest["plugin"] != "fault-"+l.name || newest["path"] != faultPath("fault-"+l.name, "die", "closed") {
			t.Errorf("%s: found %v", l.name, q)
		}
		// Another request is not refused. It kills the server too, which is its own affair.
		g.get(t, poison+"2").want(t, 500)
		alive()
		if again := g.serverPID(t, l.name); again == pid {
			t.Errorf("%s: another request was refused with the one in quarantine", l.name)
		}
	}
}

// A process that has taken its calls is replaced, in every language, and no request fails.
func TestRecycling(t *testing.T) {
	t.Parallel()
	up := echoUpstream(t)
	var servers []server
	var list []string
	for _, l := range languages {
		servers = append(servers, exampleServer(l.name, "msgpack").with("recycle", map[string]any{"calls": 100}))
		list = append(list, route("/"+l.name, fmt.Sprintf("{name: hello-%s, config: {greeting: %s}}", l.name, l.name)))
	}
	s := settings{"plugin_servers": servers, "admin_listen": "127.0.0.1:0"}
	g := &operated{gateway: launch{settings: s, entities: routes(up.URL, list...)}.start(t), settings: s}
	g.admin = g.log.waitFields(t, 0, "msg", "the Admin listener is open").text("address")
	for _, l := range languages {
		pid := g.serverPID(t, l.name)
		eventually(t, startPatience, l.name+" to be replaced", func() (bool, string) {
			for range 50 {
				g.get(t, "/"+l.name).want(t, 200).wantHeader(t, "X-Hello-"+l.suffix, l.name+", world")
			}
			found := g.server(t, l.name)
			return found["recycled"].(float64) >= 1, fmt.Sprint(found)
		})
		eventually(t, patience, "the end of the old process", func() (bool, string) {
			left := running([]int{pid})
			return len(left) == 0, fmt.Sprint(left)
		})
		for range 20 {
			g.get(t, "/"+l.name).want(t, 200).wantHeader(t, "X-Hello-"+l.suffix, l.name+", world")
		}
		if n := g.log.count(0, "msg", "plugin server is down", "server", l.name); n != 0 {
			t.Errorf("%s was down %d times, expected never", l.name, n)
		}
	}
}
