package pluginserver

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	grpclane "github.com/outrigger-gateway/outrigger/host/internal/transport/grpc"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/msgpack"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// openLane opens one lane over the carrier that the settings name.
func openLane(ctx context.Context, l *life, o transport.Options) (transport.Lane, error) {
	return dialLane(ctx, l, l.peer.server.cfg.Carrier, nil, o)
}

// Route replaces the address of a data plane, by that of a relay in front of it.
type Route func(network, address string) (string, string)

func dialLane(ctx context.Context, l *life, carrier string, route Route, o transport.Options) (transport.Lane, error) {
	if carrier == CarrierGRPC {
		return grpclane.Open(ctx, l.link.conn, o)
	}
	plane := l.desc.plane
	var conf *tls.Config
	switch {
	case plane.network == "tcp" && l.link.tls != nil:
		conf = l.link.tls.config(l.link.addr)
	case plane.network == "unix" && l.link.socket != nil && route == nil:
		if err := l.link.socket.check(plane.addr); err != nil {
			return nil, err
		}
		o.Check = l.link.socket.checkPeer
	}
	network, address := plane.network, plane.addr
	if route != nil {
		network, address = route(network, address)
	}
	return msgpack.Dial(ctx, network, address, conf, o)
}

// SideLane is a lane beside those that Call uses.
type SideLane struct {
	Carrier string
	Hello   wire.HostHello
	OnLog   func(rec transport.LogRecord)
	Route   Route // nil: straight to the server
}

// OpenLane opens a lane of its own to the first process of the server that is ready, with another hello or over another carrier than the
// settings say. Calls on it reach the instances of the server. It ends with the process at the latest; the caller closes it.
func (s *Server) OpenLane(ctx context.Context, o SideLane) (transport.Lane, error) {
	s.mu.Lock()
	lives := s.takingCalls()
	reason := s.reason()
	s.mu.Unlock()
	if len(lives) == 0 {
		return nil, &UnreachableError{s.cfg.Name, reason.Error()}
	}
	l := lives[0]
	if o.Carrier != CarrierGRPC && l.desc.plane.network == "" {
		return nil, fmt.Errorf("open a lane to plugin server %q: it has no data plane for %s", s.cfg.Name, CarrierMsgpack)
	}
	return dialLane(ctx, l, o.Carrier, o.Route, transport.Options{Hello: o.Hello, Token: l.desc.plane.token, MaxInFlight: s.cfg.MaxInFlight, OnLog: o.OnLog})
}
