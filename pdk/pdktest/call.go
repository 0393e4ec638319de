package pdktest

import (
	"slices"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Call runs the handlers of one phase, that of the call, on facts of the test's choice: also on such as no Request can say, a TLS connection,
// HTTP/2, or a response before there was a request. What the handlers wrote is applied, each before the next one runs. It gives the outcome
// of the last handler that ran. Call is used instead of Run.
//
// The Exchange keeps the facts. Routes, services and consumers need only their documents.
func (x *Exchange) Call(c *wire.Call) wire.Outcome {
	x.limits()
	x.facts = *c.Facts
	for _, e := range []*wire.Entity{x.facts.Route, x.facts.Service, x.facts.Consumer} {
		if e != nil && e.Value == nil {
			local.Adopt(e)
		}
	}
	own := *c
	own.Facts = &x.facts
	phase := pdk.PhaseFromCode(c.Phase)
	x.outcome = wire.Outcome{}
	for _, u := range x.plugins {
		if !u.handlers.Phases().Has(phase) {
			continue
		}
		if piece, replaced := x.handler(u, &own); replaced && own.HasChunk {
			own.Chunk = piece
		}
	}
	return x.outcome
}

// Log lists the lines of the handlers that have run so far.
func (x *Exchange) Log() []Line { return x.result.Log }

// limits makes the node of what the test set.
func (x *Exchange) limits() {
	if x.Node != nil {
		x.node = *x.Node
		return
	}
	x.node.LogLevel = x.LogLevel
	x.node.MaxBody, x.node.MaxShared = orLimit(x.MaxBody, 8<<20), orLimit(x.MaxShared, 64<<10)
	x.node.ClusterID, x.node.Version, x.node.TelemetryLogs = x.ClusterID, orDefault(x.Version, "0.2.0"), !x.NoTelemetry
}

// kept copies an outcome out of the memory of its session.
func kept(out *wire.Outcome) wire.Outcome {
	own := *out
	own.Ops = slices.Clone(out.Ops)
	for i := range own.Ops {
		op := &own.Ops[i]
		op.Values, op.Headers = slices.Clone(op.Values), slices.Clone(op.Headers)
	}
	return own
}
