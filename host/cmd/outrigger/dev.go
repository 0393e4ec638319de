package main

import (
	"io"
	"log/slog"

	"github.com/outrigger-gateway/outrigger/host/internal/dev"
)

// develop runs a gateway that follows the sources of its plugin servers.
func develop(args []string, out, errOut io.Writer) int {
	o, dirs, ok := arguments("dev", args, errOut)
	if !ok {
		return exitUsage
	}
	s, err := dev.New(dev.Options{Dirs: dirs, Host: o, Out: out})
	if err != nil {
		return fail(errOut, err)
	}
	p := newProcess()
	p.serve(slog.New(slog.NewTextHandler(errOut, nil))) // the gateway's own exists once it has started
	return keep(s, p, out, errOut)
}
