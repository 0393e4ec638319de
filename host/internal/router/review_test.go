package router

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// reviewText writes a review in lines such as "hidden b path 1 by a" and "tie a over b by id: GET h /x".
func reviewText(v Review) []string {
	ids := func(routes []*entity.Route) string {
		var all []string
		for _, r := range routes {
			all = append(all, r.ID)
		}
		return strings.Join(all, " ")
	}
	var lines []string
	for _, h := range v.Hidden {
		what := h.Route.ID
		if h.Path >= 0 {
			what += fmt.Sprintf(" path %d", h.Path)
		}
		lines = append(lines, "hidden "+what+" by "+ids(h.By))
	}
	for _, t := range v.Ties {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprintf("tie %s over %s by %s: %s %s %s", t.Winner.ID, t.Loser.ID, t.Rule, t.Method, t.Host, t.Path)), " "))
	}
	return lines
}

func TestReviewTable(t *testing.T) {
	text, err := os.ReadFile("testdata/review.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Case   string
		Strict bool
		Routes []routeSpec
		Want   []string
	}
	if err := yaml.Load(text, &cases, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			var routes []*entity.Route
			for i := range c.Routes {
				routes = append(routes, c.Routes[i].route())
			}
			for range 2 {
				r, err := New(routes, Options{StrictProtocols: c.Strict})
				if err != nil {
					t.Fatal(err)
				}
				if got := reviewText(r.Review()); !slices.Equal(got, c.Want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.Want, "\n"))
				}
				slices.Reverse(routes)
			}
		})
	}
}

// TestHiddenRoutesAreNotReached sends requests to routers and expects none at what the review calls hidden.
func TestHiddenRoutesAreNotReached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOptions(t)
		r, err := New(anySlowRouter(t, o).routes, o)
		if err != nil {
			t.Fatal(err)
		}
		found := r.Review()
		var m Match
		for range 16 {
			req := anyRequest(t)
			if !r.Match(req, &m) {
				continue
			}
			for _, h := range found.Hidden {
				if h.Route != m.Route {
					continue
				}
				regex := slices.ContainsFunc(h.Route.Paths, func(p string) bool { return p[0] == '~' && h.Path >= 0 })
				if h.Path < 0 || !regex && h.Route.Paths[h.Path] == m.MatchedPath {
					t.Fatalf("request %+v reaches route %+v, of which the review says %+v", req, m.Route, reviewText(found))
				}
			}
		}
	})
}

// anyOptions makes options of any flavour.
func anyOptions(t *rapid.T) Options {
	return Options{
		Flavor:          rapid.SampledFrom(flavors).Draw(t, "router_flavor"),
		TieBreak:        rapid.SampledFrom([]TieBreak{TieCreated, TieKong}).Draw(t, "router_tie_break"),
		StrictProtocols: rapid.Bool().Draw(t, "strict_protocols"),
	}
}

// TestReviewIsCompleteWithoutRegexes compares the review with all requests that routes of few words can tell apart.
func TestReviewIsCompleteWithoutRegexes(t *testing.T) {
	var requests []*Request
	for _, method := range []string{"GET", "POST", "OTHER"} {
		for _, host := range []string{"a.b", "x.b", "a.x", "x.x", "z.a.b"} {
			for _, port := range []int{80, 81} {
				for _, path := range []string{"/", "/a", "/a/b", "/c"} {
					for _, value := range []string{"1", "2", "3"} {
						for _, sni := range []string{"", "s.t", "u.t", "v"} {
							requests = append(requests, &Request{
								Method: method, Host: host, HostPort: port, Path: path, TLS: sni != "", SNI: sni, Headers: headerMap{"h": {value}},
							})
						}
					}
				}
			}
		}
	}
	some := func(t *rapid.T, label string, from ...string) []string {
		if rapid.Bool().Draw(t, label) {
			return nil
		}
		return rapid.SliceOfN(rapid.SampledFrom(from), 1, 2).Draw(t, label)
	}
	rapid.Check(t, func(t *rapid.T) {
		o := anyOptions(t)
		o.StrictProtocols = false
		names := []string{"s.t", "*.t"}
		if o.Flavor == Traditional {
			names = names[:1]
		}
		routes := make([]*entity.Route, rapid.IntRange(1, 8).Draw(t, "routes"))
		for i := range routes {
			routes[i] = &entity.Route{
				ID: fmt.Sprint(i), Methods: some(t, "methods", "GET", "POST"), Hosts: some(t, "hosts", "a.b", "*.b", "a.*", "a.b:80"),
				Paths: some(t, "paths", "/", "/a", "/a/b"), SNIs: some(t, "snis", names...),
			}
			if values := some(t, "values", "1", "2"); values != nil {
				routes[i].Headers = map[string][]string{"h": values}
			}
		}
		r, err := New(routes, o)
		if err != nil {
			t.Fatal(err)
		}
		reached := map[*entity.Route]bool{}
		var m Match
		for _, req := range requests {
			if r.Match(req, &m) {
				reached[m.Route] = true
			}
		}
		found := r.Review()
		for _, route := range routes {
			hidden := slices.ContainsFunc(found.Hidden, func(h Hidden) bool { return h.Route == route && h.Path < 0 })
			if hidden == reached[route] {
				t.Fatalf("route %+v: reached %t; the review says\n%s", route, reached[route], strings.Join(reviewText(found), "\n"))
			}
		}
	})
}

