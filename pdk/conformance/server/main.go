// Command server serves the driver of the Go PDK.
package main

import (
	"github.com/outrigger-gateway/outrigger/pdk/conformance"
	"github.com/outrigger-gateway/outrigger/pdk/server"
)

func main() { server.Serve(conformance.Plugin) }
