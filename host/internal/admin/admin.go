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
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/explain"
	"github.com/outrigger-gateway/outrigger/host/internal/serving"
)

// Gateway is what the Admin listener asks.
type Gateway interface {
	Watched
	Replacer
	Upgrader
	Balancer
	LogLevels
	Differ
	// Explain answers from the current generation. A mistake in the query is an *explain.QueryError.
	Explain(q explain.Query) (*explain.Report, error)
}

// Server is the Admin listener, or the status listener.
type Server struct {
	name      string  // for messages: admin, status
	gateway   Gateway // nil: the status listener
	logger    *slog.Logger
	http      fasthttp.Server
	listeners serving.Listeners
	routes    []Route
	// Latency: answers say in X-Kong-Admin-Latency how many milliseconds they took. It is set before Serve.
	Latency bool
}

// New makes the server of the Admin listener; Serve starts it.
func New(g Gateway, logger *slog.Logger) *Server {
	s := newServer("admin", logger)
	s.gateway = g
	s.http.MaxRequestBodySize = maxDocument
	s.routes = s.adminRoutes()
	return s
}

func newServer(name string, logger *slog.Logger) *Server {
	s := &Server{name: name, logger: logger}
	s.http = fasthttp.Server{
		Handler: s.handle, NoDefaultServerHeader: true, CloseOnShutdown: true, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		ReadBufferSize: 32 << 10, MaxRequestBodySize: 64 << 10, Logger: quiet{name, logger},
	}
	return s
}

// quiet takes fasthttp's own lines, which are about single connections, to level debug.
type quiet struct {
	name   string
	logger *slog.Logger
}

func (q quiet) Printf(format string, args ...any) {
	q.logger.Debug(q.name, "message", fmt.Sprintf(format, args...))
}

// Serve answers connections from ln until Shutdown. It returns at once.
func (s *Server) Serve(ln net.Listener) {
	ln = serving.Patient{Listener: ln, Logger: s.logger}
	s.listeners.Serve(ln, func() {
		if err := s.http.Serve(ln); err != nil && !errors.Is(err, net.ErrClosed) {
			s.logger.Error(s.name+" listener failed", "address", ln.Addr().String(), "error", err.Error())
		}
	})
}

// Shutdown closes the listeners and waits for the requests in flight, at most until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.listeners.Shutdown(ctx, &s.http)
}

func (s *Server) handle(ctx *fasthttp.RequestCtx) { s.write(ctx, s.survive(ctx)) }

// survive answers also when a handler panics, which would end the gateway.
func (s *Server) survive(ctx *fasthttp.RequestCtx) (a Answer) {
	defer func() {
		if v := recover(); v != nil {
			s.logger.Error(s.name+": a handler panicked", "path", string(ctx.Path()), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			a = Problem(http.StatusInternalServerError, "the gateway has a bug here: its log says more")
		}
	}()
	return s.answer(ctx)
}

// adminRoutes is everything that the Admin listener answers.
func (s *Server) adminRoutes() []Route {
	return append(append(append(watchRoutes(s.gateway), s.upstreamRoutes()...), s.logLevelRoutes()...),
		Route{http.MethodGet, "/explain", s.explain},
		Route{http.MethodPost, "/config/diff", s.diff},
		Route{http.MethodPost, "/plugin-servers/{name}/replace", s.replace},
		Route{http.MethodPost, "/plugin-servers/{name}/promote", s.decide(true)},
		Route{http.MethodPost, "/plugin-servers/{name}/rollback", s.decide(false)},
		Route{http.MethodPost, "/upgrade", s.upgrade},
	)
}

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
