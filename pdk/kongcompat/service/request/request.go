// Package request is kong.ServiceRequest of go-pdk.
package request

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Request is the request that goes to the upstream service.
type Request struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Request { return Request{c} }

// SetScheme sets http or https.
func (r Request) SetScheme(scheme string) error { return r.call.PDK.ServiceRequest.SetScheme(scheme) }

// SetPath replaces the path.
func (r Request) SetPath(path string) error { return r.call.PDK.ServiceRequest.SetPath(path) }

// SetRawQuery replaces the query as it is.
func (r Request) SetRawQuery(query string) error {
	return r.call.PDK.ServiceRequest.SetRawQuery(query)
}

// SetMethod replaces the method.
func (r Request) SetMethod(method string) error { return r.call.PDK.ServiceRequest.SetMethod(method) }

// SetQuery replaces the query, percent-encoded and sorted by name.
func (r Request) SetQuery(query map[string][]string) error {
	args := make(map[string][]pdk.QueryValue, len(query))
	for name, values := range query {
		for _, v := range values {
			args[name] = append(args[name], pdk.QueryValue{Text: v})
		}
	}
	return r.call.PDK.ServiceRequest.SetQuery(args)
}

// SetHeader sets one header.
func (r Request) SetHeader(name string, value string) error {
	return r.call.PDK.ServiceRequest.SetHeader(name, value)
}

// AddHeader adds one header line.
func (r Request) AddHeader(name string, value string) error {
	return r.call.PDK.ServiceRequest.AddHeader(name, value)
}

// ClearHeader removes every line of a header.
func (r Request) ClearHeader(name string) error { return r.call.PDK.ServiceRequest.ClearHeader(name) }

// SetHeaders sets several headers.
func (r Request) SetHeaders(headers map[string][]string) error {
	return r.call.PDK.ServiceRequest.SetHeaders(headers)
}

// SetRawBody replaces the body. Unlike in Kong, any bytes are fine.
func (r Request) SetRawBody(body string) error {
	return r.call.PDK.ServiceRequest.SetRawBody([]byte(body))
}
