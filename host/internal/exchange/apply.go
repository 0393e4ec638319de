package exchange

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/plan"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Applier says who made the operations, in which phase, and what they may set.
type Applier struct {
	Instance *plan.Instance // nil: nobody's
	Phase    pdk.Phase
	// MayAuthenticate: the plugin's manifest says that it sets the consumer, or it fails closed.
	MayAuthenticate bool
	// MaxBody bounds a body, MaxShared all of ctx.shared and all of the instance's ctx.plugin, in bytes; 0: no limit.
	MaxBody, MaxShared int
}

// ErrMayNotAuthenticate is why a consumer is refused that a plugin sets without having said that it would, while it may fail open.
var ErrMayNotAuthenticate = errors.New("the plugin's manifest does not say that it authenticates, and it may fail open")

// Apply applies the operations of one handler, in order. They are checked first: when one has to be refused, none is applied and the
// error says which.
func (e *Exchange) Apply(in Applier, ops []wire.Op) error {
	clear(e.identities)
	e.identities = e.identities[:0]
	shared, private := false, false
	for i := range ops {
		op := &ops[i]
		if err := e.check(in, op); err != nil {
			return err
		}
		shared = shared || op.Code == pdk.OpCtxSharedSet
		private = private || op.Code == pdk.OpCtxPluginSet
	}
	if shared {
		if size := sizeAfter(e.Facts.Shared, ops, pdk.OpCtxSharedSet); in.MaxShared > 0 && size > in.MaxShared {
			return fmt.Errorf("ctx.shared.set: ctx.shared would hold %d bytes; at most %d (max_shared) are allowed", size, in.MaxShared)
		}
	}
	if private {
		if size := sizeAfter(e.Private(in.Instance), ops, pdk.OpCtxPluginSet); in.MaxShared > 0 && size > in.MaxShared {
			return fmt.Errorf("ctx.plugin.set: ctx.plugin would hold %d bytes; at most %d (max_shared) are allowed", size, in.MaxShared)
		}
	}
	if err := e.bound(ops); err != nil {
		return err
	}
	wrote, err := e.boundHeads(ops)
	if err != nil {
		return err
	}
	if err := e.holdBodies(ops); err != nil {
		return err
	}
	e.wrote = wrote
	authenticated := 0
	for i := range ops {
		if ops[i].Code == pdk.OpClientAuthenticate {
			e.authenticate(e.identities[authenticated])
			authenticated++
		} else if err := e.apply(in, &ops[i]); err != nil {
			return err // not after the checks above, which are the same
		}
	}
	return nil
}

// check refuses what must not be applied, and brings the operation into the form in which it is.
func (e *Exchange) check(in Applier, op *wire.Op) error {
	fn := pdk.FunctionOfOp(uint16(op.Code))
	if fn == nil {
		return fmt.Errorf("operation %d does not exist", op.Code)
	}
	if !fn.Phases.Has(in.Phase) {
		return fmt.Errorf("%s is not allowed in %s", fn.Name, in.Phase)
	}
	if in.MaxBody > 0 && len(op.Body) > in.MaxBody {
		return fmt.Errorf("%s: body has %d bytes; at most %d (max_body) are allowed", fn.Name, len(op.Body), in.MaxBody)
	}
	if err := local.Check(op); err != nil {
		return err
	}
	if op.Code == pdk.OpClientAuthenticate {
		if !in.MayAuthenticate {
			return fmt.Errorf("%s: %w", fn.Name, ErrMayNotAuthenticate)
		}
		id, err := e.identify(op)
		if err != nil {
			return fmt.Errorf("%s: %w", fn.Name, err)
		}
		e.identities = append(e.identities, id)
	}
	if err := checkHead(op); err != nil {
		return fmt.Errorf("%s: %w", fn.Name, err)
	}
	if op.Code == wire.OpClientSetAuthenticatedConsumerGroups && !in.MayAuthenticate {
		return fmt.Errorf("%s: %w", fn.Name, ErrMayNotAuthenticate)
	}
	if directs(op.Code) {
		if err := e.direct(op, false); err != nil {
			return fmt.Errorf("%s: %w", fn.Name, err)
		}
	}
	return nil
}

// directs reports whether an operation says where the request goes, or how: those from service.set_upstream to service.set_tls_verify_store.
func directs(code wire.OpCode) bool {
	return code >= wire.OpServiceSetUpstream && code <= wire.OpServiceSetTLSVerifyStore
}

// sizeAfter is the size of ctx.shared or ctx.plugin once the operations of that code are applied. The last value under a key counts.
func sizeAfter(values []wire.SharedValue, ops []wire.Op, code wire.OpCode) int {
	after := slices.Clone(values)
	for i := range ops {
		if op := &ops[i]; op.Code == code {
			after = local.SetShared(after, op.Name, op.Value)
		}
	}
	return local.SharedSize(after)
}

// Private is ctx.plugin of an instance; nil when there is nothing in it.
func (e *Exchange) Private(in *plan.Instance) []wire.SharedValue {
	for i := range e.privates {
		if e.privates[i].instance == in {
			return e.privates[i].values
		}
	}
	return nil
}

func (e *Exchange) setPrivate(in *plan.Instance, key string, value []byte) {
	for i := range e.privates {
		if p := &e.privates[i]; p.instance == in {
			p.values = local.SetShared(p.values, key, value)
			return
		}
	}
	e.privates = append(e.privates, private{in, local.SetShared(nil, key, value)})
}

// What handlers may gather in an exchange. body_filter may run without end.
const (
	maxSerialized      = 4096 // values for the log entry
	maxSerializedBytes = 4 << 20
)

