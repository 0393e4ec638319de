package exchange

import (
	"slices"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Detach copies what the log phase may see into an exchange of its own, which the log queue keeps after the request is over.
func (e *Exchange) Detach() *Exchange {
	e.NeedRequest()
	e.NeedResponse()
	d := &Exchange{
		Facts: e.Facts, Dir: e.Dir, Gateway: e.Gateway, Bodies: e.Bodies,
		Route: e.Route, Service: e.Service, Consumer: e.Consumer, Plan: e.Plan,
		Upstream:   Upstream{Path: e.Upstream.Path},
		Serialized: slices.Clone(e.Serialized),
		Spans:      slices.Clone(e.Spans),
		Tries:      slices.Clone(e.Tries),
		privates:   slices.Clone(e.privates),
		Latencies:  e.Latencies,
		Trace:      e.Trace,
		Live:       gone{e.Upstream.Path},

		spanBytes: e.spanBytes, serializedBytes: e.serializedBytes,
		requestLoaded: true, responseLoaded: true,
		choices: e.choices.clone(),
	}
	f := &d.Facts
	f.Request.Headers = slices.Clone(f.Request.Headers)
	f.Response.Headers = slices.Clone(f.Response.Headers)
	f.ServiceResponse.Headers = slices.Clone(f.ServiceResponse.Headers)
	f.Shared = slices.Clone(f.Shared)
	f.Captures.Unnamed = slices.Clone(f.Captures.Unnamed)
	f.Captures.Named = slices.Clone(f.Captures.Named)
	for i := range d.privates {
		d.privates[i].values = slices.Clone(d.privates[i].values)
	}
	return d
}

// gone is the live message of a detached exchange.
type gone struct{ upstreamURI string }

func (gone) LoadRequest(*wire.Facts)  {}
func (gone) LoadResponse(*wire.Facts) {}

var errGone = &wire.Error{Code: wire.CodeBadData, Message: "the bodies are gone in the log phase"}

func (gone) RequestBody() ([]byte, error)  { return nil, errGone }
func (gone) ResponseBody() ([]byte, error) { return nil, errGone }
func (g gone) UpstreamURI() string         { return g.upstreamURI }
