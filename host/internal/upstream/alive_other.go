//go:build !linux

package upstream

import "net"

// probe cannot look at connections on this system: the next exchange finds out.
type probe struct{}

func (*probe) of(net.Conn) {}

func (*probe) quiet() bool { return true }
