//go:build !linux

package upstream

import "net"

// alive cannot tell on this system: the next exchange finds out.
func alive(net.Conn) bool { return true }
