package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

// attach makes a Server of processes that already run: a peer for each address.
func (ss *Servers) attach(cfg Config) (*Server, error) {
	s := newServer(cfg, ss, ss.open)
	rules, err := cfg.Socket.rules()
	var client *tlsClient
	if err == nil && cfg.TLS != nil {
		client, err = newTLSClient(*cfg.TLS, s.logger)
	}
	if err != nil {
		return nil, fmt.Errorf("plugin server %q: %w", cfg.Name, err)
	}
	for _, text := range cfg.Addresses {
		addr, _ := parseAddress(text) // checked with the configuration
		s.addPeer(&attached{cfg: &s.cfg, addr: addr, socket: rules, tls: client})
	}
	return s, nil
}

// attached connects to one process that already runs.
type attached struct {
	cfg    *Config
	addr   address
	socket *socketRules
	tls    *tlsClient // nil: none
}

// attempt remembers why the last attempt of a connection failed: gRPC's own words do not say enough.
type attempt struct {
	mu              sync.Mutex
	dial, handshake error
}

func (a *attempt) note(into *error, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*into = err
}

func (a *attempt) why() (dial, handshake error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dial, a.handshake
}

// connectTimeout bounds one attempt to connect: where packets are dropped, a new one finds out soon that they are not any more.
const connectTimeout = 3 * time.Second

// refusal is a check of a socket that has failed: it says everything itself.
type refusal struct{ error }

func (a *attached) open(ctx context.Context) (*link, error) {
	var last attempt
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		conn, err := a.dial(ctx)
		last.note(&last.dial, err)
		return conn, err
	}
	creds, authority := insecure.NewCredentials(), "localhost"
	if a.tls != nil {
		creds = &handshakes{a.tls, a.addr, func(err error) { last.note(&last.handshake, err) }}
		authority = a.tls.config(a.addr).ServerName
	}
	conn, err := grpc.NewClient("passthrough:///"+a.cfg.Name, grpc.WithContextDialer(dial), grpc.WithTransportCredentials(creds),
		grpc.WithAuthority(authority), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", a.addr, err)
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			conn.Close()
			return nil, a.explain(ctx, state, &last)
		}
	}
	return &link{
		conn: conn, addr: a.addr, tls: a.tls, socket: a.socket,
		close: func() { conn.Close() },
	}, nil
}

// dial connects once the socket is what it has to be.
func (a *attached) dial(ctx context.Context) (net.Conn, error) {
	unix := a.addr.network == "unix"
	if unix {
		if err := a.socket.check(a.addr.addr); err != nil {
			return nil, refusal{err}
		}
	}
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, a.addr.network, a.addr.addr)
	if err == nil && unix {
		if err = a.socket.checkPeer(conn); err != nil {
			conn.Close()
			return nil, refusal{err}
		}
	}
	return conn, err
}

// explain says why no connection came up.
func (a *attached) explain(ctx context.Context, state connectivity.State, last *attempt) error {
	dialErr, handshakeErr := last.why()
	var refused refusal
	switch {
	case errors.As(dialErr, &refused):
		return refused.error
	case dialErr != nil && a.addr.network == "unix":
		return explainSocket(a.addr.addr, rootCause(dialErr))
	case timedOut(dialErr):
		return fmt.Errorf("connect to %s: nothing answers: the machine or the network is down, or a firewall drops the packets", a.addr)
	case dialErr != nil:
		return fmt.Errorf("connect to %s: %w", a.addr, rootCause(dialErr))
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Cause(ctx)
	case handshakeErr != nil:
		return a.tls.explain(a.addr, handshakeErr)
	case state == connectivity.TransientFailure && a.tls != nil:
		return fmt.Errorf("connect to %s: somebody listens, but ends the connection after the TLS handshake: is it a plugin server that trusts this host's certificate?", a.addr)
	case state == connectivity.TransientFailure:
		return fmt.Errorf("connect to %s: somebody listens, but does not speak gRPC without TLS", a.addr)
	}
	return fmt.Errorf("connect to %s: no answer within %v", a.addr, a.cfg.StartTimeout)
}

func timedOut(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// rootCause strips what net puts around a system error: the message names the address already.
func rootCause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
