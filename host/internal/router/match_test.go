package router

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

type routeSpec struct {
	ID            string
	Protocols     []string
	Methods       []string
	Hosts         []string
	Paths         []string
	Headers       map[string][]string
	SNIs          []string `yaml:"snis"`
	StripPath     *bool    `yaml:"strip_path"`
	PathHandling  string   `yaml:"path_handling"`
	PathMatch     string   `yaml:"path_match"`
	RegexPriority int      `yaml:"regex_priority"`
	Expression    string
	Priority      int
	Created       int64
	Service       string
}

func (s *routeSpec) route() *entity.Route {
	r := &entity.Route{
		ID: s.ID, Protocols: s.Protocols, Methods: s.Methods, Hosts: s.Hosts, Paths: s.Paths, Headers: s.Headers, SNIs: s.SNIs,
		StripPath: s.StripPath == nil || *s.StripPath, RegexPriority: s.RegexPriority, CreatedAt: s.Created,
		PathHandling: s.PathHandling, PathMatch: s.PathMatch, Expression: s.Expression, Priority: s.Priority,
	}
	if s.Service != "" {
		r.Service = &entity.Service{ID: s.Service, Enabled: s.Service == "enabled"}
	}
	return r
}

type requestSpec struct {
	Request string
	Scheme  string
	Listen  int
	TLS     bool
	SNI     string
	Headers map[string][]string
	Query   string

	Source, Destination string

	Want     string
	Matched  *string
	Prefix   *string
	Unnamed  []string
	Named    map[string]string
	Service  string // the path of a service, for Upstream
	Upstream *string
}

// ends are the addresses of a request in a table.
type ends struct{ source, destination string }

func (e ends) Source() (netip.Addr, int) {
	if ap, err := netip.ParseAddrPort(e.source); err == nil {
		return ap.Addr(), int(ap.Port())
	}
	a, _ := netip.ParseAddr(e.source) // not valid: unknown
	return a, 0
}

func (e ends) Destination() netip.Addr {
	a, _ := netip.ParseAddr(e.destination)
	return a
}

// headerMap answers Headers from a map with lower-case names.
type headerMap map[string][]string

func (h headerMap) HeaderValue(name string, i int) (string, bool) {
	if vs := h[name]; i < len(vs) {
		return vs[i], true
	}
	return "", false
}

func (s *requestSpec) request(t *testing.T) *Request {
	t.Helper()
	words := strings.Fields(s.Request)
	if len(words) != 3 {
		t.Fatalf("request %q: expected METHOD host /path", s.Request)
	}
	host, port, _ := cutPort(words[1])
	n, _ := strconv.Atoi(port)
	return &Request{
		Method: words[0], Scheme: cmp.Or(s.Scheme, "http"), Host: host, HostPort: n, ListenPort: cmp.Or(s.Listen, 8000),
		Path: words[2], TLS: s.TLS, SNI: s.SNI, Headers: headerMap(s.Headers), Query: s.Query, Addresses: ends{s.Source, s.Destination},
	}
}

// TestMatchTables runs the cases of each file under the flavour and the rule for ties that it is about.
func TestMatchTables(t *testing.T) {
	for file, o := range map[string]Options{
		"match": {}, "traditional": {Flavor: Traditional}, "expressions": {Flavor: Expressions}, "ties": {TieBreak: TieKong},
	} {
		t.Run(file, func(t *testing.T) {
			var cases []struct {
				Case     string
				Strict   bool
				Flavor   Flavor
				Routes   []routeSpec
				Requests []requestSpec
			}
			readYAML(t, file, &cases)
			for _, c := range cases {
				t.Run(c.Case, func(t *testing.T) {
					o := o
					o.StrictProtocols, o.Flavor = c.Strict, cmp.Or(c.Flavor, o.Flavor)
					var routes []*entity.Route
					for i := range c.Routes {
						routes = append(routes, c.Routes[i].route())
					}
					// The answer must not depend on the order in which routes are given.
					for range 2 {
						r, err := New(routes, o)
						if err != nil {
							t.Fatal(err)
						}
						var m Match
						for _, s := range c.Requests {
							checkMatch(t, r, s, &m)
						}
						slices.Reverse(routes)
					}
				})
			}
		})
	}
}

// readYAML reads a table; unknown fields are mistakes.
func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(text, into, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
}

