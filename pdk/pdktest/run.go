package pdktest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Run runs the request through every phase: rewrite, access, the upstream, response, header_filter, body_filter and log. An exit in rewrite or
// access skips the upstream and the response phase.
func (x *Exchange) Run() Result {
	x.limits()
	x.path, x.scheme = x.facts.Request.Path, x.facts.Service.Value.(*pdk.Service).Protocol

	x.phase(pdk.PhaseRewrite, true)
	x.phase(pdk.PhaseAccess, true)
	if !x.exited {
		x.proxy()
		x.phase(pdk.PhaseResponse, true)
	}
	x.phase(pdk.PhaseHeaderFilter, false)
	x.filterBody()
	x.phase(pdk.PhaseLog, false)
	return x.finish()
}

func orLimit(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// phase runs the handlers of one phase. stops says that an exit ends it.
func (x *Exchange) phase(phase pdk.Phase, stops bool) {
	for i := range x.plugins {
		if stops && x.exited {
			return
		}
		u := &x.plugins[i]
		if u.handlers.Phases().Has(phase) {
			x.handler(u, &wire.Call{Phase: phase.Code(), Facts: &x.facts})
		}
	}
}

// handler runs one handler and applies what it did. It gives the replacement of a piece of the body.
func (x *Exchange) handler(u *used, c *wire.Call) (piece []byte, replaced bool) {
	phase := pdk.PhaseFromCode(c.Phase)
	var out wire.Outcome
	s := local.Begin(c, &x.node, &side{x: x, plugin: u.plugin.Name, phase: phase})
	defer s.Release()
	s.Run(&u.handlers, &out)
	if out.Err == nil {
		for i := range out.Ops {
			if err := local.Check(&out.Ops[i]); err != nil {
				out.Err = &wire.Error{Code: wire.CodeBadData, Message: err.Error()}
				break
			}
		}
	}
	x.outcome = kept(&out)
	if out.Err != nil {
		x.result.Failures = append(x.result.Failures, Failure{u.plugin.Name, phase, out.Err})
		if phase != pdk.PhaseBodyFilter && phase != pdk.PhaseLog {
			x.respond(500, nil, []byte(`{"message":"An unexpected error occurred"}`), wire.SourceError)
		}
		return nil, false
	}
	for i := range out.Ops {
		x.apply(&out.Ops[i])
	}
	return out.Body, out.HasBody
}

func (x *Exchange) apply(op *wire.Op) {
	if handled, _ := local.Apply(&x.facts, op); handled {
		return
	}
	switch uint16(op.Code) {
	case pdk.OpServiceRequestSetPath:
		x.path = op.Name
	case pdk.OpServiceRequestSetScheme:
		x.scheme = op.Name
	case pdk.OpServiceRequestSetRawBody:
		x.body = op.Body
	case pdk.OpServiceRequestEnableBuffering:
		x.buffered = true
	case pdk.OpResponseSetRawBody:
		x.answer = op.Body
		x.recount()
	case pdk.OpResponseExit:
		x.respond(op.Status, op.Headers, op.Body, wire.SourceExit)
	case pdk.OpResponseError:
		body, _ := json.Marshal(map[string]string{"message": orDefault(op.Name, http.StatusText(op.Status)), "request_id": x.facts.RequestID})
		x.respond(op.Status, op.Headers, body, wire.SourceError)
	case pdk.OpClientAuthenticate:
		x.facts.Consumer, x.facts.Credential = nil, nil
		if op.Value != nil {
			x.facts.Consumer, _ = local.NewConsumer(op.Value)
		}
		if op.Credential != nil {
			x.facts.Credential, _ = local.NewCredential(op.Credential)
		}
	case pdk.OpLogSetSerializeValue:
		x.serialized = append(x.serialized, *op)
	}
}

// respond makes the response of an exit or an error: its headers go over those that were set before.
func (x *Exchange) respond(status int, headers []wire.Header, body []byte, source wire.Source) {
	r := &x.facts.Response
	x.exited, x.facts.HasResponse, x.answer = true, true, body
	r.Status, r.Source = status, source
	r.Headers = slices.DeleteFunc(slices.Clone(r.Headers), func(h wire.Header) bool {
		return slices.ContainsFunc(headers, func(o wire.Header) bool { return local.SameHeader(h.Name, o.Name) })
	})
	r.Headers = append(r.Headers, headers...)
	if source == wire.SourceError && httpHeader(headers).Get("Content-Type") == "" {
		r.Headers = append(r.Headers, wire.Header{Name: "Content-Type", Value: "application/json; charset=utf-8"})
	}
	if httpHeader(headers).Get("Content-Length") == "" {
		x.recount()
	}
}

// recount sets Content-Length to the length of the body.
func (x *Exchange) recount() {
	op := wire.Op{Code: wire.OpResponseSetHeader, Name: "Content-Length", Values: []string{strconv.Itoa(len(x.answer))}}
	_, _ = local.Apply(&x.facts, &op)
}

// proxy lets the upstream answer. Headers that were set before join its own.
func (x *Exchange) proxy() {
	f := &x.facts
	x.upstream = &Upstream{
		Method: f.Request.Method, Scheme: x.scheme, Path: x.path, Query: f.Request.RawQuery, Header: httpHeader(f.Request.Headers), Body: x.body,
	}
	var answer Response
	if x.Answer != nil {
		answer = x.Answer(*x.upstream)
	}
	if answer.Status == 0 {
		answer.Status = 200
	}
	headers := lines(answer.Header)
	if answer.Header.Get("Content-Length") == "" {
		headers = append(headers, wire.Header{Name: "Content-Length", Value: strconv.Itoa(len(answer.Body))})
	}
	x.answer, x.original = answer.Body, answer.Body
	f.HasResponse, f.HasServiceResponse = true, true
	f.ServiceResponse = wire.Response{Status: answer.Status, Headers: headers}
	f.Response = wire.Response{Status: answer.Status, Headers: append(slices.Clone(headers), f.Response.Headers...)}
}

// filterBody gives the body piece by piece to the body_filter of every plugin in turn; the last piece may be empty. A plugin that has enabled
// buffering made it one piece.
func (x *Exchange) filterBody() {
	size := orLimit(x.Piece, 32<<10)
	if x.buffered {
		size = max(size, len(x.answer))
	}
	var filtered []byte
	for rest, last := x.answer, false; !last; {
		piece := slices.Clone(rest[:min(size, len(rest))])
		rest = rest[len(piece):]
		last = len(rest) == 0
		for i := range x.plugins {
			u := &x.plugins[i]
			if u.handlers.BodyFilter == nil {
				continue
			}
			c := &wire.Call{Phase: pdk.PhaseBodyFilter.Code(), Facts: &x.facts, Chunk: piece, HasChunk: true, Last: last}
			if changed, replaced := x.handler(u, c); replaced {
				piece = changed
			}
		}
		filtered = append(filtered, piece...)
	}
	x.answer = filtered
}

func (x *Exchange) finish() Result {
	f, r := &x.facts, &x.result
	r.Upstream = x.upstream
	r.Response = Response{Status: f.Response.Status, Header: httpHeader(f.Response.Headers), Body: x.answer}
	r.Source = [...]string{"service", "exit", "error"}[f.Response.Source]
	r.Shared = map[string]any{}
	for _, s := range f.Shared {
		r.Shared[s.Key], _ = wire.DecodeValue(s.Value)
	}
	if f.Consumer != nil {
		r.Consumer, _ = f.Consumer.Value.(*pdk.Consumer)
	}
	if f.Credential != nil {
		r.Credential, _ = f.Credential.Value.(*pdk.Credential)
	}
	r.Entry = x.entry()
	return *r
}
