package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// serializeOver shows the handler's own log.set_serialize_value calls in the log entry that the host answered.
func serializeOver(entry string, ops []wire.Op) (string, error) {
	var m map[string]any
	for i := range ops {
		op := &ops[i]
		if uint16(op.Code) != pdk.OpLogSetSerializeValue {
			continue
		}
		if m == nil {
			d := json.NewDecoder(strings.NewReader(entry))
			d.UseNumber()
			if err := d.Decode(&m); err != nil {
				return "", fmt.Errorf("the log entry is no JSON object: %w", err)
			}
		}
		if err := SetSerialized(m, op.Name, op.Value, op.Mode); err != nil {
			return "", err
		}
	}
	if m == nil {
		return entry, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// SetSerialized changes one value of a log entry by the rules of log.set_serialize_value. Dots in the key descend, "\." is a dot. value is one
// MessagePack value; nil removes. Mode replace with a missing parent does nothing, and so does a path through something that is no map.
func SetSerialized(entry map[string]any, key string, value []byte, mode string) error {
	var v any
	if !isNil(value) {
		var err error
		if v, err = wire.DecodeValue(value); err != nil {
			return fmt.Errorf("log.set_serialize_value %q: %w", key, err)
		}
		v = Shown(v)
	}
	path := splitKey(key)
	for _, p := range path[:len(path)-1] {
		next, isMap := entry[p].(map[string]any)
		if !isMap {
			if entry[p] != nil || mode == modeReplace || v == nil {
				return nil
			}
			next = map[string]any{}
			entry[p] = next
		}
		entry = next
	}
	last := path[len(path)-1]
	_, present := entry[last]
	switch {
	case mode == modeAdd && present, mode == modeReplace && !present:
	case v == nil:
		delete(entry, last)
	default:
		entry[last] = v
	}
	return nil
}

// Shown is a copy of a value for JSON: what JSON has no form for is text, bytes and the floats that are no numbers.
func Shown(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return string(appendNumber(nil, v, 64))
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = Shown(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = Shown(v[k])
		}
		return out
	}
	return v
}

func splitKey(key string) []string {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		switch {
		case key[i] == '\\' && i+1 < len(key) && key[i+1] == '.':
			i++
			b.WriteByte('.')
		case key[i] == '.':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(key[i])
		}
	}
	return append(parts, b.String())
}
