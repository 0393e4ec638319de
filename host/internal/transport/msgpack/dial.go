package msgpack

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/flight"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

const (
	// openTimeout bounds the opening of a lane when the context has no deadline.
	openTimeout = 10 * time.Second
	maxHello    = 64 << 10
)

// Dial opens a lane to the data plane of a plugin server: network unix or tcp, TLS with a configuration, plain without. It returns
// when the server's hello has come. The context bounds the opening only.
func Dial(ctx context.Context, network, address string, tlsConf *tls.Config, o transport.Options) (transport.Lane, error) {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openTimeout)
		defer cancel()
	}
	peer := "plugin server at " + network + " " + address
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		kind := transport.Closed
		if ctx.Err() != nil { // net has words of its own for it
			kind, err = transport.Timeout, fmt.Errorf("no connection in time: %w", context.Cause(ctx))
		}
		return nil, &transport.Error{Kind: kind, Msg: "opening a lane to the " + peer, Err: err}
	}
	if o.Check != nil {
		if err := o.Check(conn); err != nil {
			_ = conn.Close()
			return nil, &transport.Error{Kind: transport.Closed, Msg: "opening a lane to the " + peer, Err: err}
		}
	}
	// The context is gone, or its deadline passed: whatever the connection waits for ends.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	l, err := handshake(ctx, conn, tlsConf, o)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		kind := transport.Closed
		var bad *wire.FormatError
		switch {
		case ctx.Err() != nil:
			kind, err = transport.Timeout, fmt.Errorf("no hello in time: %w", context.Cause(ctx))
		case errors.As(err, &bad):
			kind = transport.BadFrame
		}
		return nil, &transport.Error{Kind: kind, Msg: "opening a lane to the " + peer, Err: err}
	}
	l.peer = peer
	l.r.start(l)
	return l, nil
}

// handshake sends greeting and hello and reads the server's hello.
func handshake(ctx context.Context, conn net.Conn, tlsConf *tls.Config, o transport.Options) (*lane, error) {
	if len(o.Token) > 0xffff {
		return nil, fmt.Errorf("the token has %d bytes, at most 65535 are allowed", len(o.Token))
	}
	if tlsConf != nil {
		secured := tls.Client(conn, tlsConf)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		conn = secured
	}
	if o.Hello.Version == 0 {
		o.Hello.Version = wire.Version
	}
	first := wire.AppendGreeting(nil, o.Token)
	start := len(first)
	first = wire.AppendHostHello(wire.BeginFrame(first), &o.Hello)
	wire.EndFrame(first, start, 0, wire.TypeHello)
	if _, err := conn.Write(first); err != nil && !hungUp(err) { // who hung up may have said why
		return nil, fmt.Errorf("sending hello: %w", err)
	}
	r := newReader(conn, cmp.Or(o.FrameTime, defaultFrameTime))
	hello, err := readHello(r.frames)
	if err != nil {
		return nil, err
	}
	l := &lane{
		conn: conn, hello: hello, logs: flight.NewLogs(o), r: r,
		table: flight.NewTable[[]byte, []byte](o),
	}
	l.w = newWriter(conn, func(err error) {
		l.fail(&transport.Error{Kind: transport.Closed, Msg: "writing to the " + l.peer, Err: err}, nil)
	})
	return l, nil
}

// hungUp reports whether the peer has closed the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func readHello(r *wire.Reader) (wire.ServerHello, error) {
	f, body, err := r.Next()
	switch {
	case hungUp(err):
		return wire.ServerHello{}, errors.New("it closed the connection before its hello: wrong token or version")
	case err != nil:
		return wire.ServerHello{}, fmt.Errorf("waiting for hello: %w", err)
	case f.Type == wire.TypeGoAway:
		g, err := wire.DecodeGoAway(bytes.Clone(body))
		if err != nil {
			return wire.ServerHello{}, err
		}
		return wire.ServerHello{}, fmt.Errorf("it refused: %w", &wire.Error{Code: g.Code, Message: g.Message})
	case f.Type != wire.TypeHello || len(body) > maxHello:
		return wire.ServerHello{}, &wire.FormatError{What: "hello", Msg: fmt.Sprintf("%s of %d bytes came first", f.Type, len(body))}
	}
	hello, err := wire.DecodeServerHello(bytes.Clone(body))
	if err == nil && hello.Version != wire.Version {
		err = &wire.FormatError{What: "hello", Msg: fmt.Sprintf("the server speaks version %d, expected %d", hello.Version, wire.Version)}
	}
	return hello, err
}
