// Package pdk lets plugins that were written for Kong's go-pdk (v0.11) run in Outrigger after a change of their imports:
//
//	import (
//		"github.com/outrigger-gateway/outrigger/pdk/kongcompat"        // was github.com/Kong/go-pdk
//		"github.com/outrigger-gateway/outrigger/pdk/kongcompat/server" // was github.com/Kong/go-pdk/server
//	)
//
//	func (conf Config) Access(kong *pdk.PDK) { host, err := kong.Request.GetHeader("host") … }
//	func main()                              { server.StartServer(New, Version, Priority) }
//
// The other packages of go-pdk have the same names below this one. README.md says what differs.
package pdk

import (
	outrigger "github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/client"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/ctx"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/ip"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/log"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/nginx"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/node"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/request"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/response"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/router"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/service"
	servicerequest "github.com/outrigger-gateway/outrigger/pdk/kongcompat/service/request"
	serviceresponse "github.com/outrigger-gateway/outrigger/pdk/kongcompat/service/response"
)

// PDK is what a handler gets. It is valid until the handler returns.
type PDK struct {
	Client          client.Client
	Ctx             ctx.Ctx
	Log             log.Log
	Nginx           nginx.Nginx
	Request         request.Request
	Response        response.Response
	Router          router.Router
	IP              ip.Ip
	Node            node.Node
	Service         service.Service
	ServiceRequest  servicerequest.Request
	ServiceResponse serviceresponse.Response

	// Outrigger is the whole PDK, with what go-pdk does not have.
	Outrigger *outrigger.PDK
}

func newPDK(c *call.Call) *PDK {
	return &PDK{
		Client: client.New(c), Ctx: ctx.New(c), Log: log.New(c), Nginx: nginx.New(c), Request: request.New(c), Response: response.New(c),
		Router: router.New(c), IP: ip.New(c), Node: node.New(c), Service: service.New(c),
		ServiceRequest: servicerequest.New(c), ServiceResponse: serviceresponse.New(c), Outrigger: c.PDK,
	}
}
