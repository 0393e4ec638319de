package admin

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/quarantine"
)

// Watched is what those ask who watch a gateway.
type Watched interface {
	Status() Status
	// Unready is why the gateway is not ready; empty: it is.
	Unready() []Reason
	// Metrics is a scrape in the format of Prometheus.
	Metrics() (text []byte, contentType string, err error)
}

// Status is a gateway as an operator sees it.
type Status struct {
	Version       string                `json:"version"`
	NodeID        string                `json:"node_id"`
	Ready         bool                  `json:"ready"`
	Process       Process               `json:"process"`
	Server        Traffic               `json:"server"`
	Generation    Generation            `json:"generation"`
	LastGood      *LastGood             `json:"last_good,omitempty"`
	PluginServers []pluginserver.Status `json:"plugin_servers"`
	Quarantine    quarantine.Status     `json:"quarantine"` // requests that killed a plugin server
	Upstreams     []balancer.Status     `json:"upstreams"`
	// ConfigurationHash is that of the generation, where those look who watch a Kong.
	ConfigurationHash string `json:"configuration_hash"`
}

// Process is what answers: during an upgrade there are two.
type Process struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

// Traffic are the connections of clients and their requests, in Kong's words.
type Traffic struct {
	Accepted uint64 `json:"connections_accepted"` // since the start, as the next two
	Handled  uint64 `json:"connections_handled"`
	Requests uint64 `json:"total_requests"`
	Active   uint64 `json:"connections_active"`
	Reading  uint64 `json:"connections_reading"`
	Writing  uint64 `json:"connections_writing"`
	Waiting  uint64 `json:"connections_waiting"`
}

// Generation is the configuration that is live.
type Generation struct {
	Number    uint64 `json:"number"`
	Hash      string `json:"hash"` // of the entities, 32 hex digits
	Services  int    `json:"services"`
	Routes    int    `json:"routes"`
	Consumers int    `json:"consumers"`
	Plugins   int    `json:"plugins"`
	Origin    string `json:"origin"`  // file, last_good (that of the file was refused at the start) or none
	Waiting   bool   `json:"waiting"` // for a plugin server that was never up
}

// LastGood is the newest configuration that is kept in state_dir.
type LastGood struct {
	Hash string    `json:"hash"`
	Kept time.Time `json:"kept"`
}

// Reason is one reason why a gateway is not ready.
type Reason struct {
	Server string `json:"server,omitempty"` // the plugin server; "": the gateway itself
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// readiness is the body of /status/ready.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons,omitempty"`
}

// NewStatus makes the server of the status listener, which answers those who watch the gateway and nobody else.
func NewStatus(w Watched, logger *slog.Logger) *Server {
	s := newServer("status", logger)
	s.routes = watchRoutes(w)
	return s
}

// watchRoutes is what both listeners answer.
func watchRoutes(w Watched) []Route {
	ready := func(*Request) Answer {
		reasons := w.Unready()
		if len(reasons) > 0 {
			return Answer{Status: http.StatusServiceUnavailable, Body: readiness{Reasons: reasons}}
		}
		return Answer{Body: readiness{Ready: true}}
	}
	return []Route{
		{http.MethodGet, "/status", func(*Request) Answer { return Answer{Body: w.Status()} }},
		{http.MethodGet, "/status/ready", ready},
		{http.MethodGet, "/ready", ready},
		{http.MethodGet, "/metrics", func(*Request) Answer {
			text, contentType, err := w.Metrics()
			if err != nil {
				return Problem(http.StatusInternalServerError, err.Error())
			}
			return Answer{Text: text, ContentType: contentType}
		}},
	}
}
