package pluginserver

import (
	"context"
	"crypto/tls"

	"github.com/outrigger-gateway/outrigger/host/internal/transport"
	grpclane "github.com/outrigger-gateway/outrigger/host/internal/transport/grpc"
	"github.com/outrigger-gateway/outrigger/host/internal/transport/msgpack"
)

// openLane opens one lane over the carrier that the settings name.
func openLane(ctx context.Context, l *life, o transport.Options) (transport.Lane, error) {
	if l.peer.server.cfg.Carrier == CarrierGRPC {
		return grpclane.Open(ctx, l.link.conn, o)
	}
	plane := l.desc.plane
	var conf *tls.Config
	if plane.network == "tcp" && l.link.tls != nil {
		conf = clientTLS(l.link.tls, l.link.addr)
	}
	return msgpack.Dial(ctx, plane.network, plane.addr, conf, o)
}
