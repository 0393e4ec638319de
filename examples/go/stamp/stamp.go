// Package stamp leaves a mark in the headers of the response, behind its body, and in the log.
package stamp

import (
	"errors"

	"github.com/outrigger-gateway/outrigger/pdk"
)

// Plugin is stamp-go.
var Plugin = pdk.Plugin{
	Name:     "stamp-go",
	Version:  "0.1.0",
	Priority: 300,
	New:      func() any { return &stamp{Mark: "go", Trailer: "\n-- stamped by go\n"} },
}

type stamp struct {
	Mark    string `json:"mark" doc:"value of the response header X-Stamp-Go"`
	Trailer string `json:"trailer" doc:"text behind the body"`
}

// HeaderFilter marks the headers. The body will grow, so its length is no longer known.
func (s *stamp) HeaderFilter(k *pdk.PDK) error {
	return errors.Join(
		k.Response.SetHeader("X-Stamp-Go", s.Mark),
		k.Response.ClearHeader("Content-Length"),
	)
}

// BodyFilter lets every piece pass and puts the trailer behind the last one.
func (s *stamp) BodyFilter(_ *pdk.PDK, chunk []byte, last bool) []byte {
	if !last {
		return nil // unchanged
	}
	return append(chunk, s.Trailer...)
}

// Log writes one line about the request.
func (s *stamp) Log(k *pdk.PDK) {
	k.Log.Info("stamped ", k.Request.GetMethod(), " ", k.Request.GetPath(), " ", k.Response.GetStatus())
}
