// Package requesttermination is the plugin request-termination: it answers requests itself.
package requesttermination

import (
	"errors"
	"net/http"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is request-termination.
var Plugin = pdk.Plugin{
	Name:     "request-termination",
	Version:  "0.1.0",
	Priority: 2,
	New:      func() any { return &instance{Config: Config{StatusCode: http.StatusServiceUnavailable}} },
}

type instance struct {
	Config
	message string // "": none
	body    any
	headers map[string][]string
}

// Configure prepares the answer.
func (in *instance) Configure() {
	in.message = defaultMessage(in.StatusCode)
	if in.Message != nil {
		in.message = *in.Message
	}
	switch {
	case in.Body != nil:
		in.body = *in.Body
	case in.message != "":
		in.body = map[string]string{"message": in.message}
	}
	if in.ContentType != nil {
		in.headers = map[string][]string{"Content-Type": {*in.ContentType}}
	}
}

// defaultMessage is the message of a status that has one without being told; "" for the others. They are Kong's words.
func defaultMessage(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "Unauthorized"
	case http.StatusNotFound:
		return "Not found"
	case http.StatusMethodNotAllowed:
		return "Method not allowed"
	case http.StatusInternalServerError:
		return "An unexpected error occurred"
	case http.StatusBadGateway:
		return "Bad Gateway"
	case http.StatusServiceUnavailable:
		return "Service unavailable"
	}
	return ""
}

// Access answers, unless the request lacks the trigger.
func (in *instance) Access(k *pdk.PDK) error {
	if in.Trigger != nil && !has(k, *in.Trigger) {
		return nil
	}
	if !in.Echo {
		return k.Response.Exit(in.StatusCode, in.body, in.headers)
	}
	answer, err := echo(k, in.message)
	if err != nil {
		return err
	}
	err = k.Response.Exit(in.StatusCode, answer, nil)
	if errors.Is(err, pdk.ErrArg) { // with the request's body in it, the answer is larger than a body may be
		k.Log.Info("the request body is not echoed: ", err)
		answer.Request.Body, answer.Request.RawBody = nil, nil
		err = k.Response.Exit(in.StatusCode, answer, nil)
	}
	return err
}

// has reports whether the request has a header or a query argument of that name.
func has(k *pdk.PDK, name string) bool {
	if _, ok := k.Request.GetHeader(name); ok {
		return true
	}
	_, ok := k.Request.GetQueryArg(name)
	return ok
}
