// Package response is kong.Response of go-pdk.
package response

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Response is the response that the client will get.
type Response struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Response { return Response{c} }

// GetStatus returns the status.
func (r Response) GetStatus() (int, error) {
	return call.Read(r.call, pdk.FnResponseGetStatus, r.call.PDK.Response.GetStatus)
}

// GetHeader returns the first value of a header, "" when there is none.
func (r Response) GetHeader(name string) (string, error) {
	return call.ReadText(r.call, pdk.FnResponseGetHeader, func() (string, bool) { return r.call.PDK.Response.GetHeader(name) })
}

// GetHeaders returns the headers by name, at most max_headers lines; -1 is 100.
func (r Response) GetHeaders(max_headers int) (res map[string][]string, err error) {
	return call.Values(r.call.PDK.Response.GetHeaders(max_headers))
}

// GetSource returns who made the response: service, exit or error.
func (r Response) GetSource() (string, error) {
	return call.Read(r.call, pdk.FnResponseGetSource, r.call.PDK.Response.GetSource)
}

// SetStatus sets the status.
func (r Response) SetStatus(status int) error { return r.call.PDK.Response.SetStatus(status) }

// SetHeader sets one header.
func (r Response) SetHeader(k string, v string) error { return r.call.PDK.Response.SetHeader(k, v) }

// AddHeader adds one header line.
func (r Response) AddHeader(k string, v string) error { return r.call.PDK.Response.AddHeader(k, v) }

// ClearHeader removes every line of a header.
func (r Response) ClearHeader(k string) error { return r.call.PDK.Response.ClearHeader(k) }

// SetHeaders sets several headers.
func (r Response) SetHeaders(headers map[string][]string) error {
	return r.call.PDK.Response.SetHeaders(headers)
}

// Exit answers the client. The handler goes on, but every later function of the PDK answers an error. An exit that is refused, with a status that is none
// for example, fails the handler.
func (r Response) Exit(status int, body []byte, headers map[string][]string) {
	r.call.Exit(func() error {
		if body == nil {
			return r.call.PDK.Response.Exit(status, nil, headers)
		}
		return r.call.PDK.Response.Exit(status, body, headers)
	})
}

// ExitStatus is Exit without a body and headers.
func (r Response) ExitStatus(status int) { r.Exit(status, nil, nil) }
