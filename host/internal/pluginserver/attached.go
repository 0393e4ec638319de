package pluginserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// attached connects to servers that already run.
type attached struct {
	cfg  *Config
	addr address
}

func (a *attached) open(ctx context.Context) (*link, error) {
	var mu sync.Mutex
	var dialErr error // of the last attempt: gRPC's own words do not say enough
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, a.addr.network, a.addr.addr)
		mu.Lock()
		defer mu.Unlock()
		dialErr = err
		return conn, err
	}
	creds, authority := insecure.NewCredentials(), "localhost"
	if a.cfg.TLS != nil {
		conf := clientTLS(a.cfg.TLS, a.addr)
		creds, authority = credentials.NewTLS(conf), conf.ServerName
	}
	conn, err := grpc.NewClient("passthrough:///"+a.cfg.Name, grpc.WithContextDialer(dial), grpc.WithTransportCredentials(creds),
		grpc.WithAuthority(authority), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", a.addr, err)
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		mu.Lock()
		err := dialErr
		mu.Unlock()
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			conn.Close()
			return nil, a.explain(ctx, state, err)
		}
	}
	return &link{
		conn: conn, addr: a.addr, tls: a.cfg.TLS,
		ending:   func() string { return "the connection to " + a.addr.String() + " ended" },
		shutdown: func(context.Context) {},
		close:    func() { conn.Close() },
	}, nil
}

// clientTLS is conf for the server at addr: its name is the host of the address unless conf says otherwise.
func clientTLS(conf *tls.Config, addr address) *tls.Config {
	conf = conf.Clone()
	if conf.ServerName == "" {
		if conf.ServerName = addr.host(); conf.ServerName == "" {
			conf.ServerName = "localhost"
		}
	}
	return conf
}

// explain says why no connection came up.
func (a *attached) explain(ctx context.Context, state connectivity.State, dialErr error) error {
	switch {
	case dialErr != nil && a.addr.network == "unix":
		return explainSocket(a.addr.addr, rootCause(dialErr))
	case dialErr != nil:
		return fmt.Errorf("connect to %s: %w", a.addr, rootCause(dialErr))
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Cause(ctx)
	case state == connectivity.TransientFailure && a.cfg.TLS != nil:
		return fmt.Errorf("connect to %s: somebody listens, but the TLS or HTTP/2 handshake fails: is it a plugin server that trusts this host's certificate?", a.addr)
	case state == connectivity.TransientFailure:
		return fmt.Errorf("connect to %s: somebody listens, but does not speak gRPC without TLS", a.addr)
	}
	return fmt.Errorf("connect to %s: no answer within %v", a.addr, a.cfg.StartTimeout)
}

// rootCause strips what net puts around a system error: the message names the address already.
func rootCause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
