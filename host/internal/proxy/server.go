package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/timedconn"
)

// ServerOptions bound what clients may do.
type ServerOptions struct {
	MaxHeaderBytes int           // of a request head
	ReadTimeout    time.Duration // gap between two reads, of one request or between two
	WriteTimeout   time.Duration // gap between two writes
	MaxConns       int           // client connections at once; 0: no bound
}

// Server accepts connections for a proxy.
type Server struct {
	proxy *Proxy
	opts  ServerOptions
	http  fasthttp.Server
	serve sync.WaitGroup
	mu    sync.Mutex
	errs  []error
}

// NewServer makes a server; Serve starts it.
func NewServer(p *Proxy, o ServerOptions) *Server {
	s := &Server{proxy: p, opts: o}
	s.http = fasthttp.Server{
		Handler:                       p.Handle,
		ErrorHandler:                  p.badRequest,
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		DisableHeaderNamesNormalizing: true,
		DisablePreParseMultipartForm:  true,
		StreamRequestBody:             true,
		CloseOnShutdown:               true,
		ReadBufferSize:                o.MaxHeaderBytes,
		WriteBufferSize:               16 << 10,
		Concurrency:                   o.MaxConns,
		Logger:                        quiet{p.opts.Logger},
	}
	return s
}

// Serve accepts connections from ln until Shutdown. It returns at once.
func (s *Server) Serve(ln net.Listener) {
	s.serve.Go(func() {
		err := s.http.Serve(&timedListener{Listener: ln, opts: s.opts})
		if err != nil && !errors.Is(err, net.ErrClosed) {
			s.mu.Lock()
			s.errs = append(s.errs, err)
			s.mu.Unlock()
			s.proxy.opts.Logger.Error("listener failed", "address", ln.Addr().String(), "error", err.Error())
		}
	})
}

// Shutdown closes the listeners and waits for the requests in flight, at most until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.ShutdownWithContext(ctx)
	s.serve.Wait()
	return err
}

// badRequest answers what fasthttp could not parse.
func (p *Proxy) badRequest(ctx *fasthttp.RequestCtx, err error) {
	status := http.StatusBadRequest
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &small):
		status = 431 // nginx: 494, shown as 400; RFC 6585 has a status for it
	case errors.As(err, &timeout) && timeout.Timeout():
		status = http.StatusRequestTimeout
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	var id [32]byte
	newRequestID(&id)
	contentType, body := errorBody(formatOf(p.opts.ErrorDefaultType), defaultMessage(status), string(id[:]))
	ctx.Response.Header.DisableNormalizing()
	ctx.SetStatusCode(status)
	ctx.SetContentType(contentType)
	ctx.SetBody(body)
	ctx.SetConnectionClose()
	if p.opts.ServerTokens {
		ctx.Response.Header.SetServer("outrigger/" + p.opts.Version)
	}
	if p.opts.RequestIDHeader {
		ctx.Response.Header.SetBytesV("X-Kong-Request-Id", id[:])
	}
	p.opts.Logger.Info("bad request", "client_ip", ctx.RemoteIP().String(), "status", status, "request_id", string(id[:]), "error", err.Error())
}

// quiet takes fasthttp's own lines, which are about single connections, to level debug.
type quiet struct{ logger *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.logger.Debug("http", "message", format, "args", args)
}

// timedListener bounds the gaps between reads and writes of the connections that it accepts.
type timedListener struct {
	net.Listener
	opts ServerOptions
}

func (l *timedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &timedconn.Conn{Conn: c, ReadTimeout: l.opts.ReadTimeout, WriteTimeout: l.opts.WriteTimeout}, nil
}
