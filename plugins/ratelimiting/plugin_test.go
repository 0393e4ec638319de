package ratelimiting

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

var (
	alice = &pdk.Consumer{ID: "aaaaaaaa-0000-4000-8000-000000000001", Username: "alice"}
	bob   = &pdk.Consumer{ID: "aaaaaaaa-0000-4000-8000-000000000002", Username: "bob"}
	eve   = &pdk.Consumer{ID: "not of the configuration", Username: "eve"}
)

// gateway is one plugin value with its counters; each request goes through a new instance of it, as after a reload.
type gateway struct {
	*clock
	plugin pdk.Plugin
}

func newGateway(t *testing.T, now string) *gateway {
	c := clockAt(t, now)
	return &gateway{c, plugin(newCounters(c.time))}
}

func (g *gateway) exchange(t *testing.T, config string, req pdktest.Request, options ...pdktest.Option) *pdktest.Exchange {
	t.Helper()
	x := pdktest.New(req)
	x.Consumers = []*pdk.Consumer{alice, bob}
	x.Groups = map[string][]*pdk.ConsumerGroup{alice.ID: {{ID: "g1", Name: "gold"}, {ID: "g2", Name: "silver"}}}
	if err := x.Use(g.plugin, config, options...); err != nil {
		t.Fatal(err)
	}
	return x
}

func (g *gateway) run(t *testing.T, config string, req pdktest.Request, options ...pdktest.Option) pdktest.Result {
	t.Helper()
	res := g.exchange(t, config, req, options...).Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

// shown lists the headers of the plugin.
func shown(res pdktest.Result) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(res.Response.Header)) {
		if strings.Contains(strings.ToLower(name), "ratelimit") || name == "Retry-After" {
			lines = append(lines, name+": "+strings.Join(res.Response.Header[name], "+"))
		}
	}
	return strings.ReplaceAll(strings.Join(lines, ", "), "Ratelimit", "RateLimit")
}

func TestHeaders(t *testing.T) {
	const now = "2026-03-05T07:08:09.5Z"
	for _, c := range []struct {
		config string
		want   []string // of the first request, the second, …
	}{
		{`{"minute": 2}`, []string{
			"RateLimit-Limit: 2, RateLimit-Remaining: 1, RateLimit-Reset: 51, X-RateLimit-Limit-Minute: 2, X-RateLimit-Remaining-Minute: 1",
			"RateLimit-Limit: 2, RateLimit-Remaining: 0, RateLimit-Reset: 51, X-RateLimit-Limit-Minute: 2, X-RateLimit-Remaining-Minute: 0",
			"429 RateLimit-Limit: 2, RateLimit-Remaining: 0, RateLimit-Reset: 51, Retry-After: 51, X-RateLimit-Limit-Minute: 2, X-RateLimit-Remaining-Minute: 0",
		}},
		{`{"second": 1, "hour": 100}`, []string{
			"RateLimit-Limit: 1, RateLimit-Remaining: 0, RateLimit-Reset: 1, X-RateLimit-Limit-Hour: 100, X-RateLimit-Limit-Second: 1, X-RateLimit-Remaining-Hour: 99, X-RateLimit-Remaining-Second: 0",
			"429 RateLimit-Limit: 1, RateLimit-Remaining: 0, RateLimit-Reset: 1, Retry-After: 1, X-RateLimit-Limit-Hour: 100, X-RateLimit-Limit-Second: 1, X-RateLimit-Remaining-Hour: 99, X-RateLimit-Remaining-Second: 0",
		}},
		{`{"day": 1, "month": 1, "year": 1000000}`, []string{
			"RateLimit-Limit: 1, RateLimit-Remaining: 0, RateLimit-Reset: 2220711, X-RateLimit-Limit-Day: 1, X-RateLimit-Limit-Month: 1, X-RateLimit-Limit-Year: 1000000, X-RateLimit-Remaining-Day: 0, X-RateLimit-Remaining-Month: 0, X-RateLimit-Remaining-Year: 999999",
		}},
		{`{"minute": 1.5}`, []string{
			"RateLimit-Limit: 1.5, RateLimit-Remaining: 0.5, RateLimit-Reset: 51, X-RateLimit-Limit-Minute: 1.5, X-RateLimit-Remaining-Minute: 0.5",
			"RateLimit-Limit: 1.5, RateLimit-Remaining: 0, RateLimit-Reset: 51, X-RateLimit-Limit-Minute: 1.5, X-RateLimit-Remaining-Minute: 0",
			"429 RateLimit-Limit: 1.5, RateLimit-Remaining: 0, RateLimit-Reset: 51, Retry-After: 51, X-RateLimit-Limit-Minute: 1.5, X-RateLimit-Remaining-Minute: 0",
		}},
		{`{"minute": 1, "hide_client_headers": true}`, []string{"", "429 "}},
	} {
		g := newGateway(t, now)
		for i, want := range c.want {
			res := g.run(t, c.config, pdktest.Request{})
			got := shown(res)
			if res.Response.Status != 200 {
				got = fmt.Sprint(res.Response.Status, " ", got)
			}
			if got != want {
				t.Errorf("%s: request %d\n got %s\nwant %s", c.config, i+1, got, want)
			}
			if passed := !strings.HasPrefix(want, "429"); passed != (res.Upstream != nil) {
				t.Errorf("%s: request %d: the upstream saw %v", c.config, i+1, res.Upstream)
			}
		}
	}
}

