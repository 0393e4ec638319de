// Package extproc is an external processor of Envoy. It is asked for the request headers alone; the response header is made by Envoy from the
// request header that the processor set, so that a request costs one message each way.
package extproc

import (
	"errors"
	"io"
	"net"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ext "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Serve answers until the listener is closed.
func Serve(l net.Listener) error {
	s := grpc.NewServer()
	ext.RegisterExternalProcessorServer(s, processor{})
	return s.Serve(l)
}

type processor struct {
	ext.UnimplementedExternalProcessorServer
}

// Process serves one HTTP request.
func (processor) Process(stream ext.ExternalProcessor_ProcessServer) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
			return nil
		}
		if err != nil {
			return err
		}
		headers := in.GetRequestHeaders()
		if headers == nil {
			return status.Errorf(codes.InvalidArgument, "%T was sent, expected request headers", in.Request)
		}
		if err := stream.Send(answer(headers)); err != nil {
			return err
		}
	}
}

func answer(headers *ext.HttpHeaders) *ext.ProcessingResponse {
	var name, agent []byte
	for _, h := range headers.Headers.Headers {
		switch h.Key {
		case "x-name":
			name = h.RawValue
		case "user-agent":
			agent = h.RawValue
		}
	}
	common := &ext.CommonResponse{}
	if len(agent) > 0 {
		common.HeaderMutation = &ext.HeaderMutation{SetHeaders: []*core.HeaderValueOption{{
			Header:       &core.HeaderValue{Key: "x-hello", RawValue: append([]byte("good day, "), name...)},
			AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}}}
	}
	return &ext.ProcessingResponse{Response: &ext.ProcessingResponse_RequestHeaders{RequestHeaders: &ext.HeadersResponse{Response: common}}}
}
