// Package ip is kong.IP of go-pdk.
package ip

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Ip tells which addresses are trusted.
type Ip struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Ip { return Ip{c} }

// IsTrusted reports whether an address is inside trusted_ips.
func (ip Ip) IsTrusted(address string) (bool, error) {
	return call.Read(ip.call, pdk.FnIPIsTrusted, func() bool { return ip.call.PDK.IP.IsTrusted(address) })
}
