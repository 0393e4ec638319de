package wirepb

import (
	"github.com/outrigger-gateway/outrigger/proto/gen/outrigger/plugin/v1"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Outcome makes the message of an outcome, of the first step: the sender sets the others'. Bodies over wire.ChunkSize are named only by their length: the sender sends what
// wire.AppendLargeOfOutcome returns as chunks first.
func Outcome(o *wire.Outcome) *pluginv1.Outcome {
	if o.Err != nil {
		return &pluginv1.Outcome{Failed: true, Error: failure(o.Err), Unused: o.Unused}
	}
	m := &pluginv1.Outcome{Body: blob(o.Body, o.HasBody), Unused: o.Unused}
	for i := range o.Ops {
		m.Operations = append(m.Operations, operation(&o.Ops[i]))
	}
	return m
}

func failure(e *wire.Error) *pluginv1.Error {
	return &pluginv1.Error{Code: text(e.Code), Message: text(e.Message), Detail: text(e.Detail)}
}

func failureOf(m *pluginv1.Error) *wire.Error {
	if m == nil {
		return nil
	}
	return &wire.Error{Code: m.GetCode(), Message: m.GetMessage(), Detail: m.GetDetail()}
}

func operation(op *wire.Op) *pluginv1.Operation {
	m := &pluginv1.Operation{Code: uint32(op.Code)}
	switch op.Code {
	case wire.OpServiceRequestSetHeader, wire.OpServiceRequestAddHeader, wire.OpResponseSetHeader, wire.OpResponseAddHeader:
		m.Name = []byte(op.Name)
		for _, v := range op.Values {
			m.Values = append(m.Values, []byte(v))
		}
	case wire.OpServiceRequestClearHeader, wire.OpResponseClearHeader, wire.OpServiceRequestSetMethod, wire.OpServiceRequestSetScheme,
		wire.OpServiceRequestSetPath, wire.OpServiceRequestSetRawQuery:
		m.Name = []byte(op.Name)
	case wire.OpServiceRequestSetRawBody, wire.OpResponseSetRawBody:
		m.Body = blob(op.Body, true)
	case wire.OpResponseSetStatus:
		m.Status = uint32(max(op.Status, 0))
	case wire.OpResponseExit:
		m.Status, m.Body, m.Headers = uint32(max(op.Status, 0)), blob(op.Body, op.HasBody), given(op.Headers)
	case wire.OpResponseError:
		m.Status, m.Headers = uint32(max(op.Status, 0)), given(op.Headers)
		if op.HasBody {
			m.Message = some([]byte(op.Name))
		}
	case wire.OpClientAuthenticate:
		m.Value, m.Credential = raw(op.Value), raw(op.Credential)
	case wire.OpCtxSharedSet, wire.OpCtxPluginSet:
		m.Name, m.Value = []byte(op.Name), raw(op.Value)
	case wire.OpLogSetSerializeValue:
		m.Name, m.Value, m.Mode = []byte(op.Name), raw(op.Value), text(op.Mode)
	default:
		if op.Code.Generic() {
			m.Value = raw(op.Value)
		}
	}
	return m
}

// OutcomeOf reads an outcome as wire.DecodeOutcome does: o is replaced, the memory of o.Ops is used again.
func OutcomeOf(m *pluginv1.Outcome, bulk []byte, o *wire.Outcome) error {
	ops := o.Ops[:0]
	*o = wire.Outcome{Ops: ops, Unused: m.GetUnused()}
	r := bodies{bulk: bulk}
	if n := len(m.GetOperations()); n > wire.MaxOps {
		return bad("outcome", "%d operations, at most %d are allowed", n, wire.MaxOps)
	}
	items := 0
	for _, om := range m.GetOperations() {
		if items += 1 + len(om.GetValues()) + 2*len(om.GetHeaders()); items > wire.MaxItems {
			return bad("outcome", "more than %d elements", wire.MaxItems)
		}
		op, err := operationOf(om, &r)
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	body, has := r.take(m.GetBody())
	if err := r.done("outcome"); err != nil {
		return err
	}
	if o.Err = failureOf(m.GetError()); m.GetFailed() && o.Err == nil {
		o.Err = &wire.Error{Code: wire.CodeHandlerError, Message: "the handler failed and did not say how"}
	}
	if o.Err != nil {
		return nil
	}
	o.Ops, o.Body, o.HasBody = ops, body, has
	return nil
}

func operationOf(m *pluginv1.Operation, r *bodies) (op wire.Op, err error) {
	if m.GetCode() == 0 || m.GetCode() > 0xffff {
		return op, bad("outcome", "an operation with code %d", m.GetCode())
	}
	op.Code = wire.OpCode(m.GetCode())
	switch op.Code {
	case wire.OpServiceRequestSetHeader, wire.OpServiceRequestAddHeader, wire.OpResponseSetHeader, wire.OpResponseAddHeader:
		op.Name, op.Values = string(m.GetName()), make([]string, 0, len(m.GetValues()))
		for _, v := range m.GetValues() {
			op.Values = append(op.Values, string(v))
		}
	case wire.OpServiceRequestClearHeader, wire.OpResponseClearHeader, wire.OpServiceRequestSetMethod, wire.OpServiceRequestSetScheme,
		wire.OpServiceRequestSetPath, wire.OpServiceRequestSetRawQuery:
		op.Name = string(m.GetName())
	case wire.OpServiceRequestSetRawBody, wire.OpResponseSetRawBody:
		op.Body, _ = r.take(m.GetBody())
		op.HasBody = true
	case wire.OpResponseSetStatus:
		op.Status = int(m.GetStatus())
	case wire.OpResponseExit:
		op.Status, op.Headers = int(m.GetStatus()), headersOf(nil, m.GetHeaders())
		op.Body, op.HasBody = r.take(m.GetBody())
	case wire.OpResponseError:
		op.Status, op.Headers = int(m.GetStatus()), headersOf(nil, m.GetHeaders())
		op.Name, op.HasBody = string(m.GetMessage()), m.Message != nil
	case wire.OpClientAuthenticate:
		if op.Value, err = document("consumer", m.GetValue()); err == nil {
			op.Credential, err = document("credential", m.GetCredential())
		}
	case wire.OpCtxSharedSet, wire.OpCtxPluginSet:
		op.Name = string(m.GetName())
		op.Value, err = value("shared value", m.GetValue())
	case wire.OpLogSetSerializeValue:
		op.Name, op.Mode = string(m.GetName()), m.GetMode()
		op.Value, err = value("serialised value", m.GetValue())
	default:
		if op.Code.Generic() {
			op.Value, err = arguments(m.GetValue())
		}
	}
	return op, err
}
