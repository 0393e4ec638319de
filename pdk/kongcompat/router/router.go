// Package router is kong.Router of go-pdk.
package router

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/entities"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Router tells what was matched.
type Router struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Router { return Router{c} }

// GetRoute returns the route of the request, an empty one when there is none.
func (c Router) GetRoute() (route entities.Route, err error) {
	r, err := call.Read(c.call, pdk.FnRouterGetRoute, c.call.PDK.Router.GetRoute)
	if r == nil {
		return route, err
	}
	route = entities.Route{
		Id: r.ID, CreatedAt: int(r.CreatedAt), UpdatedAt: int(r.UpdatedAt), Name: r.Name, Protocols: r.Protocols, Methods: r.Methods, Hosts: r.Hosts,
		Paths: r.Paths, HTTPSRedirectStatusCode: r.HTTPSRedirectStatusCode, RegexPriority: r.RegexPriority, StripPath: r.StripPath,
		PreserveHost: r.PreserveHost, SNIs: r.SNIs, Tags: r.Tags,
	}
	if r.Service != nil {
		route.Service.Id = r.Service.ID
	}
	return route, nil
}

// GetService returns the service of the route, an empty one when there is none.
func (c Router) GetService() (service entities.Service, err error) {
	s, err := call.Read(c.call, pdk.FnRouterGetService, c.call.PDK.Router.GetService)
	if s == nil {
		return service, err
	}
	return entities.Service{
		Id: s.ID, CreatedAt: int(s.CreatedAt), UpdatedAt: int(s.UpdatedAt), Name: s.Name, Retries: s.Retries, Protocol: s.Protocol, Host: s.Host, Port: s.Port,
		Path: s.Path, ConnectTimeout: s.ConnectTimeout, WriteTimeout: s.WriteTimeout, ReadTimeout: s.ReadTimeout, Tags: s.Tags,
	}, nil
}
