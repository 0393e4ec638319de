package vectors

import (
	"fmt"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Operations whose fields are bytes, with the place of the bytes; in all others bytes stand for text.
var bodyAt = map[wire.OpCode]int{wire.OpServiceRequestSetRawBody: 1, wire.OpResponseSetRawBody: 1, wire.OpResponseExit: 2}

// Operation is an operation as docs/wire.md section 6 has it: code and fields, in Go's types, with text where bytes stand for text.
func Operation(op *wire.Op) ([]any, error) {
	code := int64(op.Code)
	switch op.Code { // with free values, which may be nested as deep as a whole message
	case wire.OpClientAuthenticate:
		return free(code, nil, op.Value, op.Credential)
	case wire.OpCtxSharedSet, wire.OpCtxPluginSet:
		return free(code, []any{op.Name}, op.Value)
	case wire.OpLogSetSerializeValue:
		list, err := free(code, []any{op.Name}, op.Value)
		return append(list, op.Mode), err
	}
	if op.Code.Generic() {
		return free(code, nil, op.Value)
	}
	bare := *op
	at, hasBody := bodyAt[op.Code]
	if hasBody {
		bare.Body = []byte{}
	}
	v, err := wire.DecodeValue(wire.AppendOutcome(nil, &wire.Outcome{Ops: []wire.Op{bare}}))
	if err != nil {
		return nil, fmt.Errorf("operation %d: %w", op.Code, err)
	}
	list := v.([]any)[2].([]any)[0].([]any)
	for i := range list {
		list[i] = asText(list[i])
	}
	if hasBody {
		list[at] = nil
		if op.HasBody || op.Body != nil {
			list[at] = append([]byte{}, op.Body...)
		}
	}
	return list, nil
}

func free(code int64, fields []any, values ...[]byte) ([]any, error) {
	list := append([]any{code}, fields...)
	for _, raw := range values {
		var v any
		if raw != nil {
			var err error
			if v, err = wire.DecodeValue(raw); err != nil {
				return list, fmt.Errorf("operation %d: %w", code, err)
			}
		}
		list = append(list, v)
	}
	return list, nil
}

func asText(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case []any:
		for i := range v {
			v[i] = asText(v[i])
		}
	}
	return v
}

func compareOp(op *wire.Op, expected []any) error {
	found, err := Operation(op)
	if err != nil {
		return err
	}
	if len(found) != len(expected) {
		return fmt.Errorf("found %s, expected %v", short(canonical(found)), expected)
	}
	for i := range found {
		if err := Compare(found[i], expected[i]); err != nil {
			return fmt.Errorf("at %d of operation %d: %w", i, op.Code, err)
		}
	}
	return nil
}

func spellOps(ops []wire.Op) string {
	var all []any
	for i := range ops {
		list, err := Operation(&ops[i])
		if err != nil {
			list = []any{int64(ops[i].Code), err.Error()}
		}
		all = append(all, list)
	}
	return short(canonical(all))
}
