// Package service is kong.Service of go-pdk.
package service

import "github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"

// Service says where the request goes.
type Service struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Service { return Service{c} }

// SetUpstream sends the request to an upstream. Unlike in Kong, one that does not exist is an error.
func (s Service) SetUpstream(host string) error { return s.call.PDK.Service.SetUpstream(host) }

// SetTarget sends the request to a host and port.
func (s Service) SetTarget(host string, port int) error {
	return s.call.PDK.Service.SetTarget(host, port)
}
