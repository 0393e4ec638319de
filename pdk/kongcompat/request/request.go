// Package request is kong.Request of go-pdk.
package request

import (
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/kongcompat/internal/call"
)

// Request is the request of the client.
type Request struct{ call *call.Call }

// New is for package kongcompat.
func New(c *call.Call) Request { return Request{c} }

// GetScheme returns http or https.
func (r Request) GetScheme() (s string, err error) {
	return call.Read(r.call, pdk.FnRequestGetScheme, r.call.PDK.Request.GetScheme)
}

// GetHost returns the host of the request, in lower case and without port.
func (r Request) GetHost() (host string, err error) {
	return call.Read(r.call, pdk.FnRequestGetHost, r.call.PDK.Request.GetHost)
}

// GetPort returns the port of the listener.
func (r Request) GetPort() (int, error) {
	return call.Read(r.call, pdk.FnRequestGetPort, r.call.PDK.Request.GetPort)
}

// GetForwardedScheme returns the scheme that a trusted peer reports.
func (r Request) GetForwardedScheme() (s string, err error) {
	return call.Read(r.call, pdk.FnRequestGetForwardedScheme, r.call.PDK.Request.GetForwardedScheme)
}

// GetForwardedHost returns the host that a trusted peer reports.
func (r Request) GetForwardedHost() (host string, err error) {
	return call.Read(r.call, pdk.FnRequestGetForwardedHost, r.call.PDK.Request.GetForwardedHost)
}

// GetForwardedPort returns the port that a trusted peer reports.
func (r Request) GetForwardedPort() (int, error) {
	return call.Read(r.call, pdk.FnRequestGetForwardedPort, r.call.PDK.Request.GetForwardedPort)
}

// GetHttpVersion returns 1, 1.1, 2 or 3.
func (r Request) GetHttpVersion() (version float64, err error) {
	return call.Read(r.call, pdk.FnRequestGetHTTPVersion, r.call.PDK.Request.GetHTTPVersion)
}

// GetMethod returns the method.
func (r Request) GetMethod() (m string, err error) {
	return call.Read(r.call, pdk.FnRequestGetMethod, r.call.PDK.Request.GetMethod)
}

// GetPath returns the normalised path.
func (r Request) GetPath() (string, error) {
	return call.Read(r.call, pdk.FnRequestGetPath, r.call.PDK.Request.GetPath)
}

// GetPathWithQuery returns the target as the client sent it.
func (r Request) GetPathWithQuery() (string, error) {
	return call.Read(r.call, pdk.FnRequestGetPathWithQuery, r.call.PDK.Request.GetPathWithQuery)
}

// GetRawQuery returns the query without its question mark.
func (r Request) GetRawQuery() (string, error) {
	return call.Read(r.call, pdk.FnRequestGetRawQuery, r.call.PDK.Request.GetRawQuery)
}

// GetQueryArg returns the first value of an argument, "" when there is none or it has no value. Kong ends a request that asks for an argument without a
// value.
func (r Request) GetQueryArg(k string) (string, error) {
	return call.Read(r.call, pdk.FnRequestGetQueryArg, func() string {
		v, _ := r.call.PDK.Request.GetQueryArg(k)
		return v.Text
	})
}

// GetQuery returns the arguments by name, at most max_args of them; -1 is 100. As in go-pdk, those without a value are left out.
func (r Request) GetQuery(max_args int) (map[string][]string, error) {
	query, err := r.call.PDK.Request.GetQuery(max_args)
	if err != nil {
		return nil, err
	}
	args := map[string][]string{}
	for name, value := range query.All() {
		if !value.Bare {
			args[name] = append(args[name], value.Text)
		}
	}
	return args, nil
}

// GetHeader returns the first value of a header, "" when there is none.
func (r Request) GetHeader(k string) (string, error) {
	return call.ReadText(r.call, pdk.FnRequestGetHeader, func() (string, bool) { return r.call.PDK.Request.GetHeader(k) })
}

// GetHeaders returns the headers by name, at most max_headers lines; -1 is 100.
func (r Request) GetHeaders(max_headers int) (map[string][]string, error) {
	return call.Values(r.call.PDK.Request.GetHeaders(max_headers))
}

// GetRawBody returns the body.
func (r Request) GetRawBody() ([]byte, error) { return r.call.PDK.Request.GetRawBody() }

// GetUriCaptures returns what the groups of the route's regex matched, in order and by name.
func (r Request) GetUriCaptures() ([][]byte, map[string][]byte, error) {
	captures, err := call.Read(r.call, pdk.FnRequestGetURICaptures, r.call.PDK.Request.GetURICaptures)
	if err != nil {
		return nil, nil, err
	}
	unnamed := make([][]byte, len(captures.Unnamed))
	for i, text := range captures.Unnamed {
		unnamed[i] = []byte(text)
	}
	named := make(map[string][]byte, len(captures.Named))
	for name, text := range captures.Named {
		named[name] = []byte(text)
	}
	return unnamed, named, nil
}
