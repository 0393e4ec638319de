package wire

import (
	"encoding/binary"
	"math"
)

// The first bytes of MessagePack values that this package writes and reads.
const (
	mpNil      = 0xc0
	mpFalse    = 0xc2
	mpTrue     = 0xc3
	mpBin8     = 0xc4
	mpBin16    = 0xc5
	mpBin32    = 0xc6
	mpExt8     = 0xc7
	mpExt16    = 0xc8
	mpExt32    = 0xc9
	mpFloat32  = 0xca
	mpFloat64  = 0xcb
	mpUint8    = 0xcc
	mpUint16   = 0xcd
	mpUint32   = 0xce
	mpUint64   = 0xcf
	mpInt8     = 0xd0
	mpInt16    = 0xd1
	mpInt32    = 0xd2
	mpInt64    = 0xd3
	mpFixExt1  = 0xd4
	mpFixExt2  = 0xd5
	mpFixExt4  = 0xd6
	mpFixExt8  = 0xd7
	mpFixExt16 = 0xd8
	mpStr8     = 0xd9
	mpStr16    = 0xda
	mpStr32    = 0xdb
	mpArray16  = 0xdc
	mpArray32  = 0xdd
	mpMap16    = 0xde
	mpMap32    = 0xdf
)

// chunkedExt is the extension type that stands for bytes that went ahead in chunks.
const chunkedExt = 1

func appendNil(dst []byte) []byte { return append(dst, mpNil) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, mpTrue)
	}
	return append(dst, mpFalse)
}

func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, mpUint8, byte(v))
	case v <= math.MaxUint16:
		return append(dst, mpUint16, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, mpUint32), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, mpUint64), v)
}

func appendInt(dst []byte, v int64) []byte {
	switch {
	case v >= 0:
		return appendUint(dst, uint64(v))
	case v >= -32:
		return append(dst, byte(v))
	case v >= math.MinInt8:
		return append(dst, mpInt8, byte(v))
	case v >= math.MinInt16:
		return append(dst, mpInt16, byte(v>>8), byte(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, mpInt32), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, mpInt64), uint64(v))
}

func appendStrHead(dst []byte, n int) []byte {
	switch {
	case n < 32:
		return append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(dst, mpStr8, byte(n))
	case n <= math.MaxUint16:
		return append(dst, mpStr16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, mpStr32), uint32(n))
}

func appendStr(dst []byte, s string) []byte { return append(appendStrHead(dst, len(s)), s...) }

// appendLower appends s as str in lower case (ASCII).
func appendLower(dst []byte, s string) []byte {
	dst = appendStr(dst, s)
	lower(dst[len(dst)-len(s):])
	return dst
}

// lower turns b into lower case (ASCII), eight bytes at a time.
func lower(b []byte) {
	if len(b) < 8 {
		for i, c := range b {
			if c-'A' < 26 {
				b[i] = c | 0x20
			}
		}
		return
	}
	for i := 0; ; i += 8 {
		i = min(i, len(b)-8) // the last eight may have been seen in part: once more changes nothing
		binary.LittleEndian.PutUint64(b[i:], lower8(binary.LittleEndian.Uint64(b[i:])))
		if i == len(b)-8 {
			return
		}
	}
}

// lower8 is lower for eight bytes: the upper bit of each lane of the sums says whether its byte is at least 'A', and above 'Z'.
func lower8(w uint64) uint64 {
	const ones = 0x0101010101010101
	low := w &^ (0x80 * ones)
	fromA, aboveZ := low+(0x80-'A')*ones, low+(0x7f-'Z')*ones
	return w | (fromA&^aboveZ&^w&(0x80*ones))>>2
}

func appendBinHead(dst []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, mpBin8, byte(n))
	case n <= math.MaxUint16:
		return append(dst, mpBin16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, mpBin32), uint32(n))
}

func appendBinStr(dst []byte, s string) []byte { return append(appendBinHead(dst, len(s)), s...) }

// appendBody appends a body that may be large: over ChunkSize only its length stands here, and the bytes go ahead as chunks.
func appendBody(dst, b []byte) []byte {
	if len(b) > ChunkSize {
		return binary.BigEndian.AppendUint64(append(dst, mpFixExt8, chunkedExt), uint64(len(b)))
	}
	return append(appendBinHead(dst, len(b)), b...)
}

func appendOptBody(dst, b []byte, has bool) []byte {
	if !has {
		return appendNil(dst)
	}
	return appendBody(dst, b)
}

func appendArray(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, 0x90|byte(n))
	case n <= math.MaxUint16:
		return append(dst, mpArray16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, mpArray32), uint32(n))
}

func appendMap(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, 0x80|byte(n))
	case n <= math.MaxUint16:
		return append(dst, mpMap16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, mpMap32), uint32(n))
}

// appendRaw appends a value that is MessagePack already; none is nil.
func appendRaw(dst, v []byte) []byte {
	if len(v) == 0 {
		return appendNil(dst)
	}
	return append(dst, v...)
}

// appendHeaders appends the flat array of names and values of a call.
func appendHeaders(dst []byte, hs []Header) []byte {
	dst = appendArray(dst, 2*len(hs))
	for i := range hs {
		dst = appendLower(dst, hs[i].Name)
		dst = appendBinStr(dst, hs[i].Value)
	}
	return dst
}

// appendGiven appends the headers of an operation: their names stand as the plugin gave them.
func appendGiven(dst []byte, hs []Header) []byte {
	dst = appendArray(dst, 2*len(hs))
	for i := range hs {
		dst = appendStr(dst, hs[i].Name)
		dst = appendBinStr(dst, hs[i].Value)
	}
	return dst
}

func appendBins(dst []byte, ss []string) []byte {
	dst = appendArray(dst, len(ss))
	for _, s := range ss {
		dst = appendBinStr(dst, s)
	}
	return dst
}
