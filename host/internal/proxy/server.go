package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/guard"
	"github.com/outrigger-gateway/outrigger/host/internal/parking"
	"github.com/outrigger-gateway/outrigger/host/internal/serving"
)

// ServerOptions bound what clients may do.
type ServerOptions struct {
	Limits        guard.Limits
	HeaderTimeout time.Duration // for a whole request head, from its first byte on, and for that on a new connection
	BodyTimeout   time.Duration // gap between two pieces of a request body
	IdleTimeout   time.Duration // gap between two requests
	WriteTimeout  time.Duration // gap between two pieces of a response that the client takes
	BodyRate      int           // a request body may be slower for BodyTimeout in all, in bytes per second; 0: as slow as it likes. See pace.go
	SendRate      int           // a client may take a response slower for WriteTimeout in all, likewise
	// MaxConnections is how many connections of clients may be open; 0: no limit. Others wait with the kernel.
	MaxConnections int
	IgnoreAbort    bool // requests are served to their end although the client has gone
}

// Server accepts connections for a proxy.
type Server struct {
	proxy     *Proxy
	opts      ServerOptions
	http      fasthttp.Server
	listeners serving.Listeners
	lot       *parking.Lot   // of idle connections; nil: they are not parked
	running   sync.WaitGroup // connections that the HTTP library did not accept itself
	giveBack  giveBack
	looking   context.Context // until nobody looks for clients that have gone any more
	endLook   context.CancelFunc
	ending    atomic.Bool
	leaving   atomic.Bool // a response ends its connection; see leave.go
	connections
}

// NewServer makes a server; Serve starts it.
func NewServer(p *Proxy, o ServerOptions) *Server {
	s := &Server{proxy: p, opts: o}
	s.served, s.freed.L = map[*clientConn]struct{}{}, &s.mu
	p.counters.most.Store(int64(o.MaxConnections))
	s.http = fasthttp.Server{
		Handler:                       s.handle,
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		NoDefaultDate:                 true, // the upstream's is forwarded: see keepDate
		DisableHeaderNamesNormalizing: true,
		DisablePreParseMultipartForm:  true,
		ConnState:                     p.connState,
		CloseOnShutdown:               true,
		MaxIdleWorkerDuration:         time.Second, // goroutines are cheap to start
		ReadBufferSize:                standInSize,
		WriteBufferSize:               16 << 10,
		Concurrency:                   max(o.MaxConnections, fasthttp.DefaultConcurrency),
		Logger:                        quiet{p.opts.Logger},
	}
	s.looking, s.endLook = context.WithCancel(context.Background())
	if !o.IgnoreAbort {
		s.watchClients()
	}
	lot, err := parking.New()
	if err == nil {
		s.lot = lot
	} else {
		p.opts.Logger.Debug("idle connections keep their buffers", "error", err.Error())
	}
	return s
}

// Serve accepts connections from ln until Shutdown. It returns at once.
func (s *Server) Serve(ln net.Listener) { s.serve(ln, false) }

// ServeProxied is Serve for connections that begin with a PROXY header. Others are closed.
func (s *Server) ServeProxied(ln net.Listener) { s.serve(ln, true) }

func (s *Server) serve(bare net.Listener, proxied bool) {
	ln := &listener{Listener: serving.Patient{Listener: bare, Logger: s.proxy.opts.Logger}, bare: bare, server: s, proxied: proxied}
	s.listeners.Serve(ln, func() {
		err := s.http.Serve(ln)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			s.proxy.opts.Logger.Error("listener failed", "address", ln.Addr().String(), "error", err.Error())
		}
	})
}

// quiet takes fasthttp's own lines, which are about single connections, to level debug.
type quiet struct{ logger *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.logger.Debug("http", "message", format, "args", args)
}

// unwrapped is the connection of the operating system.
func unwrapped(c net.Conn) net.Conn {
	if cc, ok := c.(*clientConn); ok {
		return cc.Conn.Conn
	}
	return c
}
