// Command peeragent does in the ways of other gateways what the plugin bench-work does in ours: it reads the request headers x-name and user-agent,
// and sets X-Hello on the request to the upstream and on the response.
//
//	peeragent auth --listen unix:PATH|HOST:PORT            an HTTP server for nginx auth_request, Traefik and Caddy forward auth
//	peeragent spoe --listen unix:PATH                      an agent of HAProxy's SPOE
//	peeragent extproc --listen unix:PATH                   an external processor of Envoy
//	peeragent proxy --listen HOST:PORT --upstream HOST:PORT [--plugin]   a reverse proxy of net/http, with a plugin of hashicorp/go-plugin or without
//	peeragent plugin                                       that plugin; the proxy starts it
//
// It is a module of its own: what it needs is no business of the gateway's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/outrigger-gateway/outrigger/bench/peers/auth"
	"github.com/outrigger-gateway/outrigger/bench/peers/extproc"
	"github.com/outrigger-gateway/outrigger/bench/peers/goplugin"
	"github.com/outrigger-gateway/outrigger/bench/peers/spoe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peeragent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("which one? auth, spoe, extproc, proxy or plugin")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	listen := flags.String("listen", "", "unix:PATH or HOST:PORT")
	upstream := flags.String("upstream", "", "HOST:PORT of the upstream of proxy")
	plugin := flags.Bool("plugin", false, "proxy: ask a plugin about every request")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if args[0] == "plugin" {
		goplugin.Serve()
		return nil
	}
	l, err := listener(*listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	switch args[0] {
	case "auth":
		err = auth.Serve(l)
	case "spoe":
		err = spoe.Serve(l)
	case "extproc":
		err = extproc.Serve(l)
	case "proxy":
		err = goplugin.Proxy(l, *upstream, *plugin)
	default:
		err = fmt.Errorf("unknown agent %q, expected auth, spoe, extproc, proxy or plugin", args[0])
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func listener(address string) (net.Listener, error) {
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		_ = os.Remove(path)
		l, err := net.Listen("unix", path)
		if err != nil {
			return nil, err
		}
		return l, os.Chmod(path, 0o666) // nginx and HAProxy drop their rights; the directory keeps others out
	}
	if address == "" {
		return nil, errors.New("--listen is missing: unix:PATH or HOST:PORT")
	}
	return net.Listen("tcp", address)
}
