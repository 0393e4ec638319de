// Package requestsizelimiting is the plugin request-size-limiting: it refuses requests whose body is too large.
package requestsizelimiting

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is request-size-limiting.
var Plugin = pdk.Plugin{
	Name:     "request-size-limiting",
	Version:  "0.1.0",
	Priority: 951,
	New:      func() any { return &instance{Config: Config{AllowedPayloadSize: 128, SizeUnit: "megabytes"}} },
}

type instance struct {
	Config
	limit uint64 // bytes
}

// Configure computes the limit.
func (in *instance) Configure() { in.limit = in.bytes() }

// Access compares the length that the request says it has. Only a body whose length nobody says is read.
func (in *instance) Access(k *pdk.PDK) error {
	_, chunked := k.Request.GetHeader("Transfer-Encoding")
	length, said := in.contentLength(k)
	switch {
	case said && !chunked: // with both, the coding says where the body ends: RFC 9112 section 6.3
		if length > in.limit {
			return tooLarge(k)
		}
		return nil
	case in.RequireContentLength && !chunked:
		return k.Response.Error(http.StatusLengthRequired, "A valid Content-Length header is required", nil)
	case !chunked && k.Request.GetHTTPVersion() < 2:
		return nil // there is no body: RFC 9112 section 6.3
	}
	return in.measure(k)
}

// contentLength is the value of the header Content-Length, which must be a number; one that is too large for the type is larger than any limit.
func (in *instance) contentLength(k *pdk.PDK) (length uint64, ok bool) {
	text, ok := k.Request.GetHeader("Content-Length")
	if !ok {
		return 0, false
	}
	length, err := strconv.ParseUint(text, 10, 64)
	return length, err == nil || errors.Is(err, strconv.ErrRange)
}

// measure reads the body. One that is larger than the gateway holds in memory cannot be measured, and is refused.
func (in *instance) measure(k *pdk.PDK) error {
	body, err := k.Request.GetRawBody()
	switch {
	case errors.Is(err, pdk.ErrData):
		k.Log.Warn("the request body cannot be measured and is refused: ", err)
		return tooLarge(k)
	case err != nil:
		return err
	case uint64(len(body)) > in.limit:
		return tooLarge(k)
	}
	return nil
}

func tooLarge(k *pdk.PDK) error {
	status := http.StatusRequestEntityTooLarge
	if expect, _ := k.Request.GetHeader("Expect"); strings.EqualFold(strings.TrimSpace(expect), "100-continue") {
		status = http.StatusExpectationFailed
	}
	return k.Response.Error(status, "Request size limit exceeded", nil)
}
