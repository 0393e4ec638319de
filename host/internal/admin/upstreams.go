package admin

import (
	"net/http"
	"slices"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
)

// Balancer knows the upstreams that are live.
type Balancer interface {
	Upstreams() []balancer.Status
	// SetHealth makes a target of an upstream, or one address of it, healthy or unhealthy until checks say otherwise; false when there is none.
	SetHealth(upstream, target string, healthy bool) bool
}

// upstreamRoutes are what the Admin listener answers about upstreams, at the paths of Kong. Health is changed with PUT, as Kong wants it, and with POST, as
// its client go-kong sends it.
func (s *Server) upstreamRoutes() []Route {
	routes := []Route{{http.MethodGet, "/upstreams/{name}/health", s.upstreamHealth}}
	for _, place := range []string{"{target}", "{target}/{address}"} {
		for _, method := range []string{http.MethodPut, http.MethodPost} {
			routes = append(routes,
				Route{method, "/upstreams/{name}/targets/" + place + "/healthy", s.setHealth(true)},
				Route{method, "/upstreams/{name}/targets/" + place + "/unhealthy", s.setHealth(false)})
		}
	}
	return routes
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
		name, target, address := r.Param("name"), r.Param("target"), r.Param("address")
		if address != "" && !s.standsFor(name, target, address) {
			return Problem(http.StatusNotFound, "there is no upstream "+name+" with a target "+target+" that has the address "+address+"; expected host:port and one of its addresses, ip:port")
		}
		if address != "" {
			target = address
		}
		if !s.gateway.SetHealth(name, target, healthy) {
			return Problem(http.StatusNotFound, "there is no upstream "+name+" with the target or address "+target+"; expected host:port")
		}
		return s.upstreamHealth(r)
	}
}

// standsFor reports whether a target of an upstream has an address.
func (s *Server) standsFor(name, target, address string) bool {
	for _, u := range s.gateway.Upstreams() {
		for i := range u.Targets {
			t := &u.Targets[i]
			if u.Name == name && t.Target == target && slices.ContainsFunc(t.Addresses, func(p balancer.PlaceStatus) bool { return p.Address == address }) {
				return true
			}
		}
	}
	return false
}
