package local

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// encodeValue writes a value of ctx.shared or log.set_serialize_value as one MessagePack value. Beside the types that package wire knows, it takes
// named types of the same kinds, and lists and maps of them.
func encodeValue(v any) ([]byte, error) {
	raw, err := wire.AppendValue(nil, v)
	if err == nil {
		return raw, nil
	}
	plain, err := plainValue(v, 0)
	if err != nil {
		return nil, err
	}
	return wire.AppendValue(nil, plain)
}

// plainValue turns a value into the types that package wire knows.
func plainValue(v any, depth int) (any, error) {
	if v == nil {
		return nil, nil
	}
	if depth > wire.MaxDepth {
		return nil, fmt.Errorf("value is nested more than %d deep", wire.MaxDepth)
	}
	return reflectedValue(reflect.ValueOf(v), depth)
}

func reflectedValue(v reflect.Value, depth int) (any, error) {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return v.Uint(), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	case reflect.String:
		return v.String(), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, nil
		}
		return plainValue(v.Elem().Interface(), depth+1)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes(), nil
		}
		out := make([]any, v.Len())
		for i := range out {
			p, err := plainValue(v.Index(i).Interface(), depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = p
		}
		return out, nil
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			break
		}
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			p, err := plainValue(it.Value().Interface(), depth+1)
			if err != nil {
				return nil, err
			}
			out[it.Key().String()] = p
		}
		return out, nil
	}
	return nil, fmt.Errorf("value is a %s; expected nil, bool, a number, text, bytes, or a list or map of these", v.Type())
}

// nilValue is MessagePack's nil.
const nilValue = 0xc0

func isNil(value []byte) bool { return len(value) == 0 || len(value) == 1 && value[0] == nilValue }

// findShared returns the encoded value under a key, nil when there is none.
func findShared(shared []wire.SharedValue, key string) []byte {
	for i := range shared {
		if shared[i].Key == key {
			return shared[i].Value
		}
	}
	return nil
}

// SetShared keeps a value under a key of ctx.shared or ctx.plugin, in place; a nil value removes it.
func SetShared(shared []wire.SharedValue, key string, value []byte) []wire.SharedValue {
	i := slices.IndexFunc(shared, func(s wire.SharedValue) bool { return s.Key == key })
	switch {
	case isNil(value):
		if i >= 0 {
			shared = slices.Delete(shared, i, i+1)
		}
	case i >= 0:
		shared[i].Value = value
	default:
		shared = append(shared, wire.SharedValue{Key: key, Value: value})
	}
	return shared
}

// SharedSize is the size of ctx.shared as max_shared counts it: the encoded keys and values, in bytes.
func SharedSize(shared []wire.SharedValue) int {
	n := 0
	for i := range shared {
		n += sharedSize(shared[i].Key, shared[i].Value)
	}
	return n
}

func sharedSize(key string, value []byte) int {
	n := len(key) + len(value) + 1
	switch {
	case len(key) > 0xffff:
		n += 4
	case len(key) > 0xff:
		n += 2
	case len(key) > 31:
		n++
	}
	return n
}
