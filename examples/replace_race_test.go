package examples

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// A plugin of a new build that hangs in its configuration is waited for once, however many records use it: nothing else can become live meanwhile.
func TestAHangIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	p := newReplaced(t, "python", "msgpack")
	entry := p.entry(t).with("start_timeout", "10s")
	s := settings{"plugin_servers": []server{entry}, "admin_listen": "127.0.0.1:0"}
	var list []string
	for i := range 8 {
		list = append(list, route(fmt.Sprint("/", i), fmt.Sprintf("{name: versioned, config: {mark: m%d}}", i)))
	}
	g := &operated{gateway: launch{settings: s, entities: routes(upstream.URL, list...)}.start(t), settings: s}
	g.admin = g.log.waitFields(t, 0, "msg", "the Admin listener is open").text("address")
	p.become(t, 1, "hang")
	mark := g.log.mark()
	status, answer := g.ask(t, "POST", "/plugin-servers/python/replace", "")
	if status != 422 || !strings.Contains(fmt.Sprint(answer["message"]), "no answer in time") {
		t.Errorf("found status %d, %v; expected 422 and that there was no answer in time", status, answer)
	}
	waits := 0
	for _, n := range g.log.since(mark) {
		if n.has("msg", "the plugin server is down: the instance is configured when it is back") {
			waits++
		}
	}
	if waits != 1 {
		t.Errorf("waited for %d records, expected 1", waits)
	}
	g.get(t, "/7").want(t, 200).wantHeader(t, "X-Mark", "m7").wantHeader(t, "X-Access", "v0")
}

// Of two canaries that are asked for at the same time one begins, and of the other nothing is left.
func TestTwoCanariesAtOnce(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	p := newReplaced(t, "python", "msgpack")
	s := settings{"plugin_servers": []server{p.entry(t), exampleServer("go", "msgpack").with("start_timeout", "30s")}, "admin_listen": "127.0.0.1:0"}
	entities := routes(upstream.URL, route("/", "{name: versioned, config: {mark: m}}", "{name: hello-go, config: {greeting: hi}}"))
	g := &operated{gateway: launch{settings: s, entities: entities}.start(t), settings: s}
	g.admin = g.log.waitFields(t, 0, "msg", "the Admin listener is open").text("address")
	for round := range 3 {
		results := map[string]int{}
		var mu sync.Mutex
		var asked sync.WaitGroup
		for _, name := range []string{"python", "go"} {
			asked.Go(func() {
				status, _ := g.ask(t, "POST", "/plugin-servers/"+name+"/replace", `{"canary": {"share": "50%", "for": "1h"}}`)
				mu.Lock()
				defer mu.Unlock()
				results[name] = status
			})
		}
		asked.Wait()
		winner, loser := "python", "go"
		if results[loser] == 200 {
			winner, loser = loser, winner
		}
		if results[winner] != 200 || results[loser] != 409 {
			t.Fatalf("round %d: found %v, expected 200 and 409", round, results)
		}
		eventually(t, patience, "one process of the build that lost", func() (bool, string) {
			pids := g.serverPIDs(t, loser)
			return len(pids) == 1, fmt.Sprint(pids)
		})
		if r := g.server(t, winner)["replacement"].(map[string]any); r["result"] != "canary" {
			t.Errorf("round %d: found %v", round, r)
		}
		if status, answer := g.ask(t, "POST", "/plugin-servers/"+winner+"/rollback", ""); status != 200 || answer["result"] != "rolled back" {
			t.Errorf("round %d: status %d, %v", round, status, answer)
		}
		eventually(t, patience, "one process of the build that won", func() (bool, string) {
			pids := g.serverPIDs(t, winner)
			return len(pids) == 1, fmt.Sprint(pids)
		})
		g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v0")
	}
}
