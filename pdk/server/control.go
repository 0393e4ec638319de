package server

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/outrigger-gateway/outrigger/pdk/schema"
	pluginv1 "github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/goplugin"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// control answers the control plane.
type control struct {
	pluginv1.UnimplementedPluginServerServer
	server *Server
	planes []*pluginv1.DataPlane
}

// newControlServer makes the gRPC server of the control plane, with health and the service by which go-plugin ends a process.
func (s *Server) newControlServer(planes []*pluginv1.DataPlane, creds credentials.TransportCredentials) (*grpc.Server, *watchedHealth) {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(wire.MaxFrame + 1<<20),
		grpc.MaxSendMsgSize(wire.MaxFrame + 1<<20),
	}
	if creds != nil {
		options = append(options, grpc.Creds(creds))
	}
	g := grpc.NewServer(options...)
	pluginv1.RegisterPluginServerServer(g, &control{server: s, planes: planes})
	goplugin.RegisterController(g, controller{s})
	h := &watchedHealth{Server: health.NewServer()} // serves the empty name from the start
	h.SetServingStatus("plugin", healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(g, h)
	return g, h
}

// watchedHealth knows how many watch it. A host that does hears at once that this server goes away, sends no more calls, and closes its lanes
// when the last one has ended.
type watchedHealth struct {
	*health.Server
	watching atomic.Int64
}

// Watch implements healthv1.HealthServer.
func (h *watchedHealth) Watch(r *healthv1.HealthCheckRequest, stream healthv1.Health_WatchServer) error {
	h.watching.Add(1)
	defer h.watching.Add(-1)
	return h.Server.Watch(r, stream)
}

// controller is told by go-plugin to end the process.
type controller struct{ server *Server }

func (c controller) Shutdown(context.Context) error {
	c.server.Shutdown()
	return nil
}

// Describe implements pluginv1.PluginServerServer.
func (c *control) Describe(_ context.Context, in *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	version, ok := wire.ChooseVersion(in.GetMinProtocolVersion(), in.GetProtocolVersion(), wire.MinVersion, wire.Version)
	if !ok { // the host refuses it, with words for both sides
		version = wire.Version
	}
	d := &pluginv1.DescribeResponse{
		ProtocolVersion: version, MinProtocolVersion: wire.MinVersion, MaxProtocolVersion: wire.Version, SdkLanguage: sdkLanguage, SdkVersion: sdkVersion,
		DataPlanes: c.planes, Lanes: 1, Overlapping: true, Pid: uint32(os.Getpid()),
	}
	for _, h := range c.server.plugins {
		d.Plugins = append(d.Plugins, h.manifest)
	}
	return d, nil
}

// Configure implements pluginv1.PluginServerServer.
func (c *control) Configure(ctx context.Context, in *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	h := c.server.find(in.GetPlugin())
	if h == nil {
		return nil, status.Errorf(codes.NotFound, "configuring instance %d: this server has no plugin %q", in.GetInstanceId(), in.GetPlugin())
	}
	err := c.server.configureWithin(ctx, in, h)
	out := &pluginv1.ConfigureResponse{}
	var faults *schema.Error
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, errStillHanging):
		return nil, status.Errorf(codes.Unavailable, "configuring instance %d: %v", in.GetInstanceId(), err)
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case !errors.As(err, &faults):
		out.Errors = append(out.Errors, &pluginv1.FieldError{Message: text(err.Error())})
		return out, nil
	}
	for _, p := range faults.Problems {
		out.Errors = append(out.Errors, &pluginv1.FieldError{Path: text(p.Path), Message: text(p.Message)})
	}
	return out, nil
}

// Release implements pluginv1.PluginServerServer.
func (c *control) Release(_ context.Context, in *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	for _, id := range in.GetInstanceIds() {
		c.server.instances.remove(id)
	}
	return &pluginv1.ReleaseResponse{}, nil
}

// Drain implements pluginv1.PluginServerServer.
func (c *control) Drain(ctx context.Context, in *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.GetTimeoutMs())*time.Millisecond)
	defer cancel()
	return &pluginv1.DrainResponse{Drained: c.server.running.wait(ctx)}, nil
}

// Dispatch implements pluginv1.PluginServerServer.
func (c *control) Dispatch(stream pluginv1.PluginServer_DispatchServer) error {
	return c.server.dispatch(stream)
}

// text makes a string one that protobuf takes.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
