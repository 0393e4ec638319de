// Package admin serves what an operator asks a running gateway: its status, what it would do with a request, and what it is to do. Each is a row of the
// table of routes; answers are JSON.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/explain"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver"
	"github.com/outrigger-gateway/outrigger/host/internal/serving"
)

// Gateway is what the server asks.
type Gateway interface {
	// Explain answers from the current generation. A mistake in the query is an *explain.QueryError.
	Explain(q explain.Query) (*explain.Report, error)
	Status() Status
}

// Status is a gateway as an operator sees it.
type Status struct {
	Version       string                `json:"version"`
	NodeID        string                `json:"node_id"`
	Generation    Generation            `json:"generation"`
	PluginServers []pluginserver.Status `json:"plugin_servers"`
}

// Generation is the configuration that is live.
type Generation struct {
	Number    uint64 `json:"number"`
	Hash      string `json:"hash"` // of the entities, 32 hex digits
	Services  int    `json:"services"`
	Routes    int    `json:"routes"`
	Consumers int    `json:"consumers"`
	Plugins   int    `json:"plugins"`
	Waiting   bool   `json:"waiting"` // for a plugin server that was never up
}

// Server is the Admin listener.
type Server struct {
	gateway   Gateway
	logger    *slog.Logger
	http      fasthttp.Server
	listeners serving.Listeners
	routes    []Route
}

// New makes a server; Serve starts it.
func New(g Gateway, logger *slog.Logger) *Server {
	s := &Server{gateway: g, logger: logger}
	s.http = fasthttp.Server{
		Handler: s.handle, NoDefaultServerHeader: true, CloseOnShutdown: true, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		ReadBufferSize: 32 << 10, MaxRequestBodySize: 64 << 10, Logger: quiet{logger},
	}
	s.routes = s.adminRoutes()
	return s
}

// quiet takes fasthttp's own lines, which are about single connections, to level debug.
type quiet struct{ logger *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.logger.Debug("admin", "message", fmt.Sprintf(format, args...))
}

// Serve answers connections from ln until Shutdown. It returns at once.
func (s *Server) Serve(ln net.Listener) {
	s.listeners.Serve(ln, func() {
		if err := s.http.Serve(ln); err != nil && !errors.Is(err, net.ErrClosed) {
			s.logger.Error("admin listener failed", "address", ln.Addr().String(), "error", err.Error())
		}
	})
}

// Shutdown closes the listeners and waits for the requests in flight, at most until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.listeners.Shutdown(ctx, &s.http)
}

func (s *Server) handle(ctx *fasthttp.RequestCtx) { s.write(ctx, s.answer(ctx)) }

// adminRoutes is everything that the Admin listener answers.
func (s *Server) adminRoutes() []Route {
	return []Route{
		{http.MethodGet, "/explain", s.explain},
		{http.MethodGet, "/status", s.status},
	}
}

// status answers /status.
func (s *Server) status(*Request) Answer { return Answer{Body: s.gateway.Status()} }

// explain answers /explain?method=&url=&header=&sni=&client_ip=&consumer=&group=&credential=. header and group may be given several times.
func (s *Server) explain(r *Request) Answer {
	var q explain.Query
	single := map[string]*string{
		"method": &q.Method, "url": &q.URL, "sni": &q.SNI, "client_ip": &q.ClientIP, "consumer": &q.Consumer, "credential": &q.Credential,
	}
	for name, value := range r.Query().All() {
		field, known := single[string(name)]
		switch {
		case known:
			*field = string(value)
		case string(name) == "header":
			q.Headers = append(q.Headers, string(value))
		case string(name) == "group":
			q.Groups = append(q.Groups, string(value))
		default:
			return Answer{Status: http.StatusBadRequest, Body: problem{
				Message: "unknown parameter", Field: string(name), Found: string(name),
				Expected: "method, url, header, sni, client_ip, consumer, group or credential",
			}}
		}
	}
	report, err := s.gateway.Explain(q)
	var wrong *explain.QueryError
	switch {
	case errors.As(err, &wrong):
		return WrongField(wrong.Field, wrong.Found, wrong.Expected)
	case err != nil:
		return Problem(http.StatusServiceUnavailable, err.Error())
	}
	return Answer{Body: report}
}
