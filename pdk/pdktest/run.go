package pdktest

import (
	"errors"
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
	service := x.facts.Service.Value.(*pdk.Service)
	x.path, x.scheme = x.facts.Request.Path, service.Protocol
	x.to = Upstream{
		Host: service.Host, Port: service.Port, Retries: service.Retries,
		ConnectTimeout: service.ConnectTimeout, WriteTimeout: service.WriteTimeout, ReadTimeout: service.ReadTimeout,
	}

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
	for _, u := range x.plugins {
		if stops && x.exited {
			return
		}
		if u.handlers.Phases().Has(phase) {
			x.handler(u, &wire.Call{Phase: phase.Code(), Facts: &x.facts})
		}
	}
}

// handler runs one handler and applies what it did. It gives the replacement of a piece of the body.
func (x *Exchange) handler(u *used, c *wire.Call) (piece []byte, replaced bool) {
	phase := pdk.PhaseFromCode(c.Phase)
	call := *c
	if call.PluginID == "" {
		call.PluginID, call.Plugin = u.id, u.values
	}
	var out wire.Outcome
	s := local.Begin(&call, &x.node, &side{x: x, plugin: u.plugin.Name, phase: phase})
	defer s.Release()
	s.Run(&u.handlers, &out)
	if out.Err == nil {
		if err := u.check(out.Ops); err != nil {
			out.Err = &wire.Error{Code: wire.CodeBadData, Message: err.Error()}
		}
	}
	x.outcome = kept(&out)
	if out.Err != nil {
		x.result.Failures = append(x.result.Failures, Failure{u.plugin.Name, phase, out.Err})
		if phase != pdk.PhaseBodyFilter && phase != pdk.PhaseLog && !u.failOpen {
			x.fail(500, "", nil)
		}
		return nil, false
	}
	for i := range out.Ops {
		x.apply(u, phase, &out.Ops[i])
	}
	return out.Body, out.HasBody
}

// check repeats the checks of the gateway.
func (u *used) check(ops []wire.Op) error {
	for i := range ops {
		if err := local.Check(&ops[i]); err != nil {
			return err
		}
		if ops[i].Code == wire.OpClientAuthenticate && u.failOpen && !u.plugin.Authenticates {
			return errors.New("client.authenticate: the plugin's manifest does not say that it authenticates, and it may fail open")
		}
	}
	return nil
}

func (x *Exchange) apply(u *used, phase pdk.Phase, op *wire.Op) {
	if handled, _ := local.ApplyChecked(&x.facts, op); handled || x.route(op) || x.report(u, phase, op) {
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
		x.answer, x.replaced = op.Body, true
		x.recount()
	case pdk.OpResponseExit:
		x.respond(op.Status, op.Headers, op.Body, wire.SourceExit)
	case pdk.OpResponseError:
		x.fail(op.Status, op.Name, op.Headers)
	case pdk.OpClientAuthenticate:
		x.facts.Consumer, x.facts.Credential = nil, nil
		if op.Value != nil {
			x.facts.Consumer, _ = local.NewConsumer(op.Value)
		}
		if op.Credential != nil {
			x.facts.Credential, _ = local.NewCredential(op.Credential)
		}
	case pdk.OpLogSetSerializeValue:
		x.serialized = append(x.serialized, local.LogValue{Key: op.Name, Value: op.Value, Mode: op.Mode})
	case pdk.OpCtxPluginSet:
		u.values = local.SetShared(slices.Clone(u.values), op.Name, op.Value)
	}
}

// fail answers with the gateway's error body, in the format that the client accepts or Content-Type names.
func (x *Exchange) fail(status int, message string, headers []wire.Header) {
	format := local.AcceptedErrorFormat(httpHeader(x.facts.Request.Headers).Get("Accept"))
	given := httpHeader(headers).Get("Content-Type")
	if given != "" {
		format, _ = local.ErrorFormatOf(given)
	}
	contentType, body := local.ErrorBody(format, orDefault(message, local.ErrorMessage(status)), x.facts.RequestID)
	if given == "" {
		headers = append(slices.Clone(headers), wire.Header{Name: "Content-Type", Value: contentType})
	}
	x.respond(status, headers, body, wire.SourceError)
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
	if httpHeader(headers).Get("Content-Length") == "" {
		x.recount()
	}
}

// recount sets Content-Length to the length of the body.
func (x *Exchange) recount() {
	op := wire.Op{Code: wire.OpResponseSetHeader, Name: "Content-Length", Values: []string{strconv.Itoa(len(x.answer))}}
	_, _ = local.Apply(&x.facts, &op)
}

// proxy lets the upstream answer. Headers that were set before stand behind its own; when a plugin handles the response phase, only those that it
// does not have itself.
func (x *Exchange) proxy() {
	f := &x.facts
	x.to.Method, x.to.Scheme, x.to.Path, x.to.Query = f.Request.Method, x.scheme, x.path, f.Request.RawQuery
	x.to.Header, x.to.Body = httpHeader(f.Request.Headers), x.body
	x.upstream = &x.to
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
	early := f.Response.Headers
	if slices.ContainsFunc(x.plugins, func(u *used) bool { return u.handlers.Response != nil }) {
		early = slices.DeleteFunc(slices.Clone(early), func(h wire.Header) bool { return len(answer.Header.Values(h.Name)) > 0 })
	}
	f.Response = wire.Response{Status: answer.Status, Headers: append(slices.Clone(headers), early...)}
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
		for _, u := range x.plugins {
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
	for _, g := range f.Groups {
		r.Groups = append(r.Groups, &pdk.ConsumerGroup{ID: g.ID, Name: g.Name})
	}
	r.Plugin = map[string]map[string]any{}
	for _, u := range x.plugins {
		r.Plugin[u.plugin.Name] = map[string]any{}
		for _, v := range u.values {
			r.Plugin[u.plugin.Name][v.Key], _ = wire.DecodeValue(v.Value)
		}
	}
	r.ClientVerify = f.TLS.ClientVerify
	r.Entry = x.entry()
	return *r
}
