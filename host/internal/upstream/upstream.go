// Package upstream sends requests to the services behind the gateway. It owns its connections and keeps idle ones per target; fasthttp
// lends it the codec of the response.
package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Target is one place to send requests to, and how. Targets that differ in nothing but the timeouts share connections.
type Target struct {
	TLS       bool
	TLSVerify bool // the certificate is verified
	// TLSChain is how many certificates the verified chain may have, the upstream's own and the trusted one included; 0: no limit.
	TLSChain    int
	Roots       *x509.CertPool   // trusted certificates; nil: the system's
	Certificate *tls.Certificate // shown to the upstream; nil: none
	ServerName  string           // whose certificate the upstream is to show; "": that of Host
	Host        string
	Port        int
	// Timeouts bound one connection attempt, and the gap between two writes or reads.
	ConnectTimeout, WriteTimeout, ReadTimeout time.Duration
}

// Address is host:port.
func (t *Target) Address() string { return net.JoinHostPort(t.name(), strconv.Itoa(t.Port)) }

// Try makes a target the one of every try.
func (t *Target) Try(int) *Target { return t }

// Done takes no notice of how a try ended.
func (t *Target) Done(int, Outcome) {}

// place is the target without what may differ from request to request on one connection.
func (t *Target) place() Target {
	p := *t
	p.ConnectTimeout, p.WriteTimeout, p.ReadTimeout = 0, 0, 0
	return p
}

// name is the host without the brackets of an IPv6 address.
func (t *Target) name() string { return strings.Trim(t.Host, "[]") }

// Targets says where the tries of one request go.
type Targets interface {
	// Try is the target of try n, from 0; nil when there is none, or is to be no further try. It is asked once for each try, in order, and may change the Host of the
	// request to suit.
	Try(n int) *Target
	// Done tells how try n ended. It is called once for each try that had a target, before the next one.
	Done(n int, o Outcome)
}

// Outcome is how a try ended: with the head of a response, or with an error.
type Outcome struct {
	Status  int           // of the response; 0: its head did not come
	Err     error         // why nothing of use came, an *Error; nil: the response is there
	Connect time.Duration // how long making the connection took; 0: a kept one was taken, or none was made
	Head    time.Duration // from the start of the try until the head of the response; 0: it did not come
	Lost    time.Duration // from the start of the try until it failed; 0: it did not
}

// Options bound the kept connections.
type Options struct {
	IdlePerTarget   int           // 0: connections are not kept
	RequestsPerConn int           // 0: no limit
	IdleTimeout     time.Duration // 0: 60 s
	// Lookup finds the addresses of a host that is a name, in the order in which they are tried; port 0 is that of the target. nil: the system's
	// resolver does.
	Lookup func(ctx context.Context, host string) ([]netip.AddrPort, error)
	// BufferBelow: bodies of known length up to this many bytes are read at once, others stream. 0: 64 KiB.
	BufferBelow int
	MaxHead     int // largest head of a response, bytes; 0: 32 KiB
}

func (o Options) withDefaults() Options {
	if o.BufferBelow == 0 {
		o.BufferBelow = 64 << 10
	}
	if o.MaxHead == 0 {
		o.MaxHead = 32 << 10
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
	pools  map[Target]*pool // by place
	closed bool
	open   context.Context // until Close
	shut   context.CancelFunc
	swept  sync.WaitGroup
	dialer net.Dialer
}

// New makes a transport; Close ends it.
func New(o Options) *Transport {
	t := &Transport{opts: o.withDefaults(), pools: map[Target]*pool{}}
	t.open, t.shut = context.WithCancel(context.Background())
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
	KindNoTarget                // there is no target to send it to
	KindOverflow                // every target has all the requests that it may have
)

// Error is a request that got no response, or none whose small body was complete.
type Error struct {
	Kind Kind
	Err  error
	// Answered: the response head had come, or what came was none, so that the request must not be sent again.
	Answered bool
	// Silent: the connection ended before a byte of the response came.
	Silent bool
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// RoundTrip sends req and reads the response head into resp; the body follows in resp, in memory when it is small, else as a stream that holds the
// connection until it is closed. retries is how often a failed try may be repeated: only while no byte of a long request body was consumed, and,
// once something was sent, only for idempotent methods (spec/gateway.md 7.3). A kept connection that the peer had closed is no try, by the same rules.
// A response that the request gives up for another try (RetryOn) is that of RoundTrip when there is no other.
func (t *Transport) RoundTrip(to Targets, req *Request, resp *fasthttp.Response, retries int) error {
	var last error
	for try := 0; ; try++ {
		target := to.Try(try)
		switch {
		case target != nil:
		case try > 0 && last == nil:
			return nil // the response before is as good as it gets
		case last != nil && req.Quit != nil && req.Quit.Gone(): // while it waited for the next one
			return &Error{Kind: KindBody, Err: ErrClientGone}
		case last != nil: // no further try: the one before says what is wrong
			return last
		default:
			return &Error{Kind: KindNoTarget, Err: errors.New("the upstream has no target that may be used")}
		}
		if try > 0 {
			req.giveUp(resp)
		}
		var done Outcome
		began := req.Started
		if began.IsZero() {
			began = time.Now()
		}
		again, err := t.try(target, req, resp, &done)
		if err != nil {
			done.Err, done.Lost = err, time.Since(began)
		}
		to.Done(try, done)
		if !again || try >= retries {
			return err
		}
		last = err
	}
}

// try sends a request to one target, and says in done how long that took. again says that another try may do better, and do no harm; without an error
// the response is there, and one that the request gives up for another.
func (t *Transport) try(target *Target, req *Request, resp *fasthttp.Response, done *Outcome) (again bool, err error) {
	p, err := t.pool(target)
	if err != nil {
		return false, err
	}
	fresh, now := false, req.Started
	req.Started = time.Time{}
	for {
		if now.IsZero() { // another try
			now = time.Now()
		}
		c, reused, err := p.get(target, now, fresh, req.Quit)
		if err != nil {
			return retryableConnect(err), err
		}
		began := now
		if !reused {
			now = time.Now() // connecting took some
			done.Connect = now.Sub(began)
		}
		sent, err := c.wanted(req, resp, now)
		if err == nil {
			done.Status, done.Head = resp.StatusCode(), req.Answered.Sub(began)
			return req.unwanted(done.Status), nil
		}
		c.close()
		if err == errUnasked { // nothing was sent: that was no try
			continue
		}
		if answered(err) || req.begun || sent && !req.idempotent() {
			return false, err
		}
		if !reused || !staleError(err) {
			return true, err
		}
		resp.ResetBody() // the peer had closed an idle connection: that was no try
		fresh = true     // or the request makes it close each: others of them are to be left alone
		now = time.Time{}
	}
}

// retryableConnect recognises a connection that was not made: no address for the name, refused, or too late.
func retryableConnect(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == KindConnect || e.Kind == KindResolve || e.Kind == KindTimeout)
}

// answered reports whether the upstream began to answer.
func answered(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Answered || e.Kind == KindBody)
}

