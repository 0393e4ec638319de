package wire

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// decoder reads one body. The first error sticks and everything read after it is zero. Strings and slices that it returns are
// views of the body: whoever decodes gives the body away for good.
type decoder struct {
	b     []byte
	i     int
	bulk  []byte // gathered chunks not yet taken
	items int    // array elements that may still come
	what  string
	err   error
}

func newDecoder(what string, body, bulk []byte) decoder {
	return decoder{b: body, bulk: bulk, items: MaxItems, what: what}
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = badFormat(d.what, format, args...)
		d.i = len(d.b)
	}
}

// done checks that the body and the chunks were used up.
func (d *decoder) done() error {
	if d.err == nil && d.i != len(d.b) {
		d.fail("%d bytes behind the end", len(d.b)-d.i)
	}
	if d.err == nil && len(d.bulk) != 0 {
		d.fail("%d bytes of chunks that no field names", len(d.bulk))
	}
	return d.err
}

func (d *decoder) byte() byte {
	if d.i >= len(d.b) {
		d.fail("ends too early")
		return mpNil
	}
	c := d.b[d.i]
	d.i++
	return c
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)-d.i) {
		d.fail("ends too early: %d bytes wanted, %d there", n, len(d.b)-d.i)
		return nil
	}
	v := d.b[d.i : d.i+int(n) : d.i+int(n)]
	d.i += int(n)
	return v
}