func checkMatch(t *testing.T, r *Router, s requestSpec, m *Match) {
	t.Helper()
	got := "none"
	if r.Match(s.request(t), m) {
		got = m.Route.ID
	} else if m.Route != nil || m.MatchedPath != "" || m.Prefix != "" || len(m.Captures.Unnamed)+len(m.Captures.Named) > 0 {
		t.Errorf("%s: no match left %+v", s.Request, *m)
	}
	if got != s.Want {
		t.Errorf("%s: route %s, want %s", s.Request, got, s.Want)
		return
	}
	if s.Matched != nil && m.MatchedPath != *s.Matched {
		t.Errorf("%s: matched path %q, want %q", s.Request, m.MatchedPath, *s.Matched)
	}
	if s.Prefix != nil && m.Prefix != *s.Prefix {
		t.Errorf("%s: prefix %q, want %q", s.Request, m.Prefix, *s.Prefix)
	}
	if s.Upstream != nil {
		if got := UpstreamPath(s.Service, m, strings.Fields(s.Request)[2], m.Route.StripPath); got != *s.Upstream {
			t.Errorf("%s: upstream path %q, want %q", s.Request, got, *s.Upstream)
		}
	}
	if s.Unnamed != nil && !slices.Equal(m.Captures.Unnamed, s.Unnamed) {
		t.Errorf("%s: unnamed captures %q, want %q", s.Request, m.Captures.Unnamed, s.Unnamed)
	}
	if s.Named != nil {
		named := map[string]string{}
		for _, n := range m.Captures.Named {
			named[n.Name] = n.Value
		}
		if !maps.Equal(named, s.Named) {
			t.Errorf("%s: named captures %q, want %q", s.Request, named, s.Named)
		}
	}
}

