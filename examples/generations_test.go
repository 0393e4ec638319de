package examples

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// trails are configurations whose chains are written down by hand from the rules of spec/gateway.md, sections 5 and 6.
var trails = trailSet{
	{
		name:    "levels: records of consumers and groups count behind the authentication",
		groups:  "{name: gold}, {name: silver}",
		people:  strings.Join([]string{person("ada", ""), person("bob", "gold"), person("eve", ""), person("guest", "")}, ", "),
		plugins: append(recs(1, 2, 3, 4, 5, 6, 7, 8), rec(1, "ada", "consumer: ada"), rec(3, "ada", "consumer: ada"), rec(8, "ada", "consumer: ada"), rec(4, "gold", "consumer_group: gold")),
		want: func(c caller) phasesOf {
			switch c.who {
			case "ada":
				return everywhere("1 2 3 4 7 8", "1 2 3/ada 4 5 6 7 8/ada")
			case "bob":
				return everywhere("1 2 3 4 7 8", "1 2 3 4/gold 5 6 7 8")
			}
			return everywhere("1 2 3 4 7 8", "1 2 3 4 5 6 7 8")
		},
	},
	{
		name:   "before: a rule pulls one plugin before the authentication, another rule is of header_filter; a condition decides for a group",
		groups: "{name: gold}, {name: silver}",
		people: strings.Join([]string{person("ada", ""), person("bob", "silver"), person("eve", ""), person("guest", "")}, ", "),
		plugins: append(recs(1, 2, 3, 4, 5, 8),
			rec(7, "all", "ordering: {before: {access: [trail-2-go]}}"), rec(6, "all", "ordering: {before: {header_filter: [trail-3-native]}}"),
			rec(7, "ada", "consumer: ada"), rec(8, "ada", "consumer: ada"),
			rec(5, "silver", "consumer_group: silver", `condition: 'http.headers["x-kind"] == "a"'`, "on_false: next")),
		want: func(c caller) phasesOf {
			five, eight := "5", "8"
			switch {
			case c.who == "ada":
				eight = "8/ada"
			case c.who == "bob" && c.kind == "a":
				five = "5/silver"
			}
			chain := func(order string) string { return strings.NewReplacer("5", five, "8", eight).Replace(order) }
			return phasesOf{"1 2 3 4 7 8", chain("1 7 2 3 4 5 6 8"), chain("1 2 6 3 4 5 7 8"), chain("1 2 3 4 5 6 7 8")}
		},
	},
	{
		name:   "a rule of a group's record, a group that comes first by its priority, a plugin that is off for a consumer",
		groups: "{name: gold, priority: 1}, {name: silver, priority: 5}",
		people: strings.Join([]string{person("ada", "gold"), person("bob", "gold, silver"), person("eve", ""), person("guest", "")}, ", "),
		plugins: append(recs(1, 2, 3, 4, 5, 6, 7, 8),
			rec(4, "gold", "consumer_group: gold", "ordering: {before: {access: [trail-3-native]}}"), rec(4, "silver", "consumer_group: silver"),
			"{name: trail-6-js, consumer: ada, mode: disable}"),
		want: func(c caller) phasesOf {
			switch c.who {
			case "ada":
				return phasesOf{"1 2 3 4 7 8", "1 2 4/gold 3 5 7 8", "1 2 3 4/gold 5 7 8", "1 2 3 4/gold 5 7 8"}
			case "bob":
				return everywhere("1 2 3 4 7 8", "1 2 3 4/silver 5 6 7 8")
			}
			return everywhere("1 2 3 4 7 8", "1 2 3 4 5 6 7 8")
		},
	},
	{
		name:   "after: what another waits for is chosen before the authentication; records of a route, and of a route and a consumer",
		groups: "{name: gold}, {name: silver}",
		people: strings.Join([]string{person("ada", ""), person("bob", "gold"), person("eve", ""), person("guest", "")}, ", "),
		key:    ", " + rec(7, "key"),
		plugins: append(recs(1, 3, 4, 5, 6, 7, 8), rec(2, "all", "ordering: {after: {access: [trail-4-go]}}"),
			rec(4, "gold", "consumer_group: gold"), rec(7, "ada-key", "consumer: ada", "route: key")),
		want: func(c caller) phasesOf {
			seven := "7"
			switch {
			case c.route == "key" && c.who == "ada":
				seven = "7/ada-key"
			case c.route == "key":
				seven = "7/key"
			}
			chain := func(order string) string { return strings.Replace(order, "7", seven, 1) }
			return phasesOf{"1 2 3 4 7 8", chain("1 4 2 3 5 6 7 8"), chain("1 2 3 4 5 6 7 8"), chain("1 2 3 4 5 6 7 8")}
		},
	},
	{
		name:   "late: a rule of a consumer's record runs it right behind the authentication; one whose turn is over does not run",
		groups: "{name: gold}, {name: silver}",
		people: strings.Join([]string{person("ada", ""), person("bob", ""), person("eve", ""), person("guest", "")}, ", "),
		plugins: append(recs(1, 3, 4, 5, 6, 7, 8), rec(2, "ada", "consumer: ada"),
			rec(8, "ada", "consumer: ada", "ordering: {before: {access: [key-auth, login-go]}}")),
		want: func(c caller) phasesOf {
			if c.who == "ada" {
				return phasesOf{"1 3 4 7 8", "1 8/ada 3 4 5 6 7", "1 3 4 5 6 7 8/ada", "1 3 4 5 6 7 8/ada"}
			}
			return everywhere("1 3 4 7 8", "1 3 4 5 6 7 8")
		},
	},
	{
		name:   "priorities of records, a stacked record, a consumer that is anonymous",
		groups: "{name: gold}, {name: silver}",
		people: strings.Join([]string{person("ada", ""), person("bob", "gold"), person("guest", "")}, ", "),
		plugins: append(recs(2, 3, 4, 5, 6, 7, 8), rec(1, "all", "priority: 100"), rec(1, "ada", "consumer: ada", "priority: 100"),
			rec(3, "extra", "stack: true", "instance_name: extra"), rec(3, "guest", "consumer: guest")),
		want: func(c caller) phasesOf {
			const rewrite = "2 3/extra 3 4 7 8 1"
			switch c.who {
			case "ada":
				return everywhere(rewrite, "2 3/extra 3 4 5 6 7 8 1/ada")
			case "eve":
				return everywhere(rewrite, "2 3/extra 3/guest 4 5 6 7 8 1")
			}
			return everywhere(rewrite, "2 3/extra 3 4 5 6 7 8 1")
		},
	},
}