// sized reads a big-endian number of n bytes; 0 after an error.
func (d *decoder) sized(n uint64) uint64 {
	b := d.take(n)
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// null takes a nil if it is next.
func (d *decoder) null() bool {
	if d.i < len(d.b) && d.b[d.i] == mpNil {
		d.i++
		return true
	}
	return false
}

// fields counts down the elements of an array of fixed positions.
type fields int

// more reports whether another element follows, and takes it off.
func (f *fields) more() bool {
	if *f <= 0 {
		return false
	}
	*f--
	return true
}

// array reads the head of an array; nil counts as empty.
func (d *decoder) array() fields {
	if d.i < len(d.b) && d.b[d.i]&0xf0 == 0x90 {
		if n := int(d.b[d.i] & 0x0f); n < len(d.b)-d.i && n <= d.items {
			d.i++
			d.items -= n
			return fields(n)
		}
	}
	c := d.byte()
	var n uint64
	switch {
	case c&0xf0 == 0x90:
		n = uint64(c & 0x0f)
	case c == mpNil:
	case c == mpArray16:
		n = d.sized(2)
	case c == mpArray32:
		n = d.sized(4)
	default:
		d.fail("an array expected, found 0x%02x", c)
	}
	return d.count(n)
}

// mapping reads the head of a map; nil counts as empty.
func (d *decoder) mapping() fields {
	c := d.byte()
	var n uint64
	switch {
	case c&0xf0 == 0x80:
		n = uint64(c & 0x0f)
	case c == mpNil:
	case c == mpMap16:
		n = d.sized(2)
	case c == mpMap32:
		n = d.sized(4)
	default:
		d.fail("a map expected, found 0x%02x", c)
	}
	return d.count(n)
}

func (d *decoder) count(n uint64) fields {
	if d.err != nil {
		return 0
	}
	if n > uint64(len(d.b)-d.i) {
		d.fail("%d elements claimed in %d bytes", n, len(d.b)-d.i)
		return 0
	}
	if d.items -= int(n); d.items < 0 {
		d.fail("more than %d elements", MaxItems)
		return 0
	}
	return fields(n)
}

// rest skips what a newer peer appended.
func (d *decoder) rest(f fields) {
	for f.more() && d.err == nil {
		d.skip()
	}
}

// uint reads a number from 0; nil is 0. A float without a fraction is taken: some languages have no other numbers.
func (d *decoder) uint() uint64 {
	c := d.byte()
	switch {
	case c < 0x80:
		return uint64(c)
	case c == mpNil:
		return 0
	case c >= mpUint8 && c <= mpUint64:
		return d.sized(1 << (c - mpUint8))
	case c >= mpInt8 && c <= mpInt64:
		shift := 64 - 8<<(c-mpInt8)
		v := int64(d.sized(1<<(c-mpInt8))<<shift) >> shift
		if v < 0 {
			d.fail("a number from 0 expected, found %d", v)
			return 0
		}
		return uint64(v)
	case c == mpFloat64 || c == mpFloat32:
		var f float64
		if c == mpFloat64 {
			f = math.Float64frombits(d.sized(8))
		} else {
			f = float64(math.Float32frombits(uint32(d.sized(4))))
		}
		if f >= 0 && f < 1<<63 && f == math.Trunc(f) {
			return uint64(f)
		}
		d.fail("a whole number expected, found %v", f)
		return 0
	}
	d.fail("a number from 0 expected, found 0x%02x", c)
	return 0
}

// uintTo reads a number from 0 to limit.
func (d *decoder) uintTo(limit uint64) uint64 {
	if d.i < len(d.b) && d.b[d.i] < 0x80 && uint64(d.b[d.i]) <= limit {
		d.i++
		return uint64(d.b[d.i-1])
	}
	v := d.uint()
	if v > limit {
		d.fail("a number to %d expected, found %d", limit, v)
		return 0
	}
	return v
}

func (d *decoder) bool() bool {
	switch c := d.byte(); c {
	case mpTrue:
		return true
	case mpFalse, mpNil:
	default:
		d.fail("true or false expected, found 0x%02x", c)
	}
	return false
}

// bin reads bin, str, or the extension for chunked bytes; nil is empty. has is false for nil.
func (d *decoder) bin() (v []byte, has bool) {
	c := d.byte()
	switch {
	case c&0xe0 == 0xa0:
		return d.take(uint64(c & 0x1f)), true
	case c == mpNil:
		return nil, false
	case c >= mpBin8 && c <= mpBin32:
		return d.take(d.sized(1 << (c - mpBin8))), true
	case c >= mpStr8 && c <= mpStr32:
		return d.take(d.sized(1 << (c - mpStr8))), true
	case c == mpFixExt8:
		return d.chunked(), true
	case c == mpExt8:
		if n := d.byte(); n != 8 {
			d.fail("an extension of 8 bytes expected, found %d", n)
			return nil, false
		}
		return d.chunked(), true
	}
	d.fail("bytes expected, found 0x%02x", c)
	return nil, false
}

// chunked takes the bytes that an extension stands for.
func (d *decoder) chunked() []byte {
	if t := d.byte(); t != chunkedExt && d.err == nil {
		d.fail("extension type %d expected, found %d", chunkedExt, t)
		return nil
	}
	n := d.sized(8)
	if n > uint64(len(d.bulk)) {
		d.fail("%d bytes of chunks wanted, %d there", n, len(d.bulk))
		return nil
	}
	v := d.bulk[:n:n]
	d.bulk = d.bulk[n:]
	return v
}

// str reads like bin and gives a string.
func (d *decoder) str() string {
	if s, short := d.shortStr(); short {
		return s
	}
	v, _ := d.bin()
	return view(v)
}

// shortStr reads str or bin of less than 256 bytes, which nearly all are. short is false when something else is next, or it ends too early.
func (d *decoder) shortStr() (s string, short bool) {
	b := d.b[d.i:]
	if len(b) < 2 {
		return "", false
	}
	head, n := 1, int(b[0]&0x1f)
	if b[0] == mpBin8 || b[0] == mpStr8 {
		head, n = 2, int(b[1])
	} else if b[0]&0xe0 != 0xa0 {
		return "", false
	}
	if n > len(b)-head {
		return "", false
	}
	d.i += head + n
	return view(b[head : head+n]), true
}

// optStr reads like str; has is false for nil.
func (d *decoder) optStr() (s string, has bool) {
	v, has := d.bin()
	return view(v), has
}

// raw takes one whole value, unread but checked; nil for a nil value.
func (d *decoder) raw() []byte {
	start := d.i
	d.skip()
	if d.err != nil || d.b[start] == mpNil {
		return nil
	}
	return d.b[start:d.i:d.i]
}

// rawMap is raw for a value that must be a map.
func (d *decoder) rawMap() []byte {
	v := d.raw()
	if v != nil && v[0]&0xf0 != 0x80 && v[0] != mpMap16 && v[0] != mpMap32 {
		d.fail("a map expected, found 0x%02x", v[0])
		return nil
	}
	return v
}

// rawArray is raw for a value that must be an array.
func (d *decoder) rawArray() []byte {
	v := d.raw()
	if v != nil && v[0]&0xf0 != 0x90 && v[0] != mpArray16 && v[0] != mpArray32 {
		d.fail("an array of arguments expected, found 0x%02x", v[0])
		return nil
	}
	return v
}

// headers reads the flat array of names and values onto dst.
func (d *decoder) headers(dst []Header) []Header {
	f := d.array()
	if f%2 != 0 {
		d.fail("headers: an even number of elements expected, found %d", f)
		return dst
	}
	for f.more() && d.err == nil {
		name := d.str()
		f.more()
		dst = append(dst, Header{Name: name, Value: d.str()})
	}
	return dst
}

// strs reads an array of strings onto dst.
func (d *decoder) strs(dst []string) []string {
	for f := d.array(); f.more() && d.err == nil; {
		dst = append(dst, d.str())
	}
	return dst
}

// skip passes over one value of any kind and checks its form.
func (d *decoder) skip() {
	n := d.skipHead()
	if n == 0 {
		return
	}
	if n > uint64(len(d.b)-d.i) {
		d.fail("%d elements claimed in %d bytes", n, len(d.b)-d.i)
		return
	}
	// pending[k] counts the values still to pass at depth k: no recursion, so that hostile nesting costs no stack.
	var pending [MaxDepth + 1]uint64
	depth := 1
	pending[depth] = n
	for d.err == nil {
		for pending[depth] == 0 {
			if depth == 0 {
				return
			}
			depth--
		}
		pending[depth]--
		n := d.skipHead()
		if n == 0 || d.err != nil {
			continue
		}
		if depth == MaxDepth {
			d.fail("nested deeper than %d", MaxDepth)
			return
		}
		if n > uint64(len(d.b)-d.i) {
			d.fail("%d elements claimed in %d bytes", n, len(d.b)-d.i)
			return
		}
		depth++
		pending[depth] = n
	}
}

// skipHead passes over a scalar, or over the head of an array or map, and returns how many values that holds.
func (d *decoder) skipHead() uint64 {
	c := d.byte()
	switch {
	case c < 0x80, c >= 0xe0, c == mpNil, c == mpFalse, c == mpTrue:
		return 0
	case c < 0x90:
		return 2 * uint64(c&0x0f)
	case c < 0xa0:
		return uint64(c & 0x0f)
	case c < 0xc0:
		d.take(uint64(c & 0x1f))
		return 0
	}
	switch c {
	case mpBin8, mpBin16, mpBin32:
		d.take(d.sized(1 << (c - mpBin8)))
	case mpStr8, mpStr16, mpStr32:
		d.take(d.sized(1 << (c - mpStr8)))
	case mpExt8, mpExt16, mpExt32:
		d.take(d.sized(1<<(c-mpExt8)) + 1)
	case mpFixExt1, mpFixExt2, mpFixExt4, mpFixExt8, mpFixExt16:
		d.take(1<<(c-mpFixExt1) + 1)
	case mpUint8, mpInt8:
		d.take(1)
	case mpUint16, mpInt16:
		d.take(2)
	case mpUint32, mpInt32, mpFloat32:
		d.take(4)
	case mpUint64, mpInt64, mpFloat64:
		d.take(8)
	case mpArray16:
		return d.sized(2)
	case mpArray32:
		return d.sized(4)
	case mpMap16:
		return 2 * d.sized(2)
	case mpMap32:
		return 2 * d.sized(4)
	default:
		d.fail("0x%02x begins no value", c)
	}
	return 0
}

// view is the string over b's bytes, which nobody changes any more.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