func TestPriorityNumber(t *testing.T) {
	for _, c := range []struct {
		name  string
		route entity.Route
		want  []uint64
	}{
		{"a path", entity.Route{Paths: []string{"/abc"}}, []uint64{1<<61 | 4}},
		{"paths of two lengths", entity.Route{Paths: []string{"/", "/abc", "/xyz"}}, []uint64{1<<61 | 1, 1<<61 | 4}},
		{"regex and literal", entity.Route{Paths: []string{"~/a", "/b", "~/c"}, RegexPriority: 3}, []uint64{1<<61 | 1<<51 | 3<<19, 1<<61 | 2}},
		{"method and path", entity.Route{Methods: []string{"GET"}, Paths: []string{"/"}}, []uint64{2<<61 | 1}},
		{"plain host", entity.Route{Hosts: []string{"a.b", "c.d:80"}}, []uint64{1<<61 | 1<<60}},
		{"wildcard host", entity.Route{Hosts: []string{"a.b", "*.d"}}, []uint64{1 << 61}},
		{"two headers", entity.Route{Headers: map[string][]string{"a": {"1"}, "b": {"1", "2"}}}, []uint64{1<<61 | 2<<52}},
		{"sni", entity.Route{SNIs: []string{"a.b"}}, []uint64{1 << 61}},
		{"everything", entity.Route{Methods: []string{"GET"}, Hosts: []string{"a"}, Paths: []string{"/"}, SNIs: []string{"a"}, Headers: map[string][]string{"a": {"1"}}}, []uint64{5<<61 | 1<<60 | 1<<52 | 1}},
		{"regex_priority at its limit", entity.Route{Paths: []string{"~/"}, RegexPriority: 1<<32 - 1}, []uint64{1<<61 | 1<<51 | (1<<32-1)<<19}},
		{"regex_priority over its limit", entity.Route{Paths: []string{"~/"}, RegexPriority: 1 << 40}, []uint64{1<<61 | 1<<51 | (1<<32-1)<<19}},
		{"regex_priority below its limit", entity.Route{Paths: []string{"~/"}, RegexPriority: -7}, []uint64{1<<61 | 1<<51}},
		{"a very long path", entity.Route{Paths: []string{"/" + strings.Repeat("a", 1<<19)}}, []uint64{1<<61 | (1<<19 - 1)}},
	} {
		cs, err := split(&c.route, &Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []uint64
		for _, x := range cs {
			got = append(got, x.number)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: priorities %x, want %x", c.name, got, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		route entity.Route
		want  string
	}{
		{entity.Route{ID: "1", Name: "orders", Paths: []string{"orders"}}, `route "orders": path "orders" must start with / or, for a regex, with ~`},
		{entity.Route{ID: "1", Paths: []string{"/a/../b"}}, `route 1: path "/a/../b" is not in normal form: expected "/b"`},
		{entity.Route{ID: "1", Paths: []string{"~/("}}, "route 1: path \"~/(\": error parsing regexp: missing closing ): `/(`"},
		{entity.Route{ID: "1", Paths: []string{"~/a)(b"}}, "route 1: path \"~/a)(b\": error parsing regexp: unexpected ): `/a)(b`"},
		{entity.Route{ID: "1", Headers: map[string][]string{"X-A": {"~*["}}}, "route 1: header X-A: pattern \"~*[\": error parsing regexp: missing closing ]: `[`"},
		{entity.Route{ID: "1", Hosts: []string{"a.*.b"}}, `route 1: host "a.*.b": expected a name with at most one wildcard, *.name or name.*`},
		{entity.Route{ID: "1", Hosts: []string{"*.a.*"}}, `route 1: host "*.a.*": expected a name with at most one wildcard, *.name or name.*`},
		{entity.Route{ID: "1", Hosts: []string{"*"}}, `route 1: host "*": expected a name with at most one wildcard, *.name or name.*`},
		{entity.Route{ID: "1", Hosts: []string{"a:99999"}}, `route 1: host "a:99999": port "99999" must be a number from 1 to 65535`},
	} {
		_, err := New([]*entity.Route{&c.route}, Options{})
		if err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

func TestManyMethods(t *testing.T) {
	var routes []*entity.Route
	name := func(i int) string { return "M" + strings.Repeat("X", i) }
	for i := range 100 {
		routes = append(routes, &entity.Route{ID: strconv.Itoa(i), Methods: []string{name(i)}, Paths: []string{"/"}})
	}
	r, err := New(routes, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var m Match
	for i := range 100 {
		if !r.Match(&Request{Method: name(i), Path: "/"}, &m) || m.Route.ID != strconv.Itoa(i) {
			t.Errorf("method %d: %+v", i, m.Route)
		}
	}
	if r.Match(&Request{Method: name(100), Path: "/"}, &m) {
		t.Errorf("a method that no route has matched route %s", m.Route.ID)
	}
}

func TestEmptyRouter(t *testing.T) {
	r, err := New(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var m Match
	if r.Match(&Request{Method: "GET", Host: "a.b", Path: "/"}, &m) || r.Len() != 0 {
		t.Errorf("an empty router of %d routes matched %+v", r.Len(), m)
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	for _, flavor := range flavors {
		t.Run(string(flavor), func(t *testing.T) {
			routes, requests := manyRoutesFor(flavor, 1000)
			routes = append(routes,
				&entity.Route{ID: "headers", Paths: []string{"/h"}, Headers: map[string][]string{"x-a": {"One"}, "x-b": {"~*^t.o$"}}},
				&entity.Route{ID: "method", Methods: []string{"PURGE"}})
			requests = append(requests,
				Request{Method: "GET", Path: "/h", Headers: headerMap{"x-a": {"none", "ONE"}, "x-b": {"TWO"}}},
				Request{Method: "PURGE", Host: "a.b.c.d.e.f", Path: "/"})
			if flavor == Expressions {
				for i, text := range []string{
					`http.path.segments.0_1 == "s/t" && http.path.segments.len == 3`, `any(http.queries.a) == "2" && net.protocol == "http"`,
					`lower(http.headers.x_a) ^= "none" && !(http.path == "/x")`, `net.src.ip in 10.0.0.0/8 && net.dst.port > 7999 && http.path ~ "^/net"`,
				} {
					routes = append(routes, &entity.Route{ID: fmt.Sprint("expression", i), Expression: text})
				}
				requests = append(requests,
					Request{Method: "GET", Path: "/s/t/u"}, Request{Method: "GET", Scheme: "http", Path: "/q", Query: "b=1&a=1&a=2"},
					Request{Method: "GET", Path: "/y", Headers: headerMap{"x-a": {"NONEs"}}},
					Request{Method: "GET", Path: "/net/x", ListenPort: 8000, Addresses: ends{source: "10.1.2.3:80"}})
			}
			r, err := New(routes, Options{Flavor: flavor})
			if err != nil {
				t.Fatal(err)
			}
			var m Match
			n := testing.AllocsPerRun(10, func() {
				for i := range requests {
					if !r.Match(&requests[i], &m) {
						t.Fatalf("request %d: no match", i)
					}
				}
				if r.Match(&Request{Method: "GET", Host: "no.where", Path: "/nowhere"}, &m) {
					t.Fatal("match for nothing")
				}
			})
			if n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}
