package admin

import (
	"net/http"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
)

// Balancer knows the upstreams that are live.
type Balancer interface {
	Upstreams() []balancer.Status
	// SetHealth makes a target of an upstream, or one address of it, healthy or unhealthy until checks say otherwise; false when there is none.
	SetHealth(upstream, target string, healthy bool) bool
}

// upstreamRoutes are what the Admin listener answers about upstreams, at the paths of Kong.
func (s *Server) upstreamRoutes() []Route {
	return []Route{
		{http.MethodGet, "/upstreams/{name}/health", s.upstreamHealth},
		{http.MethodPut, "/upstreams/{name}/targets/{target}/healthy", s.setHealth(true)},
		{http.MethodPut, "/upstreams/{name}/targets/{target}/unhealthy", s.setHealth(false)},
	}
}

// upstreamHealth answers with one upstream as /status shows it.
func (s *Server) upstreamHealth(r *Request) Answer {
	for _, u := range s.gateway.Upstreams() {
		if u.Name == r.Param("name") {
			return Answer{Body: u}
		}
	}
	return Problem(http.StatusNotFound, "there is no upstream "+r.Param("name"))
}

func (s *Server) setHealth(healthy bool) Handler {
	return func(r *Request) Answer {
		name, target := r.Param("name"), r.Param("target")
		if !s.gateway.SetHealth(name, target, healthy) {
			return Problem(http.StatusNotFound, "there is no upstream "+name+" with the target or address "+target+"; expected host:port")
		}
		return s.upstreamHealth(r)
	}
}
