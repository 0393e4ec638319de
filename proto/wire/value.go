package wire

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
)

// ValueError says that a Go value has no place on the wire.
type ValueError struct {
	Path string // where in the value; empty for the whole
	Msg  string
}

func (e *ValueError) Error() string {
	if e.Path == "" {
		return "encoding a value: " + e.Msg
	}
	return "encoding a value: at " + e.Path + ": " + e.Msg
}

// AppendValue appends one free value: nil, bool, integers, floats, string, []byte, []any, map[string]any, and the slices and maps
// of strings. Keys of maps go in sorted order. Everything else, and nesting deeper than MaxDepth, is a ValueError.
func AppendValue(dst []byte, v any) ([]byte, error) { return appendValue(dst, v, 0) }

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return appendNil(dst), nil
	case bool:
		return appendBool(dst, v), nil
	case string:
		return appendStr(dst, v), nil
	case []byte:
		if v == nil {
			return appendNil(dst), nil
		}
		return append(appendBinHead(dst, len(v)), v...), nil
	case int:
		return appendInt(dst, int64(v)), nil
	case int8:
		return appendInt(dst, int64(v)), nil
	case int16:
		return appendInt(dst, int64(v)), nil
	case int32:
		return appendInt(dst, int64(v)), nil
	case int64:
		return appendInt(dst, v), nil
	case uint:
		return appendUint(dst, uint64(v)), nil
	case uint8:
		return appendUint(dst, uint64(v)), nil
	case uint16:
		return appendUint(dst, uint64(v)), nil
	case uint32:
		return appendUint(dst, uint64(v)), nil
	case uint64:
		return appendUint(dst, v), nil
	case float32:
		return appendFloat(dst, float64(v)), nil
	case float64:
		return appendFloat(dst, v), nil
	case []any:
		if v == nil {
			return appendNil(dst), nil
		}
		return appendList(dst, v, depth)
	case []string:
		if v == nil {
			return appendNil(dst), nil
		}
		if depth >= MaxDepth {
			return dst, tooDeep()
		}
		dst = appendArray(dst, len(v))
		for _, s := range v {
			dst = appendStr(dst, s)
		}
		return dst, nil
	case map[string]any:
		if v == nil {
			return appendNil(dst), nil
		}
		return appendDict(dst, v, depth)
	case map[string]string:
		if v == nil {
			return appendNil(dst), nil
		}
		if depth >= MaxDepth {
			return dst, tooDeep()
		}
		dst = appendMap(dst, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			dst = appendStr(appendStr(dst, k), v[k])
		}
		return dst, nil
	}
	return dst, &ValueError{Msg: fmt.Sprintf("%T is none of nil, bool, integer, float, text, bytes, list or map of these", v)}
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, mpFloat64), math.Float64bits(f))
}

// tooDeep refuses what a reader would refuse: more than MaxDepth lists and maps inside one another.
func tooDeep() error {
	return &ValueError{Msg: fmt.Sprintf("nested deeper than %d, or a cycle", MaxDepth)}
}

func appendList(dst []byte, list []any, depth int) ([]byte, error) {
	if depth >= MaxDepth {
		return dst, tooDeep()
	}
	dst = appendArray(dst, len(list))
	for i, e := range list {
		var err error
		if dst, err = appendValue(dst, e, depth+1); err != nil {
			return dst, within(err, fmt.Sprintf("[%d]", i))
		}
	}
	return dst, nil
}

func appendDict(dst []byte, m map[string]any, depth int) ([]byte, error) {
	if depth >= MaxDepth {
		return dst, tooDeep()
	}
	dst = appendMap(dst, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		dst = appendStr(dst, k)
		var err error
		if dst, err = appendValue(dst, m[k], depth+1); err != nil {
			return dst, within(err, "."+k)
		}
	}
	return dst, nil
}

// within puts the place of the enclosing value in front, up to a readable length.
func within(err error, place string) error {
	if e, ok := err.(*ValueError); ok && len(e.Path) < 200 {
		e.Path = place + e.Path
	}
	return err
}

// CheckValue checks that b holds exactly one well-formed value, nested no deeper than MaxDepth.
func CheckValue(b []byte) error {
	d := newDecoder("value", b, nil)
	d.skip()
	return d.done()
}

// DecodeValue reads one free value: nil, bool, int64, uint64 (only above the range of int64), float64, string, []byte, []any or
// map[string]any. The result shares no memory with b. Keys that are not text and extensions are refused.
func DecodeValue(b []byte) (any, error) {
	d := newDecoder("value", b, nil)
	// Nothing may be left over, and nothing is built from bytes that are not well formed.
	d.skip()
	if err := d.done(); err != nil {
		return nil, err
	}
	d.i = 0
	v := d.value()
	if err := d.done(); err != nil {
		return nil, err
	}
	return v, nil
}

// value builds the next value. skip has bounded the depth.
func (d *decoder) value() any {
	if d.i >= len(d.b) {
		d.fail("ends too early")
		return nil
	}
	switch c := d.b[d.i]; {
	case c == mpNil:
		d.i++
		return nil
	case c == mpTrue, c == mpFalse:
		return d.bool()
	case c >= 0xe0:
		d.i++
		return int64(int8(c))
	case c < 0x80, c >= mpUint8 && c <= mpUint64:
		if v := d.uint(); v > math.MaxInt64 {
			return v
		} else {
			return int64(v)
		}
	case c >= mpInt8 && c <= mpInt64:
		d.i++
		shift := 64 - 8<<(c-mpInt8)
		return int64(d.sized(1<<(c-mpInt8))<<shift) >> shift
	case c == mpFloat64:
		d.i++
		return math.Float64frombits(d.sized(8))
	case c == mpFloat32:
		d.i++
		return float64(math.Float32frombits(uint32(d.sized(4))))
	case c >= mpBin8 && c <= mpBin32:
		v, _ := d.bin()
		return append(make([]byte, 0, len(v)), v...)
	case c&0xe0 == 0xa0, c >= mpStr8 && c <= mpStr32:
		v, _ := d.bin()
		return string(v)
	case c&0xf0 == 0x90, c == mpArray16, c == mpArray32:
		f := d.array()
		list := make([]any, 0, f)
		for f.more() && d.err == nil {
			list = append(list, d.value())
		}
		return list
	case c&0xf0 == 0x80, c == mpMap16, c == mpMap32:
		f := d.mapping()
		m := make(map[string]any, f)
		for f.more() && d.err == nil {
			k := d.byte()
			if d.i--; k&0xe0 != 0xa0 && (k < mpStr8 || k > mpStr32) {
				d.fail("a key that is not text: 0x%02x", k)
				return nil
			}
			key, _ := d.bin()
			m[string(key)] = d.value()
		}
		return m
	default:
		d.fail("0x%02x is not allowed in a value", c)
		return nil
	}
}
