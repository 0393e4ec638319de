// Package goplugin holds the one service of hashicorp/go-plugin that a plugin server answers itself.
//
// Go needs no generated code for it, and must not have any: go-plugin registers the same protobuf names, and a process that
// holds both would stop at start. The empty message of protobuf's well-known types has the same bytes.
package goplugin

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// ControllerService is the full name of the service.
const ControllerService = "plugin.GRPCController"

// ControllerServer is told to end the process.
type ControllerServer interface {
	// Shutdown starts the end of the server; it may return before the end.
	Shutdown(ctx context.Context) error
}

// RegisterController makes s answer plugin.GRPCController.
func RegisterController(s grpc.ServiceRegistrar, srv ControllerServer) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: ControllerService,
		HandlerType: (*ControllerServer)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Shutdown", Handler: shutdown}},
		Metadata:    "goplugin/grpc_controller.proto",
	}, srv)
}

// Shutdown asks the plugin server behind cc to end.
func Shutdown(ctx context.Context, cc grpc.ClientConnInterface) error {
	return cc.Invoke(ctx, "/"+ControllerService+"/Shutdown", new(emptypb.Empty), new(emptypb.Empty))
}

func shutdown(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	in := new(emptypb.Empty)
	if err := decode(in); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, _ any) (any, error) {
		if err := srv.(ControllerServer).Shutdown(ctx); err != nil {
			return nil, err
		}
		return new(emptypb.Empty), nil
	}
	if intercept == nil {
		return handle(ctx, in)
	}
	return intercept(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/" + ControllerService + "/Shutdown"}, handle)
}