// epoch is the number of the last configuration that is known to be live. Who waits is woken by the next one.
type epoch struct {
	mu   sync.Mutex
	n    int
	next chan struct{}
}

func (e *epoch) now() (int, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n, e.next
}

func (e *epoch) reach(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n = n
	close(e.next)
	e.next = make(chan struct{})
}

// patientUpstream echoes requests; those with the header X-Slow it answers after the next configuration is live.
func patientUpstream(t *testing.T, live *epoch, stop <-chan struct{}) *httptest.Server {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Slow") != "" {
			_, next := live.now()
			select {
			case <-next:
			case <-stop:
			case <-r.Context().Done():
			}
		}
		echoHandler(w, r)
	})
}

// Configurations change all the time while requests flow: rules, consumers, groups, conditions and records of all scopes. Every plugin of the chain,
// native and in plugin servers of all languages, leaves in every phase which configuration it has. No answer has traces of two, each has exactly
// the chain of its own, and one whose request began after a change was acknowledged is not older. Some requests are held in the middle of access,
// before the authentication, and some at the upstream, while the configuration changes.
func TestLesson15NoRequestSeesTwoGenerations(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			changeUnderLoad(t, carrier)
		})
	}
}

func changeUnderLoad(t *testing.T, carrier string) {
	const length, pace = 6 * time.Second, 100 * time.Millisecond
	stop := make(chan struct{})
	live := &epoch{next: make(chan struct{})}
	up := patientUpstream(t, live, stop)
	g := launch{binary: built.nativeRace, settings: settings{"plugin_servers": testServers(carrier)}, entities: trails.entities(up.URL, 0)}.start(t)
	load := &trailLoad{g: g, live: live, stop: stop, callers: trailCallers(), log: map[string][]string{}}
	end := sync.OnceFunc(func() {
		close(stop)
		load.clients.Wait()
	})
	defer end()
	for range 5 {
		load.start(t, load.plain)
	}
	for range 2 {
		load.start(t, load.slow)
		load.start(t, load.held)
	}
	ticks := time.NewTicker(pace)
	defer ticks.Stop()
	begin, n := time.Now(), 0
	for !t.Failed() && (n < 2*len(trails) || time.Since(begin) < length) {
		n++
		g.reload(t, trails.entities(up.URL, n))
		live.reach(n)
		c := load.callers[n%len(load.callers)]
		a := g.get(t, c.path(), c.headers()...)
		if found, err := trails.trailOf(c, a); err != nil || found != n {
			t.Errorf("after configuration %d was acknowledged: found %d: %v", n, found, err)
		}
		<-ticks.C
	}
	end()
	t.Logf("%d configurations, %d requests, of which %d were held while the configuration changed", n, load.requests.Load(), load.spanning.Load())
	if !t.Failed() && load.spanning.Load() < int64(n)/2 {
		t.Errorf("%d requests were held while the configuration changed, expected at least one for every other of %d changes", load.spanning.Load(), n)
	}
	load.logged(t)
}

