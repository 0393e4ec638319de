// Package goplugin is a reverse proxy with a plugin in another process, as most Go developers would write it: net/http/httputil in front,
// hashicorp/go-plugin, and one unary gRPC call per request that carries the headers as a map.
package goplugin

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "PEER_PLUGIN", MagicCookieValue: "hello"}

// filter is the plugin in go-plugin's words.
type filter struct {
	plugin.NetRPCUnsupportedPlugin
}

func (filter) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	RegisterFilterServer(s, server{})
	return nil
}

func (filter) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewFilterClient(conn), nil
}

type server struct{ UnimplementedFilterServer }

// Access reads two headers and sets one each way.
func (server) Access(_ context.Context, r *Request) (*Reply, error) {
	if r.Headers["User-Agent"] == "" {
		return &Reply{}, nil
	}
	hello := map[string]string{"X-Hello": "good day, " + r.Headers["X-Name"]}
	return &Reply{RequestHeaders: hello, ResponseHeaders: hello}, nil
}

// Serve is the plugin's process.
func Serve() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake, Plugins: map[string]plugin.Plugin{"filter": filter{}}, GRPCServer: plugin.DefaultGRPCServer,
		Logger: hclog.NewNullLogger(),
	})
}

// start starts the plugin. The function it returns ends it.
func start() (FilterClient, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	c := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: map[string]plugin.Plugin{"filter": filter{}}, Cmd: exec.Command(self, "plugin"),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, Logger: hclog.NewNullLogger(),
	})
	client, err := c.Client()
	if err != nil {
		c.Kill()
		return nil, nil, err
	}
	f, err := client.Dispense("filter")
	if err != nil {
		c.Kill()
		return nil, nil, err
	}
	return f.(FilterClient), c.Kill, nil
}

// Proxy serves until the listener is closed.
func Proxy(l net.Listener, upstream string, withPlugin bool) error {
	target, err := url.Parse("http://" + upstream)
	if err != nil || target.Host == "" {
		return fmt.Errorf("--upstream %q, expected HOST:PORT", upstream)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	var handler http.Handler = proxy
	if withPlugin {
		client, kill, err := start()
		if err != nil {
			return err
		}
		defer kill()
		handler = ask(client, proxy)
	}
	return http.Serve(l, handler)
}

// ask asks the plugin about each request before next gets it.
func ask(client FilterClient, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers := make(map[string]string, len(r.Header))
		for name := range r.Header {
			headers[name] = r.Header.Get(name)
		}
		reply, err := client.Access(r.Context(), &Request{Method: r.Method, Path: r.URL.Path, Headers: headers})
		if err != nil {
			http.Error(w, "the plugin failed", http.StatusInternalServerError)
			return
		}
		for name, value := range reply.RequestHeaders {
			r.Header.Set(name, value)
		}
		for name, value := range reply.ResponseHeaders {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}