func TestTheAnswerOverTheLimit(t *testing.T) {
	for _, c := range []struct {
		config  string
		status  int
		message string
	}{
		{`{"minute": 1}`, 429, "API rate limit exceeded"},
		{`{"minute": 1, "error_code": 404, "error_message": "come back later"}`, 404, "come back later"},
	} {
		g := newGateway(t, "2026-03-05T07:08:09Z")
		g.run(t, c.config, pdktest.Request{})
		res := g.run(t, c.config, pdktest.Request{})
		if res.Response.Status != c.status || !strings.Contains(string(res.Response.Body), `"`+c.message+`"`) || res.Source != "error" {
			t.Errorf("%s: answer %d %s from %s", c.config, res.Response.Status, res.Response.Body, res.Source)
		}
		html := g.run(t, c.config, pdktest.Request{Header: http.Header{"Accept": {"text/html"}}})
		if !strings.HasPrefix(html.Response.Header.Get("Content-Type"), "text/html") || !strings.Contains(string(html.Response.Body), c.message) {
			t.Errorf("%s: answer %v %s", c.config, html.Response.Header, html.Response.Body)
		}
	}
}

func TestWindowsEnd(t *testing.T) {
	for _, c := range []struct{ period, last, next string }{
		{"second", "2026-03-05T07:08:09.999Z", "2026-03-05T07:08:10Z"},
		{"minute", "2026-03-05T07:08:59.999Z", "2026-03-05T07:09:00Z"},
		{"hour", "2026-03-05T07:59:59Z", "2026-03-05T08:00:00Z"},
		{"day", "2026-03-05T23:59:59Z", "2026-03-06T00:00:00Z"},
		{"month", "2026-03-31T23:59:59Z", "2026-04-01T00:00:00Z"},
		{"year", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"},
	} {
		g := newGateway(t, c.last)
		config := fmt.Sprintf(`{"%s": 1}`, c.period)
		for i, want := range []int{200, 429} {
			if res := g.run(t, config, pdktest.Request{}); res.Response.Status != want {
				t.Errorf("%s: request %d: %d, want %d", c.period, i+1, res.Response.Status, want)
			}
		}
		g.set(t, c.next)
		if res := g.run(t, config, pdktest.Request{}); res.Response.Status != 200 {
			t.Errorf("%s: in the next window: %d", c.period, res.Response.Status)
		}
	}
}

// Two requests with a limit of 1: they are counted together, or they are not.
func TestWhoseRequests(t *testing.T) {
	key := func(id string) *pdk.Credential { return &pdk.Credential{ID: id} }
	header := func(value string) http.Header { return http.Header{"X-Who": {value}} }
	const other = "10.0.0.10:1"
	service := &pdk.Service{ID: "99999999-2222-4333-8444-555555555555", Protocol: "http", Host: "h", Port: 80}
	group := []*pdk.ConsumerGroup{{ID: "g1"}}
	for _, c := range []struct {
		name, by      string
		first, second pdktest.Request
		together      bool
	}{
		{"consumer", "consumer", pdktest.Request{Consumer: alice, Credential: key("1")}, pdktest.Request{Consumer: alice, Credential: key("2"), Peer: other}, true},
		{"other consumer", "consumer", pdktest.Request{Consumer: alice}, pdktest.Request{Consumer: bob}, false},
		{"credential without consumer", "consumer", pdktest.Request{Credential: key("1")}, pdktest.Request{Credential: key("1"), Peer: other}, true},
		{"other credential without consumer", "consumer", pdktest.Request{Credential: key("1")}, pdktest.Request{Credential: key("2")}, false},
		{"nobody", "consumer", pdktest.Request{}, pdktest.Request{}, true},
		{"nobody from elsewhere", "consumer", pdktest.Request{}, pdktest.Request{Peer: other}, false},
		{"credential", "credential", pdktest.Request{Consumer: alice, Credential: key("1")}, pdktest.Request{Consumer: bob, Credential: key("1"), Peer: other}, true},
		{"other credential", "credential", pdktest.Request{Consumer: alice, Credential: key("1")}, pdktest.Request{Consumer: alice, Credential: key("2")}, false},
		{"no credential", "credential", pdktest.Request{Consumer: alice}, pdktest.Request{Consumer: bob}, true},
		{"address", "ip", pdktest.Request{Consumer: alice}, pdktest.Request{Consumer: bob}, true},
		{"other address", "ip", pdktest.Request{Consumer: alice}, pdktest.Request{Consumer: alice, Peer: other}, false},
		{"service", "service", pdktest.Request{}, pdktest.Request{Peer: other, Consumer: alice}, true},
		{"other service", "service", pdktest.Request{}, pdktest.Request{Service: service}, false},
		{"header", "header", pdktest.Request{Header: header("x")}, pdktest.Request{Header: header("x"), Peer: other}, true},
		{"other header", "header", pdktest.Request{Header: header("x")}, pdktest.Request{Header: header("y")}, false},
		{"long headers", "header", pdktest.Request{Header: header(strings.Repeat("x", 5000) + "1")}, pdktest.Request{Header: header(strings.Repeat("x", 5000) + "2")}, false},
		{"no header", "header", pdktest.Request{}, pdktest.Request{}, true},
		{"no header from elsewhere", "header", pdktest.Request{}, pdktest.Request{Peer: other}, false},
		{"an address in a header", "header", pdktest.Request{Header: header("10.0.0.9")}, pdktest.Request{}, false},
		{"path", "path", pdktest.Request{URL: "http://gw.test/p?a"}, pdktest.Request{URL: "http://gw.test/p?b", Peer: other}, true},
		{"other path", "path", pdktest.Request{URL: "http://gw.test/p"}, pdktest.Request{URL: "http://gw.test/p/"}, false},
		{"other paths", "path", pdktest.Request{URL: "http://gw.test/q"}, pdktest.Request{URL: "http://gw.test/r"}, true},
		{"consumer group", "consumer-group", pdktest.Request{Consumer: alice}, pdktest.Request{Groups: group, Peer: other}, true},
		{"first consumer group only", "consumer-group", pdktest.Request{Consumer: alice}, pdktest.Request{Groups: []*pdk.ConsumerGroup{{ID: "g2"}}}, false},
		{"consumer group that is set", "consumer-group", pdktest.Request{Consumer: alice, Groups: []*pdk.ConsumerGroup{{ID: "g2"}}}, pdktest.Request{Consumer: alice}, false},
		{"no consumer group", "consumer-group", pdktest.Request{Consumer: bob}, pdktest.Request{Consumer: eve}, true},
		{"no consumer group from elsewhere", "consumer-group", pdktest.Request{Consumer: bob}, pdktest.Request{Consumer: bob, Peer: other}, false},
		{"nobody has a consumer group", "consumer-group", pdktest.Request{}, pdktest.Request{}, true},
	} {
		g := newGateway(t, "2026-03-05T07:08:09Z")
		config := fmt.Sprintf(`{"minute": 1, "limit_by": %q, "header_name": "X-Who", "path": "/p"}`, c.by)
		if res := g.run(t, config, c.first); res.Response.Status != 200 {
			t.Errorf("%s: the first request: %d", c.name, res.Response.Status)
		}
		if res := g.run(t, config, c.second); (res.Response.Status == 429) != c.together {
			t.Errorf("%s: the second request: %d, counted together: %v", c.name, res.Response.Status, c.together)
		}
	}
}

// A counter belongs to a record: it is the same after a reload with another limit, and another record has another.
func TestCountersBelongToTheRecord(t *testing.T) {
	g := newGateway(t, "2026-03-05T07:08:09Z")
	for i, c := range []struct {
		record, config string
		want           int
	}{
		{"r1", `{"minute": 1}`, 200},
		{"r1", `{"minute": 1}`, 429},
		{"r2", `{"minute": 1}`, 200},
		{"r1", `{"minute": 2}`, 200},
		{"r1", `{"minute": 2}`, 429},
		{"r1", `{"minute": 2, "limit_by": "service"}`, 200},
	} {
		if res := g.run(t, c.config, pdktest.Request{}, pdktest.ID(c.record)); res.Response.Status != c.want {
			t.Errorf("request %d: %d, want %d", i+1, res.Response.Status, c.want)
		}
	}
	if res := newGateway(t, "2026-03-05T07:08:09Z").run(t, `{"minute": 1}`, pdktest.Request{}, pdktest.ID("r1")); res.Response.Status != 200 {
		t.Errorf("another gateway: %d", res.Response.Status)
	}
}

func TestFaults(t *testing.T) {
	for config, want := range map[string]int{
		`{"minute": 1, "limit_by": "consumer-group"}`:                          200,
		`{"minute": 1, "limit_by": "consumer-group", "fault_tolerant": false}`: 500,
	} {
		g := newGateway(t, "2026-03-05T07:08:09Z")
		for range 2 {
			x := g.exchange(t, config, pdktest.Request{Consumer: alice})
			x.Script = func(*wire.Ask) *wire.Answer {
				return &wire.Answer{Err: &wire.Error{Code: wire.CodeHostError, Message: "out of order"}}
			}
			res := x.Run()
			if res.Response.Status != want || (want == 500) != strings.Contains(string(res.Response.Body), `"An unexpected error occurred"`) || shown(res) != "" {
				t.Errorf("%s: answer %d %v %s", config, res.Response.Status, res.Response.Header, res.Response.Body)
			}
			if len(res.Log) != 1 || !strings.Contains(res.Log[0].Message, "out of order") || !strings.Contains(res.Log[0].Message, alice.ID) {
				t.Errorf("%s: log %v", config, res.Log)
			}
		}
	}
}

// Many requests at once through the plugin: exactly the limit passes.
func TestExactThroughThePlugin(t *testing.T) {
	const limit, requests = 50, 200
	g := newGateway(t, "2026-03-05T07:08:09Z")
	exchanges := make([]*pdktest.Exchange, requests)
	for i := range exchanges {
		exchanges[i] = g.exchange(t, fmt.Sprintf(`{"minute": %d}`, limit), pdktest.Request{Consumer: alice})
	}
	var passed atomic.Int64
	left := make([]atomic.Int64, limit)
	var wg sync.WaitGroup
	for _, x := range exchanges {
		wg.Go(func() {
			res := x.Run()
			if res.Upstream == nil {
				return
			}
			passed.Add(1)
			var n int
			if _, err := fmt.Sscan(res.Response.Header.Get("X-RateLimit-Remaining-Minute"), &n); err != nil || n < 0 || n >= limit {
				t.Errorf("remaining %q: %v", res.Response.Header.Get("X-RateLimit-Remaining-Minute"), err)
				return
			}
			left[n].Add(1)
		})
	}
	wg.Wait()
	if passed.Load() != limit {
		t.Errorf("%d requests passed, want %d", passed.Load(), limit)
	}
	for n := range left {
		if left[n].Load() != 1 {
			t.Errorf("%d requests were told that %d remain, want one", left[n].Load(), n)
		}
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                                    "found no limit, expected at least one of second, minute, hour, day, month, year",
		`{"minute": 0}`:                                         "minute: found 0",
		`{"minute": -1}`:                                        "minute: found -1",
		`{"minute": 2, "hour": 1}`:                              "hour: The limit for hour(1.0) cannot be lower than the limit for minute(2.0)",
		`{"second": 2, "year": 1.5}`:                            "year: The limit for year(1.5) cannot be lower than the limit for second(2.0)",
		`{"minute": 1, "limit_by": "user"}`:                     "limit_by: found",
		`{"minute": 1, "limit_by": "header"}`:                   "header_name: found null, expected the name of a header",
		`{"minute": 1, "limit_by": "path"}`:                     "path: found null, expected a path",
		`{"minute": 1, "limit_by": "path", "path": "p"}`:        "path: found",
		`{"minute": 1, "header_name": "a b"}`:                   "header_name: found",
		`{"minute": 1, "policy": "redis"}`:                      "policy: found \"redis\", which is not supported yet, expected \"local\" (fix: write policy: local",
		`{"minute": 1, "policy": "cluster"}`:                    "policy: found \"cluster\", which needs a database, expected \"local\" (fix: write policy: local",
		`{"minute": 1, "policy": "memory"}`:                     "policy: found",
		`{"minute": 1, "sync_rate": 1}`:                         "sync_rate: found 1, expected -1",
		`{"minute": 1, "sync_rate": -2}`:                        "sync_rate: found",
		`{"minute": 1, "error_code": 0}`:                        "error_code: found 0",
		`{"minute": 1, "error_code": 200}`:                      "error_code: found 200",
		`{"minute": 1, "error_message": ""}`:                    "error_message: found",
		`{"minute": 1, "fault_tolerant": null}`:                 "fault_tolerant: found null",
		`{"minute": 1, "redis": {"prot": 1}}`:                   "redis.prot: is unknown",
		`{"hour": 1, "minute": 2, "policy": "redis"}`:           "which is not supported yet", // both mistakes are told
		`{"hour": 1, "minute": 2, "policy": "redis", "day": 1}`: "cannot be lower",
	} {
		err := pdktest.New(pdktest.Request{}).Use(New(), config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}

// What Kong writes when it exports a record can be read.
func TestExportedConfig(t *testing.T) {
	const exported = `{
		"second": null, "minute": 5, "hour": null, "day": null, "month": null, "year": null, "limit_by": "consumer", "header_name": null, "path": null,
		"policy": "local", "fault_tolerant": true, "hide_client_headers": false, "error_code": 429, "error_message": "API rate limit exceeded", "sync_rate": -1,
		"redis": {"host": null, "port": 6379, "timeout": 2000, "username": null, "password": null, "database": 0, "ssl": false, "ssl_verify": false, "server_name": null},
		"redis_host": null, "redis_port": 6379, "redis_password": null, "redis_username": null, "redis_ssl": false, "redis_ssl_verify": false,
		"redis_server_name": null, "redis_timeout": 2000, "redis_database": 0
	}`
	if err := pdktest.New(pdktest.Request{}).Use(New(), exported); err != nil {
		t.Error(err)
	}
}
