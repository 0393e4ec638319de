package router

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// manyRoutes is a mix as gateways have it: for each five, a host with a path, one of two methods on the same path, a path alone,
// a wildcard host, and a regex path.
func manyRoutes(n int) ([]*entity.Route, []Request) {
	var routes []*entity.Route
	var requests []Request
	add := func(r *entity.Route, req Request) {
		r.ID = fmt.Sprintf("%08d", len(routes))
		r.StripPath = true
		routes = append(routes, r)
		req.ListenPort, req.Scheme = 8000, "http"
		if req.Method == "" {
			req.Method = "GET"
		}
		requests = append(requests, req)
	}
	for i := 0; len(routes) < n; i++ {
		host := fmt.Sprintf("shop%d.example.com", i)
		path := fmt.Sprintf("/api/v%d/items%d", i%3, i)
		add(&entity.Route{Hosts: []string{host}, Paths: []string{path}}, Request{Host: host, Path: path + "/17"})
		add(&entity.Route{Hosts: []string{host}, Paths: []string{"/both"}, Methods: []string{"POST"}}, Request{Method: "POST", Host: host, Path: "/both/x"})
		add(&entity.Route{Paths: []string{path}}, Request{Host: "other.example.org", Path: path + "/list"})
		add(&entity.Route{Hosts: []string{"*." + host}, Paths: []string{"/wild"}}, Request{Host: "eu." + host, Path: "/wild/cat"})
		add(&entity.Route{Paths: []string{fmt.Sprintf(`~/users%d/[0-9]+$`, i)}}, Request{Host: "other.example.org", Path: fmt.Sprintf("/users%d/42", i)})
	}
	return routes[:n], requests[:n]
}

// asExpressions gives routes of manyRoutes the same meaning as expressions.
func asExpressions(routes []*entity.Route) []*entity.Route {
	for i, r := range routes {
		var all []string
		for _, h := range r.Hosts {
			if rest, wild := strings.CutPrefix(h, "*"); wild {
				all = append(all, fmt.Sprintf("http.host =^ %q", rest))
			} else {
				all = append(all, fmt.Sprintf("http.host == %q", h))
			}
		}
		for _, m := range r.Methods {
			all = append(all, fmt.Sprintf("http.method == %q", m))
		}
		for _, p := range r.Paths {
			if pattern, regex := strings.CutPrefix(p, "~"); regex {
				all = append(all, fmt.Sprintf("http.path ~ %q", "^"+pattern))
			} else {
				all = append(all, fmt.Sprintf("http.path ^= %q", p))
			}
		}
		routes[i] = &entity.Route{ID: r.ID, StripPath: true, Expression: strings.Join(all, " && "), Priority: 100*len(all) + len(r.Paths[0])}
	}
	return routes
}

// manyRoutesFor is manyRoutes for a flavour.
func manyRoutesFor(f Flavor, n int) ([]*entity.Route, []Request) {
	routes, requests := manyRoutes(n)
	if f == Expressions {
		routes = asExpressions(routes)
	}
	return routes, requests
}

// flavors are all flavours.
var flavors = []Flavor{TraditionalCompatible, Traditional, Expressions}

// shuffled puts requests in another order and their text into one piece of memory, in that order: a request that has just been read from a connection is
// in the processor's cache, and what the benchmark is to show is the memory that the router touches.
func shuffled(requests []Request) []Request {
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	var text strings.Builder
	for _, r := range requests {
		text.WriteString(r.Host + r.Path)
	}
	rest := text.String()
	for i := range requests {
		r := &requests[i]
		r.Host, rest = rest[:len(r.Host)], rest[len(r.Host):]
		r.Path, rest = rest[:len(r.Path)], rest[len(r.Path):]
	}
	return requests
}

func BenchmarkMatch(b *testing.B) {
	for _, flavor := range flavors {
		for _, n := range []int{10, 1_000, 10_000, 100_000} {
			routes, requests := manyRoutesFor(flavor, n)
			r, err := New(routes, Options{Flavor: flavor})
			if err != nil {
				b.Fatal(err)
			}
			requests = shuffled(requests)
			for _, kind := range []struct {
				name string
				pick func(i int) int
			}{
				{"one request", func(int) int { return 0 }},
				{"all in turn", func(i int) int { return i % len(requests) }},
			} {
				b.Run(fmt.Sprintf("%s/%s/routes=%d", flavor, kind.name, n), func(b *testing.B) {
					b.ReportAllocs()
					var m Match
					for i := 0; b.Loop(); i++ {
						if !r.Match(&requests[kind.pick(i)], &m) {
							b.Fatal("no match")
						}
					}
				})
			}
			b.Run(fmt.Sprintf("%s/no route/routes=%d", flavor, n), func(b *testing.B) {
				var m Match
				req := &Request{Method: "GET", Scheme: "http", Host: "no.where.example.com", ListenPort: 8000, Path: "/api/v1/nowhere"}
				for b.Loop() {
					if r.Match(req, &m) {
						b.Fatal("match")
					}
				}
			})
		}
	}
}

// BenchmarkNew compiles routes, and says how many bytes a compiled route keeps.
func BenchmarkNew(b *testing.B) {
	for _, flavor := range flavors {
		for _, n := range []int{10, 1_000, 10_000, 100_000} {
			routes, _ := manyRoutesFor(flavor, n)
			b.Run(fmt.Sprintf("%s/routes=%d", flavor, n), func(b *testing.B) {
				var kept *Router
				before := liveHeap()
				for b.Loop() {
					var err error
					if kept, err = New(routes, Options{Flavor: flavor}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(liveHeap()-before)/float64(n), "B/route")
				runtime.KeepAlive(kept)
			})
		}
	}
}

// liveHeap is the size of what is in use.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
