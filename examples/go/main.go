// Command examples-go is a plugin server that hosts the four example plugins in Go.
//
// The gateway starts it when outrigger.yaml names it:
//
//	plugin_servers:
//	  - {name: go, command: [bin/examples-go]}
package main

import (
	"github.com/outrigger-gateway/outrigger/examples/go/digest"
	"github.com/outrigger-gateway/outrigger/examples/go/gatekeeper"
	"github.com/outrigger-gateway/outrigger/examples/go/hello"
	"github.com/outrigger-gateway/outrigger/examples/go/stamp"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

func main() {
	server.Serve(hello.Plugin, gatekeeper.Plugin, stamp.Plugin, digest.Plugin)
}
