package examples

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// tallied sends requests until it is stopped, and counts whose they were and how they ended.
type tallied struct {
	stop    chan struct{}
	clients sync.WaitGroup
	sent    atomic.Int64
	failed  atomic.Int64
	mixed   atomic.Int64
	byBuild [8]atomic.Int64
}

func (g *operated) count(connections int) *tallied {
	c := &tallied{stop: make(chan struct{})}
	for range connections {
		c.clients.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				a, err := g.do("GET", "/", nil)
				c.sent.Add(1)
				if err != nil || a.status != 200 {
					c.failed.Add(1)
					continue
				}
				var n int
				if _, err := fmt.Sscanf(a.header.Get("X-Access"), "v%d", &n); err != nil || a.header.Get("X-Filter") != a.header.Get("X-Access") {
					c.mixed.Add(1)
					continue
				}
				c.byBuild[n].Add(1)
			}
		})
	}
	return c
}

func (c *tallied) end(t testing.TB) {
	t.Helper()
	select {
	case <-c.stop:
		return
	default:
	}
	close(c.stop)
	c.clients.Wait()
	if n := c.mixed.Load(); n > 0 {
		t.Errorf("%d requests saw two builds", n)
	}
}

// result waits until the last replacement of a server has ended with a result, and returns its reason.
func (g *operated) result(t testing.TB, lang, result string) string {
	t.Helper()
	var reason string
	eventually(t, 3*patience, "a replacement that is "+result, func() (bool, string) {
		s := g.server(t, lang)
		r, _ := s["replacement"].(map[string]any)
		reason, _ = r["reason"].(string)
		return r["result"] == result && s["canary"] == nil, fmt.Sprint(s["replacement"], s["canary"])
	})
	return reason
}

// A canary that fails, dies or is slow is rolled back by itself; few requests have met it, and afterwards all are the old build's.
func TestCanaryRollsBack(t *testing.T) {
	upstream := echoUpstream(t)
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			p := newReplaced(t, l.name, "msgpack")
			g := p.gateway(t, upstream.URL, p.entry(t))
			pid := g.serverPID(t, l.name)
			for _, c := range []struct{ does, reason string }{{"fail", "calls failed, of the old build 0 of"}, {"die", "exit status 4"}, {"slow", "half of its calls take longer than"}} {
				p.become(t, 1, c.does)
				load := g.count(4)
				defer load.end(t)
				r := outrigger(t, nil, "replace", l.name, "--admin", g.admin, "--canary",
					`{"share": "20%", "for": "10m", "min_calls": 50, "errors": "2%", "latency": "3x"}`)
				if r.code != 0 || !strings.Contains(r.out, "takes a share of the requests") {
					t.Fatalf("%s: %+v", c.does, r)
				}
				if reason := g.result(t, l.name, "rolled back"); !strings.Contains(reason, c.reason) {
					t.Errorf("%s: rolled back because %q, expected %q", c.does, reason, c.reason)
				}
				before := load.byBuild[0].Load()
				eventually(t, patience, "requests of the old build", func() (bool, string) {
					return load.byBuild[0].Load() > before+50, ""
				})
				load.end(t)
				if sent, failed := load.sent.Load(), load.failed.Load(); failed*3 > sent+30 {
					t.Errorf("%s: %d of %d requests failed, expected at most the share of the canary", c.does, failed, sent)
				} else {
					t.Logf("%s: %d requests, %d failed, %d by the canary", c.does, sent, failed, load.byBuild[1].Load())
				}
				check := g.prove(2) // only v0 now: what is there cannot go back
				for check.sent.Load() < 40 {
					g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v0")
				}
				check.end(t)
				eventually(t, patience, "the old process alone", func() (bool, string) {
					pids := g.serverPIDs(t, l.name)
					return len(pids) == 1 && pids[0] == pid, fmt.Sprint(pids)
				})
			}
		})
	}
}