// bound refuses operations after which the exchange would hold more groups, or more values for the log entry, than it may.
func (e *Exchange) bound(ops []wire.Op) error {
	if n := local.GroupsAfter(len(e.Facts.Groups), ops); n > local.MaxRequestGroups {
		return fmt.Errorf("client.set_authenticated_consumer_groups: the request would have %d consumer groups; at most %d are allowed", n, local.MaxRequestGroups)
	}
	n, size := len(e.Serialized), e.serializedBytes
	for i := range ops {
		if ops[i].Code == pdk.OpLogSetSerializeValue {
			n++
			size += len(ops[i].Name) + len(ops[i].Value)
		}
	}
	if n > maxSerialized || size > maxSerializedBytes {
		return fmt.Errorf("log.set_serialize_value: the log entry would hold %d values of %d bytes; at most %d of %d bytes are allowed", n, size, maxSerialized, maxSerializedBytes)
	}
	return nil
}

// maxSpans and maxSpanBytes bound the spans that an exchange keeps; later ones are dropped. body_filter may run without end.
const (
	maxSpans     = 1024
	maxSpanBytes = 1 << 20 // encoded
)

func (e *Exchange) apply(in Applier, op *wire.Op) error {
	if directs(op.Code) {
		return e.direct(op, true)
	}
	switch op.Code {
	case pdk.OpClientSetAuthenticatedConsumerGroups:
		e.Identities++
	case pdk.OpCtxPluginSet:
		e.setPrivate(in.Instance, op.Name, op.Value)
		return nil
	case pdk.OpTracingStartSpan:
		number, parent, record, err := local.SpanOf(op)
		if e.spanBytes += len(op.Value); err == nil && len(e.Spans) < maxSpans && e.spanBytes <= maxSpanBytes {
			e.Spans = append(e.Spans, Span{Plugin: in.Instance, Phase: in.Phase, Number: number, Parent: parent, SpanRecord: record})
		}
		return err
	case pdk.OpTelemetryLog:
		return e.telemetry(in, op)
	case pdk.OpCacheSet, pdk.OpCacheDelete:
		return e.cache(in, op)
	case pdk.OpServiceRequestSetHeader, pdk.OpServiceRequestAddHeader, pdk.OpServiceRequestClearHeader:
		e.Dirty |= DirtyRequestHeaders
		if op.Code != pdk.OpServiceRequestClearHeader {
			e.set = append(e.set, op.Name)
		}
		if local.SameHeader(op.Name, "host") {
			e.Upstream.Host = ""
			if n := len(op.Values); n > 0 {
				e.Upstream.Host = op.Values[n-1]
			}
		}
	case pdk.OpServiceRequestSetMethod:
		e.Dirty |= DirtyMethod
	case pdk.OpServiceRequestSetRawQuery:
		e.Dirty |= DirtyQuery
	case pdk.OpResponseSetStatus, pdk.OpResponseSetHeader, pdk.OpResponseAddHeader, pdk.OpResponseClearHeader:
		e.Dirty |= DirtyResponse
	case pdk.OpServiceRequestSetPath:
		e.Upstream.Path = op.Name
		return nil
	case pdk.OpServiceRequestSetScheme:
		e.Upstream.Scheme = op.Name
		return nil
	case pdk.OpServiceRequestSetRawBody:
		e.Upstream.Body, e.Upstream.HasBody = op.Body, true
		return nil
	case pdk.OpServiceRequestEnableBuffering:
		e.Upstream.BufferBody = true
		return nil
	case pdk.OpResponseSetRawBody:
		e.NewBody, e.HasNewBody = op.Body, true
		return nil
	case pdk.OpResponseExit:
		e.Answer = Answer{Given: true, Source: wire.SourceExit, Status: op.Status, Headers: slices.Clone(op.Headers), Body: op.Body, HasBody: op.HasBody}
		return nil
	case pdk.OpResponseError:
		e.Answer = Answer{
			Given: true, Source: wire.SourceError, Status: op.Status, Headers: slices.Clone(op.Headers),
			Formatted: true, Message: op.Name, HasMessage: op.HasBody,
		}
		return nil
	case pdk.OpLogSetSerializeValue:
		e.setSerialized(local.LogValue{Key: op.Name, Value: op.Value, Mode: op.Mode})
		return nil
	}
	_, err := local.ApplyChecked(&e.Facts, op)
	return err
}

// identity is a consumer and a credential that a plugin authenticated; each may be nil.
type identity struct {
	consumer   *entity.Consumer // nil: the configuration does not know it
	doc        *wire.Entity
	credential *wire.Entity
}

// identify decodes what client.authenticate carries. A consumer that the configuration knows by its id is taken from there; another one is
// used as the plugin gave it.
func (e *Exchange) identify(op *wire.Op) (id identity, err error) {
	if op.Value != nil {
		if id.doc, err = local.NewConsumer(op.Value); err != nil {
			return id, err
		}
		if c, known := e.Dir.Consumer(id.doc.ID, false); known != nil {
			id.consumer, id.doc = c, known
		}
	}
	if op.Credential != nil {
		if id.credential, err = local.NewCredential(op.Credential); err != nil {
			return id, err
		}
	}
	return id, nil
}

// authenticate sets consumer and credential.
func (e *Exchange) authenticate(id identity) {
	e.Identities++
	e.Consumer, e.Facts.Consumer, e.Facts.Credential = id.consumer, id.doc, id.credential
}

// Fail makes the exchange answer with the gateway's error body.
func (e *Exchange) Fail(status int, message string) {
	e.Answer = Answer{Given: true, Source: wire.SourceError, Status: status, Formatted: true, Message: message, HasMessage: message != ""}
}

// Header returns the first request header of that name as it stands, by ASCII case folding.
func (e *Exchange) Header(name string) string {
	e.NeedRequest()
	for _, h := range e.Facts.Request.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}
