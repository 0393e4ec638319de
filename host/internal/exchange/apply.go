package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Apply applies the operations of one handler, in order. They are checked first: when one has to be refused, none is applied and the
// error says which.
func (e *Exchange) Apply(in Applier, ops []wire.Op) error {
	for i := range ops {
		if err := e.check(in, &ops[i]); err != nil {
			return err
		}
	}
	for i := range ops {
		if err := e.apply(&ops[i]); err != nil {
			return err
		}
	}
	return nil
}

// Applier says who made the operations and in which phase.
type Applier struct {
	Phase pdk.Phase
	// MayAuthenticate: the plugin's manifest says that it sets the consumer, or it fails closed.
	MayAuthenticate bool
}

func (e *Exchange) check(in Applier, op *wire.Op) error {
	fn := pdk.FunctionOfOp(uint16(op.Code))
	if fn == nil {
		return fmt.Errorf("operation %d does not exist", op.Code)
	}
	if !fn.Phases.Has(in.Phase) {
		return fmt.Errorf("%s is not allowed in %s", fn.Name, in.Phase)
	}
	if op.Code == pdk.OpClientAuthenticate && !in.MayAuthenticate {
		return fmt.Errorf("%s: the plugin's manifest does not say that it authenticates, and it may fail open", fn.Name)
	}
	return local.Check(op)
}

func (e *Exchange) apply(op *wire.Op) error {
	switch op.Code {
	case pdk.OpServiceRequestSetHeader, pdk.OpServiceRequestAddHeader, pdk.OpServiceRequestClearHeader:
		e.Dirty |= DirtyRequestHeaders
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
	case pdk.OpClientAuthenticate:
		return e.authenticate(op)
	case pdk.OpLogSetSerializeValue:
		e.Serialized = append(e.Serialized, Serialized{Key: op.Name, Value: op.Value, Mode: op.Mode})
		return nil
	}
	_, err := local.Apply(&e.Facts, op)
	return err
}

// authenticate sets consumer and credential. A consumer that the configuration knows by its id is taken from there; another one is used
// as the plugin gave it.
func (e *Exchange) authenticate(op *wire.Op) error {
	e.Consumer, e.Facts.Consumer, e.Facts.Credential = nil, nil, nil
	if op.Value != nil {
		doc, err := local.NewConsumer(op.Value)
		if err != nil {
			return err
		}
		e.Facts.Consumer = doc
		if c, known := e.Dir.Consumer(doc.ID, false); known != nil {
			e.Consumer, e.Facts.Consumer = c, known
		}
	}
	if op.Credential != nil {
		doc, err := local.NewCredential(op.Credential)
		if err != nil {
			return err
		}
		e.Facts.Credential = doc
	}
	return nil
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
