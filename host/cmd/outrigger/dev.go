package main

import (
	"io"

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
	p.serve(s.Logger())
	return keep(s, p, out, errOut)
}
