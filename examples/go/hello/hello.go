// Package hello greets: it sets a header on the request to the upstream and on the response.
package hello

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is hello-go. The same value runs inside the gateway or in a plugin server.
var Plugin = pdk.Plugin{
	Name:     "hello-go",
	Version:  "0.1.0",
	Priority: 500,
	New:      func() any { return &hello{Greeting: "hello", Name: "world"} },
}

type hello struct {
	Greeting string `json:"greeting" schema:"minlen=1" doc:"word before the name"`
	Name     string `json:"name" doc:"name when the request has no X-Name"`
}

// Access greets whom the request header X-Name names.
func (h *hello) Access(k *pdk.PDK) error {
	name, found := k.Request.GetHeader("X-Name")
	if !found {
		name = h.Name
	}
	text := h.Greeting + ", " + name
	if mood, found := k.Request.GetHeader("X-Mood"); found {
		text += " (" + mood + ")"
	}
	return errors.Join(
		k.ServiceRequest.SetHeader("X-Hello-Go", text),
		k.Response.SetHeader("X-Hello-Go", text),
	)
}