// A canary that does well takes its share, and then everything. Meanwhile a reload reaches both builds, and what else one may ask for waits.
func TestCanaryIsPromoted(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	p := newReplaced(t, "js", "msgpack")
	entry := p.entry(t).with("canary", map[string]any{"share": "25%", "for": "10m", "min_calls": 40, "latency": "off"})
	g := p.gateway(t, upstream.URL, entry)
	load := g.count(3)
	defer load.end(t)
	p.become(t, 1, "")
	g.refresh(t)
	s := g.server(t, "js")
	if c, ok := s["canary"].(map[string]any); !ok || c["share"] != 0.25 || c["build"] != 2.0 || s["build"] != 1.0 {
		t.Fatalf("found %v, expected a canary", s)
	}
	eventually(t, patience, "calls of both builds", func() (bool, string) {
		return load.byBuild[0].Load() > 100 && load.byBuild[1].Load() > 40, ""
	})
	// What was begun goes on, and nothing else begins.
	pids := g.serverPIDs(t, "js")
	g.refresh(t)
	if now := g.serverPIDs(t, "js"); len(now) != 2 || fmt.Sprint(now) != fmt.Sprint(pids) {
		t.Errorf("found the processes %v after a signal, expected %v", now, pids)
	}
	if r := outrigger(t, nil, "replace", "js", "--admin", g.admin); r.code != 3 || !strings.Contains(r.err, "a canary of plugin server \"js\" is under way") {
		t.Errorf("found %+v, expected code 3", r)
	}
	// A reload is live on both builds when it is acknowledged.
	g.reload(t, routes(upstream.URL, route("/", "{name: versioned, config: {mark: m}}"), route("/second", "{name: versioned, config: {mark: second}}")))
	seen := map[string]int{}
	for range 40 {
		a := g.get(t, "/second").want(t, 200).wantHeader(t, "X-Mark", "second")
		seen[a.header.Get("X-Access")]++
	}
	if seen["v0"] == 0 || seen["v1"] == 0 {
		t.Errorf("found %v, expected answers of both builds", seen)
	}
	if r := outrigger(t, nil, "replace", "js", "--promote", "--admin", g.admin); r.code != 0 || !strings.Contains(r.out, "build 2 takes all requests") {
		t.Errorf("found %+v", r)
	}
	for range 20 {
		g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v1")
	}
	g.result(t, "js", "live")
	if r := outrigger(t, nil, "replace", "js", "--rollback", "--admin", g.admin); r.code != 3 {
		t.Errorf("found %+v without a canary, expected code 3", r)
	}

	// By itself, after its time and calls enough.
	p.become(t, 2, "")
	if status, answer := g.ask(t, "POST", "/plugin-servers/js/replace", `{"canary": {"share": "50%", "for": "1s", "min_calls": 30, "latency": "off"}}`); status != 200 || answer["result"] != "canary" {
		t.Errorf("status %d, %v", status, answer)
	}
	g.result(t, "js", "live")
	g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v2")
	eventually(t, patience, "the new process alone", func() (bool, string) {
		pids := g.serverPIDs(t, "js")
		return len(pids) == 1, fmt.Sprint(pids)
	})
	load.end(t)
	if n := load.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, load.sent.Load())
	}

	// An operator rolls back; a newer build ends the canary of an older one; a configuration that the canary does not take ends it too.
	p.become(t, 3, "")
	forever := `{"canary": {"share": "50%", "for": "10m"}}`
	g.ask(t, "POST", "/plugin-servers/js/replace", forever)
	if r := outrigger(t, nil, "replace", "js", "--rollback", "--admin", g.admin); r.code != 0 || !strings.Contains(r.out, "takes no requests any more") {
		t.Errorf("found %+v", r)
	}
	for range 10 {
		g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v2")
	}
	p.source = strings.Replace(p.source, "minLength: 1", "minLength: 1, maxLength: 8", 1)
	p.become(t, 4, "")
	if status, answer := g.ask(t, "POST", "/plugin-servers/js/replace", forever); status != 200 {
		t.Fatalf("status %d, %v", status, answer)
	}
	mark := g.log.mark()
	g.reload(t, routes(upstream.URL, route("/", "{name: versioned, config: {mark: much-longer}}")))
	n := g.log.waitFields(t, mark, "msg", "the canary is rolled back, the old build takes all requests")
	if !strings.Contains(n.text("reason"), "does not fit it") {
		t.Errorf("found %v", n)
	}
	for range 10 {
		g.get(t, "/").want(t, 200).wantHeader(t, "X-Access", "v2").wantHeader(t, "X-Mark", "much-longer")
	}
}

// The gateway ends in order while a canary serves.
func TestShutdownDuringCanary(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	p := newReplaced(t, "python", "grpc")
	g := p.gateway(t, upstream.URL, p.entry(t))
	load := g.count(2)
	defer load.end(t)
	p.become(t, 1, "")
	if status, answer := g.ask(t, "POST", "/plugin-servers/python/replace", `{"canary": {"share": "50%", "for": "10m"}}`); status != 200 {
		t.Fatalf("status %d, %v", status, answer)
	}
	eventually(t, patience, "calls of the canary", func() (bool, string) { return load.byBuild[1].Load() > 10, "" })
	pids := g.serverPIDs(t, "python")
	load.end(t)
	g.signal(t, syscall.SIGTERM)
	if code := g.exit(t); code != 0 {
		t.Errorf("ended with code %d, expected 0", code)
	}
	if left := running(pids); len(pids) != 2 || len(left) > 0 {
		t.Errorf("of the processes %v these are left: %v", pids, left)
	}
}