// TestTiesAreReal sends the request of each tie and expects both routes to fit, and the rule to be the one that explains.
func TestTiesAreReal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOptions(t)
		o.StrictProtocols = false // a tie gives no example of a scheme
		routes := anySlowRouter(t, o).routes
		for _, route := range routes { // which a tie gives no examples of
			route.Headers, route.SNIs = nil, nil
			if route.Expression == "" && len(route.Methods)+len(route.Hosts)+len(route.Paths) == 0 {
				route.Paths = []string{"/"}
			}
		}
		all, err := New(routes, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, tie := range all.Review().Ties {
			r, err := New([]*entity.Route{tie.Winner, tie.Loser}, o)
			if err != nil {
				t.Fatal(err)
			}
			fits := false
			for _, port := range []int{80, 81, 8000} {
				x := r.Explain(&Request{Method: tie.Method, Host: tie.Host, HostPort: port, Path: tie.Path})
				fits = fits || x.Found && len(x.Losers) == 1 && len(x.Losers[0].Missed) == 0
			}
			if !fits {
				t.Fatalf("tie %+v: the request does not fit both", tie)
			}
		}
	})
}

// TestReviewOfManyRoutes reviews 200 routes of the shapes that share most with each other. What it finds is known, and how often it may hold a way to
// a route against a part of what another takes: a few times for each route, and not once for each pair of them.
func TestReviewOfManyRoutes(t *testing.T) {
	const n = 200
	for name, shape := range map[string]func(i int, r *entity.Route){
		"hosts":     func(i int, r *entity.Route) { r.Hosts, r.Paths = []string{fmt.Sprintf("h%d.test", i)}, []string{"/"} },
		"wildcards": func(i int, r *entity.Route) { r.Hosts, r.Paths = []string{fmt.Sprintf("*.h%d.test", i)}, []string{"/"} },
		"paths": func(i int, r *entity.Route) {
			r.Hosts, r.Paths = []string{"h.test"}, []string{fmt.Sprintf("/api/%d/x", i)}
		},
		"headers": func(i int, r *entity.Route) { r.Headers = map[string][]string{"x-tenant": {fmt.Sprint("t", i)}} },
		"regexes": func(i int, r *entity.Route) { r.Paths = []string{fmt.Sprintf(`~/[a]pi/%d/\d+$`, i)} },
		"endings": func(i int, r *entity.Route) { r.Paths = []string{fmt.Sprintf(`~/api/\w+/x%d$`, i)} },
		"open endings": func(i int, r *entity.Route) {
			r.Paths = []string{fmt.Sprintf(`~/api/\w+/x%dx`, i)}
		},
		"endings of a tenant": func(i int, r *entity.Route) {
			r.Paths, r.Headers = []string{fmt.Sprintf(`~/api/\w+/x%d$`, i)}, map[string][]string{"x-tenant": {"t"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			routes := make([]*entity.Route, n, n+1)
			for i := range routes {
				routes[i] = &entity.Route{ID: fmt.Sprintf("r%05d", i)}
				shape(i, routes[i])
			}
			twin := *routes[n/2]
			twin.ID = "twin"
			r, err := New(append(routes, &twin), Options{})
			if err != nil {
				t.Fatal(err)
			}
			reviewer := newReviewer(r)
			v := reviewer.review()
			if reviewer.held > few*n {
				t.Errorf("held %d times, expected at most %d", reviewer.held, few*n)
			}
			if len(v.Hidden) != 1 || v.Hidden[0].Route != &twin || v.Hidden[0].By[0] != routes[n/2] || len(v.Ties) != 0 {
				t.Errorf("found %d hidden, %d ties", len(v.Hidden), len(v.Ties))
			}
		})
	}
}
