// Package nginx is kong.Nginx of go-pdk, answered by the gateway.
package nginx

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Nginx tells what Kong reads from nginx.
type Nginx struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Nginx { return Nginx{c} }

// GetVar returns a variable of the request by its name in nginx, "" when there is none.
func (n Nginx) GetVar(k string) (string, error) {
	v, _, err := n.call.PDK.Nginx.GetVar(k)
	return v, err
}

// GetTLS1VersionStr returns the TLS version of the connection to the client, "" without TLS.
func (n Nginx) GetTLS1VersionStr() (string, error) {
	return call.ReadText(n.call, pdk.FnNginxGetTLS1VersionStr, n.call.PDK.Nginx.GetTLS1VersionStr)
}

// SetCtx keeps a value for all plugins of the request.
func (n Nginx) SetCtx(k string, v interface{}) error { return n.call.PDK.Nginx.SetCtx(k, v) }

// GetCtxAny returns a value of SetCtx, nil when there is none. Numbers are float64.
func (n Nginx) GetCtxAny(k string) (interface{}, error) {
	return call.Read(n.call, pdk.FnNginxGetCtx, func() any { return call.Plain(n.call.PDK.Nginx.GetCtx(k)) })
}

// GetCtxString returns a text of SetCtx, "" when it is none.
func (n Nginx) GetCtxString(k string) (string, error) {
	v, err := n.GetCtxAny(k)
	s, _ := v.(string)
	return s, err
}

// GetCtxFloat returns a number of SetCtx, 0 when it is none.
func (n Nginx) GetCtxFloat(k string) (float64, error) {
	v, err := n.GetCtxAny(k)
	f, _ := v.(float64)
	return f, err
}

// GetCtxInt returns a number of SetCtx without its fraction, 0 when it is none.
func (n Nginx) GetCtxInt(k string) (int, error) {
	f, err := n.GetCtxFloat(k)
	return int(f), err
}

// ReqStartTime returns when the gateway began with the request, in seconds since the epoch.
func (n Nginx) ReqStartTime() (float64, error) {
	return call.Read(n.call, pdk.FnNginxReqStartTime, n.call.PDK.Nginx.ReqStartTime)
}

// GetSubsystem returns "http".
func (n Nginx) GetSubsystem() (string, error) {
	return call.Read(n.call, pdk.FnNginxGetSubsystem, n.call.PDK.Nginx.GetSubsystem)
}
