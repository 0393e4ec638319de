package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
)

// Listeners are where a server listens. Serve closes them.
type Listeners struct {
	Control net.Listener // gRPC, required
	Data    net.Listener // carrier msgpack; nil: the server offers carrier grpc alone
	TLS     *tls.Config  // nil: none; for both, but not for a data plane on a unix socket: its owner alone reaches it
}

// drainTime is how long running handlers may take when the server ends.
const drainTime = 5 * time.Second

// stopTime is how long the control plane may take to finish after that, and closeTime the instances' Close.
const (
	stopTime  = 500 * time.Millisecond
	closeTime = time.Second
)

// Serve serves until ctx ends or somebody asks for the end (Shutdown, or the host by go-plugin's controller), then lets running handlers finish, closes
// the instances and returns nil. An error means that it could not serve. A Server serves once.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	s.stop = stop
	s.mu.Unlock()

	planes := []*pluginv1.DataPlane{{Carrier: "grpc"}}
	var creds credentials.TransportCredentials
	if l.TLS != nil {
		creds = credentials.NewTLS(l.TLS)
	}
	l.Control = patientListener{l.Control, "the control plane", s.logger}
	if l.Data != nil {
		l.Data = patientListener{l.Data, "the data plane", s.logger}
		planes = append(planes, &pluginv1.DataPlane{Carrier: "msgpack", Network: l.Data.Addr().Network(), Address: reachable(l.Data.Addr()), Token: s.token})
		if l.TLS != nil && l.Data.Addr().Network() != "unix" {
			l.Data = tls.NewListener(l.Data, l.TLS)
		}
	}
	g, h := s.newControlServer(planes, creds)
	var serving sync.WaitGroup
	failed := make(chan error, 2)
	serving.Go(func() {
		if err := g.Serve(l.Control); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			failed <- fmt.Errorf("serving the control plane: %w", err)
			stop()
		}
	})
	if l.Data != nil {
		serving.Go(func() {
			if err := s.acceptLanes(l.Data); err != nil && ctx.Err() == nil { // a server that takes no lanes must not look healthy
				failed <- fmt.Errorf("serving the data plane: %w", err)
				stop()
			}
		})
	}

	<-ctx.Done()
	h.Shutdown()
	s.letCallsEnd(within(drainTime), h)
	if l.Data != nil {
		_ = l.Data.Close()
	}
	s.sayGoodbye()
	stopControl(g)
	serving.Wait()
	s.closeInstances()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// letCallsEnd waits until no call runs, and no host that knows of the end may still send one: who watches the health sends no more calls
// and closes its lanes. A host that does not watch is only waited for while its calls run.
func (s *Server) letCallsEnd(ctx context.Context, h *watchedHealth) {
	s.running.wait(ctx)
	if h.watching.Load() > 0 {
		s.open.wait(ctx)
		s.running.wait(ctx)
	}
}

// stopControl lets calls of the control plane finish, at most for stopTime.
func stopControl(g *grpc.Server) {
	timer := time.AfterFunc(stopTime, g.Stop)
	defer timer.Stop()
	g.GracefulStop()
}

// closeInstances closes what is left when the server ends. Instances that a handler still uses are closed when it returns, if the process lives.
func (s *Server) closeInstances() {
	for _, id := range s.instances.ids() {
		s.instances.remove(id)
	}
	s.instances.closing.wait(within(closeTime))
}

// within is a context that ends by itself.
func within(d time.Duration) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(d, cancel)
	return ctx
}

// reachable is the address that the host dials. A wildcard address leaves the host part out: the host takes that of the control plane.
func reachable(addr net.Addr) string {
	if t, ok := addr.(*net.TCPAddr); ok && t.IP.IsUnspecified() {
		return fmt.Sprintf(":%d", t.Port)
	}
	return addr.String()
}
