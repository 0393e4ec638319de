// Package admin serves what an operator asks a running gateway: its status, and what it would do with a request. Everything is read-only JSON.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
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
}

// New makes a server; Serve starts it.
func New(g Gateway, logger *slog.Logger) *Server {
	s := &Server{gateway: g, logger: logger}
	s.http = fasthttp.Server{
		Handler: s.handle, NoDefaultServerHeader: true, CloseOnShutdown: true, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		ReadBufferSize: 32 << 10, MaxRequestBodySize: 64 << 10, Logger: quiet{logger},
	}
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

// problem is every answer that is not 200.
type problem struct {
	Message  string `json:"message"`
	Field    string `json:"field,omitempty"` // of the query
	Found    string `json:"found,omitempty"`
	Expected string `json:"expected,omitempty"`
}

func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	var body any
	status := http.StatusOK
	switch path := string(ctx.Path()); {
	case misled(ctx.LocalAddr(), string(ctx.Host())):
		status, body = http.StatusForbidden, problem{
			Message: "found host " + string(ctx.Host()) + " on a loopback address, expected localhost or an address", Field: "Host",
		}
	case path != "/explain" && path != "/status":
		status, body = http.StatusNotFound, problem{Message: "there is nothing at " + path + "; expected /explain or /status"}
	case !ctx.IsGet() && !ctx.IsHead():
		ctx.Response.Header.Set("Allow", "GET, HEAD")
		status, body = http.StatusMethodNotAllowed, problem{Message: "found method " + string(ctx.Method()) + ", expected GET"}
	case path == "/status":
		body = s.gateway.Status()
	default:
		status, body = s.explain(ctx.QueryArgs())
	}
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"message": "the answer cannot be written as JSON"}`)
		s.logger.Error("admin: encoding an answer", "error", err.Error())
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.SetBody(append(text, '\n'))
}

// misled reports whether somebody came to a loopback address by a name that is not its own: the browser of somebody on this machine, with a page
// whose host was made to point here (DNS rebinding). The page would read the answer.
func misled(local net.Addr, host string) bool {
	tcp, ok := local.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil
}

// explain answers /explain?method=&url=&header=&sni=&client_ip=&consumer=&group=&credential=. header and group may be given several times.
func (s *Server) explain(args *fasthttp.Args) (int, any) {
	var q explain.Query
	single := map[string]*string{
		"method": &q.Method, "url": &q.URL, "sni": &q.SNI, "client_ip": &q.ClientIP, "consumer": &q.Consumer, "credential": &q.Credential,
	}
	for name, value := range args.All() {
		field, known := single[string(name)]
		switch {
		case known:
			*field = string(value)
		case string(name) == "header":
			q.Headers = append(q.Headers, string(value))
		case string(name) == "group":
			q.Groups = append(q.Groups, string(value))
		default:
			return http.StatusBadRequest, problem{
				Message: "unknown parameter", Field: string(name), Found: string(name),
				Expected: "method, url, header, sni, client_ip, consumer, group or credential",
			}
		}
	}
	report, err := s.gateway.Explain(q)
	var wrong *explain.QueryError
	switch {
	case errors.As(err, &wrong):
		return http.StatusBadRequest, problem{Message: wrong.Error(), Field: wrong.Field, Found: wrong.Found, Expected: wrong.Expected}
	case err != nil:
		return http.StatusServiceUnavailable, problem{Message: err.Error()}
	}
	return http.StatusOK, report
}
