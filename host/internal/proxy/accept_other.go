//go:build !linux

package proxy

import "net"

// acceptWaiting finds none here.
func acceptWaiting(net.Listener) []net.Conn { return nil }
