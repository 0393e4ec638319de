// Package response is kong.ServiceResponse of go-pdk.
package response

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Response is the response of the upstream service, as it sent it.
type Response struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Response { return Response{c} }

// GetStatus returns the status, 0 when the request was not proxied.
func (r Response) GetStatus() (i int, err error) {
	return call.Read(r.call, pdk.FnServiceResponseGetStatus, func() int {
		status, _ := r.call.PDK.ServiceResponse.GetStatus()
		return status
	})
}

// GetHeaders returns the headers by name, at most max_headers lines; -1 is 100.
func (r Response) GetHeaders(max_headers int) (map[string][]string, error) {
	return call.Values(r.call.PDK.ServiceResponse.GetHeaders(max_headers))
}

// GetHeader returns the first value of a header, "" when there is none.
func (r Response) GetHeader(name string) (string, error) {
	return call.ReadText(r.call, pdk.FnServiceResponseGetHeader, func() (string, bool) { return r.call.PDK.ServiceResponse.GetHeader(name) })
}

// GetRawBody returns the body.
func (r Response) GetRawBody() ([]byte, error) { return r.call.PDK.ServiceResponse.GetRawBody() }