// staleError recognises a kept connection that the peer had closed meanwhile.
func staleError(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Silent
}

// Close closes the idle connections, ends attempts to make others, and waits for the sweeper.
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
	t.shut()
	t.swept.Wait()
	for _, p := range pools {
		p.close()
	}
}

func (t *Transport) pool(target *Target) (*pool, error) {
	place := target.place()
	t.mu.RLock()
	p, closed := t.pools[place], t.closed
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
	if p = t.pools[place]; p == nil {
		p = &pool{transport: t}
		t.pools[place] = p
	}
	return p, nil
}

// sweep closes connections that were idle for too long, and drops pools that nobody has used since.
func (t *Transport) sweep() {
	tick := time.NewTicker(t.opts.IdleTimeout / 4)
	defer tick.Stop()
	for {
		select {
		case <-t.open.Done():
			return
		case now := <-tick.C:
			t.mu.Lock()
			for place, p := range t.pools {
				if p.expire(now.Add(-t.opts.IdleTimeout)) {
					delete(t.pools, place)
				}
			}
			t.mu.Unlock()
		}
	}
}

// dialing is a connection attempt that ends when its client goes.
type dialing context.CancelFunc

// GiveUp ends the attempt.
func (d dialing) GiveUp(uint32) { d() }

// dial makes a connection, unless the client goes meanwhile or the transport is closed.
func (t *Transport) dial(target *Target, quit Quit) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.open, target.ConnectTimeout)
	defer cancel()
	if quit != nil {
		quit.Enter(dialing(cancel), 0)
		defer quit.Leave()
	}
	c, err := t.connect(ctx, target)
	if err == nil && target.TLS {
		tc := tls.Client(c, target.tlsConfig())
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
	case quit != nil && quit.Gone():
		return nil, &Error{Kind: KindBody, Err: ErrClientGone}
	case errors.As(err, &dns):
		return nil, &Error{Kind: KindResolve, Err: err}
	case isTimeout(err):
		return nil, &Error{Kind: KindTimeout, Err: err}
	}
	return nil, &Error{Kind: KindConnect, Err: err}
}

// connect makes a connection to a target, to the addresses of a name one after another. Each has its share of the time that is left.
func (t *Transport) connect(ctx context.Context, target *Target) (c net.Conn, err error) {
	host := target.name()
	if _, perr := netip.ParseAddr(host); perr == nil || t.opts.Lookup == nil {
		return t.dialer.DialContext(ctx, "tcp", target.Address())
	}
	addrs, err := t.opts.Lookup(ctx, host)
	for i, a := range addrs {
		if a.Port() == 0 {
			a = netip.AddrPortFrom(a.Addr(), uint16(target.Port))
		}
		share, cancel := shareOf(ctx, len(addrs)-i)
		c, err = t.dialer.DialContext(share, "tcp", a.String())
		if cancel(); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// shortestShare is how much of the time an address has at least, as far as there is so much.
const shortestShare = 2 * time.Second

// shareOf is the context of one of n addresses that are left.
func shareOf(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, max(time.Until(end)/time.Duration(n), shortestShare))
}

func (t *Target) tlsConfig() *tls.Config {
	c := &tls.Config{ServerName: cmp.Or(t.ServerName, t.name()), InsecureSkipVerify: !t.TLSVerify, NextProtos: []string{"http/1.1"}, RootCAs: t.Roots} //nolint:gosec // tls_verify is the service's choice
	if t.Certificate != nil {
		c.Certificates = []tls.Certificate{*t.Certificate}
	}
	if limit := t.TLSChain; limit > 0 && t.TLSVerify {
		c.VerifyConnection = func(s tls.ConnectionState) error {
			fewest := math.MaxInt
			for _, chain := range s.VerifiedChains {
				if len(chain) <= limit {
					return nil
				}
				fewest = min(fewest, len(chain)-2)
			}
			return fmt.Errorf("%d certificates stand between the upstream's and a trusted one; at most %d (tls_verify_depth) may", fewest, limit-2)
		}
	}
	return c
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
