// Package gatekeeper turns requests away that carry a certain header.
package gatekeeper

import (
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is gatekeeper-go.
var Plugin = pdk.Plugin{
	Name:     "gatekeeper-go",
	Version:  "0.1.0",
	Priority: 900,
	New: func() any {
		return &gatekeeper{Header: "X-Deny", Values: []string{"1"}, Message: "denied by gatekeeper"}
	},
}

type gatekeeper struct {
	Header  string   `json:"header" schema:"minlen=1" doc:"request header to look at"`
	Values  []string `json:"values" schema:"minitems=1" doc:"values that are turned away"`
	Message string   `json:"message" doc:"what the client is told"`
}

// Access answers 403 when the header has one of the values. Nothing after an exit has an effect, so it returns.
func (g *gatekeeper) Access(k *pdk.PDK) error {
	value, found := k.Request.GetHeader(g.Header)
	if !found || !slices.Contains(g.Values, value) {
		return nil
	}
	return k.Response.Exit(403, map[string]string{"message": g.Message, "plugin": "gatekeeper-go"}, nil)
}