// trailLoad sends requests until it is stopped.
type trailLoad struct {
	g       *gateway
	live    *epoch
	stop    <-chan struct{}
	callers []caller
	clients sync.WaitGroup

	requests, spanning atomic.Int64 // spanning: those during which the configuration changed, as their answers show
	mu                 sync.Mutex
	log                map[string][]string // by the header X-Trail-Log: what the log must have
}

// start sends requests of one sort, one after the other.
func (l *trailLoad) start(t *testing.T, send func(c caller, headers ...string) (*answer, error)) {
	l.clients.Go(func() {
		for !t.Failed() {
			select {
			case <-l.stop:
				return
			default:
			}
			number := l.requests.Add(1)
			c := l.callers[number%int64(len(l.callers))]
			headers := c.headers()
			logged := number%16 == 0
			if logged {
				headers = append(headers, "X-Trail-Log", fmt.Sprint(number))
			}
			oldest, _ := l.live.now()
			a, err := send(c, headers...)
			if err != nil {
				t.Errorf("%v: the request failed: %v", c, err)
				return
			}
			n, err := trails.trailOf(c, a)
			if err != nil {
				t.Error(err)
				return
			}
			if n < oldest {
				t.Errorf("%v: found configuration %d after %d was acknowledged", c, n, oldest)
			}
			if newest, _ := l.live.now(); n < newest {
				l.spanning.Add(1)
			}
			if logged {
				l.mu.Lock()
				l.log[fmt.Sprint(number)] = slices.Sorted(slices.Values(steps(trails[n%len(trails)].want(c).body, n)))
				l.mu.Unlock()
			}
		}
	})
}

func (l *trailLoad) plain(c caller, headers ...string) (*answer, error) {
	return l.g.do("GET", c.path(), nil, headers...)
}

// slow are requests for whose answers the upstream waits until the configuration has changed.
func (l *trailLoad) slow(c caller, headers ...string) (*answer, error) {
	return l.plain(c, append(headers, "X-Slow", "yes")...)
}

// held are requests whose bodies end after the configuration has changed; the first plugin in Go waits for that.
func (l *trailLoad) held(c caller, headers ...string) (*answer, error) {
	body, end := io.Pipe()
	defer body.Close()
	l.clients.Go(func() {
		_, err := io.WriteString(end, "half of the body, ")
		_, next := l.live.now()
		select {
		case <-next:
		case <-l.stop:
		}
		if err == nil {
			_, err = io.WriteString(end, "and the rest")
		}
		end.CloseWithError(err)
	})
	return l.g.send("POST", c.path(), body, append(headers, "X-Trail-Held", "yes")...)
}

// logged waits until the log phase of the chosen requests has run, and compares what it left. The lines of plugin servers come to the log on ways
// of their own, so their order says nothing.
func (l *trailLoad) logged(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	eventually(t, patience, "the log phase of all requests", func() (bool, string) {
		found := map[string][]string{}
		for _, line := range l.g.log.since(0) {
			if words := strings.Fields(line.text("msg")); len(words) == 3 && words[0] == "trail" {
				found[words[1]] = append(found[words[1]], words[2])
			}
		}
		for number, want := range l.log {
			slices.Sort(found[number])
			if !slices.Equal(found[number], want) {
				return false, fmt.Sprintf("request %s: found %q, expected %q", number, found[number], want)
			}
		}
		return true, ""
	})
}

// parseEcho reads what an echo upstream was sent.
func parseEcho(body string) (e echoed, err error) {
	err = json.Unmarshal([]byte(body), &e)
	return e, err
}
