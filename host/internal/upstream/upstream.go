// Package upstream sends requests to the services behind the gateway. It owns its connections and keeps idle ones per target; fasthttp
// lends it the codecs of the HTTP/1.1 head.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Target is one place to send requests to. Targets that compare equal share connections.
type Target struct {
	TLS       bool
	TLSVerify bool
	Host      string
	Port      int
	// Timeouts bound one connection attempt, and the gap between two writes or reads.
	ConnectTimeout, WriteTimeout, ReadTimeout time.Duration
}

// Address is host:port.
func (t *Target) Address() string { return net.JoinHostPort(t.name(), strconv.Itoa(t.Port)) }

// name is the host without the brackets of an IPv6 address.
func (t *Target) name() string { return strings.Trim(t.Host, "[]") }

// Options bound the kept connections.
type Options struct {
	IdlePerTarget   int           // 0: connections are not kept
	RequestsPerConn int           // 0: no limit
	IdleTimeout     time.Duration // 0: 60 s
	// BufferBelow: bodies of known length up to this many bytes are read at once, others stream. 0: 64 KiB.
	BufferBelow int
}

func (o Options) withDefaults() Options {
	if o.BufferBelow == 0 {
		o.BufferBelow = 64 << 10
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 60 * time.Second
	}
	return o
}

// Transport sends requests. It may be used by many goroutines.
type Transport struct {
	opts   Options
	mu     sync.RWMutex
	pools  map[Target]*pool
	closed bool
	stop   chan struct{}
	swept  sync.WaitGroup
	dialer net.Dialer
}

// New makes a transport; Close ends it.
func New(o Options) *Transport {
	t := &Transport{opts: o.withDefaults(), pools: map[Target]*pool{}, stop: make(chan struct{})}
	t.swept.Go(t.sweep)
	return t
}

// Kind says what went wrong with a request.
type Kind uint8

// Kinds of failure.
const (
	KindConnect     Kind = iota // no connection: refused, unreachable
	KindResolve                 // the name does not resolve
	KindTimeout                 // connecting, sending or waiting took too long
	KindBadResponse             // closed or talked nonsense before the response head was complete
	KindBody                    // the client's body could not be read
)

// Error is a request that got no response, or none whose small body was complete.
type Error struct {
	Kind Kind
	Err  error
	// Answered: the response head had come, so that the request must not be sent again.
	Answered bool
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// RoundTrip sends req and reads the response head into resp; the body follows in resp, in memory when it is small, else as a stream that holds the
// connection until it is closed. retries is how often a failed try may be repeated: only while no byte of a request body was consumed, and,
// once something was sent, only for idempotent methods (spec/gateway.md 7.3).
func (t *Transport) RoundTrip(target *Target, req *fasthttp.Request, resp *fasthttp.Response, retries int) error {
	p, err := t.pool(target)
	if err != nil {
		return err
	}
	stream := req.IsBodyStream()
	once := stream || !idempotent(req)
	for try := 0; ; try++ {
		c, reused, err := p.get(once)
		if err != nil {
			if try < retries && retryableConnect(err) {
				continue
			}
			return err
		}
		sent, err := c.exchange(req, resp)
		if err == nil {
			return nil
		}
		c.close()
		if stream || answered(err) {
			return err
		}
		if reused && !once && staleError(err) {
			retries++ // the peer had closed an idle connection: that was no try
		}
		if try >= retries || sent && once {
			return err
		}
		resp.ResetBody() // the head is replaced by the next one that is read
	}
}

func retryableConnect(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == KindConnect || e.Kind == KindTimeout)
}

// answered reports whether the upstream began to answer.
func answered(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Answered || e.Kind == KindBody)
}

// staleError recognises a kept connection that the peer had closed meanwhile.
func staleError(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == KindBadResponse
}

func idempotent(req *fasthttp.Request) bool {
	switch string(req.Header.Method()) {
	case "POST", "PATCH", "LOCK", "CONNECT":
		return false
	}
	return true
}

// Close closes the idle connections and waits for the sweeper.
func (t *Transport) Close() {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed = true
	pools := t.pools
	t.pools = nil
	t.mu.Unlock()
	close(t.stop)
	t.swept.Wait()
	for _, p := range pools {
		p.close()
	}
}

func (t *Transport) pool(target *Target) (*pool, error) {
	t.mu.RLock()
	p, closed := t.pools[*target], t.closed
	t.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	if closed {
		return nil, &Error{Kind: KindConnect, Err: net.ErrClosed}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, &Error{Kind: KindConnect, Err: net.ErrClosed}
	}
	if p = t.pools[*target]; p == nil {
		p = &pool{transport: t, target: *target}
		t.pools[*target] = p
	}
	return p, nil
}

// sweep closes connections that were idle for too long, and drops pools that nobody has used since.
func (t *Transport) sweep() {
	tick := time.NewTicker(t.opts.IdleTimeout / 4)
	defer tick.Stop()
	for {
		select {
		case <-t.stop:
			return
		case now := <-tick.C:
			t.mu.Lock()
			for target, p := range t.pools {
				if p.expire(now.Add(-t.opts.IdleTimeout)) {
					delete(t.pools, target)
				}
			}
			t.mu.Unlock()
		}
	}
}

func (t *Transport) dial(target *Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), target.ConnectTimeout)
	defer cancel()
	c, err := t.dialer.DialContext(ctx, "tcp", target.Address())
	if err == nil && target.TLS {
		tc := tls.Client(c, &tls.Config{ServerName: target.name(), InsecureSkipVerify: !target.TLSVerify, NextProtos: []string{"http/1.1"}}) //nolint:gosec // tls_verify is the service's choice
		if err = tc.HandshakeContext(ctx); err != nil {
			_ = c.Close()
		}
		c = tc
	}
	if err == nil {
		return c, nil
	}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return nil, &Error{Kind: KindResolve, Err: err}
	case isTimeout(err):
		return nil, &Error{Kind: KindTimeout, Err: err}
	}
	return nil, &Error{Kind: KindConnect, Err: err}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// classify turns an error of the wire into an Error.
func (c *conn) classify(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case isTimeout(err), c.net.ReadErr != nil && isTimeout(c.net.ReadErr):
		return &Error{Kind: KindTimeout, Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("upstream closed the connection before the response was complete")
	}
	return &Error{Kind: KindBadResponse, Err: err}
}
