package router

import (
	"fmt"
	"math/rand/v2"
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
	for _, n := range []int{10, 1_000, 10_000} {
		routes, requests := manyRoutes(n)
		r, err := New(routes, Options{})
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
			b.Run(fmt.Sprintf("%s/routes=%d", kind.name, n), func(b *testing.B) {
				b.ReportAllocs()
				var m Match
				for i := 0; b.Loop(); i++ {
					if !r.Match(&requests[kind.pick(i)], &m) {
						b.Fatal("no match")
					}
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	routes, _ := manyRoutes(10_000)
	for b.Loop() {
		if _, err := New(routes, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
