package spoe

import (
	"encoding/binary"
	"errors"
)

// Types of frames, and the flag of the last fragment.
const (
	haproxyHello      = 1
	haproxyDisconnect = 2
	notify            = 3
	agentHello        = 101
	agentDisconnect   = 102
	ack               = 103

	fin = 1
)

// Types of values.
const (
	typeBool   = 1
	typeInt32  = 2
	typeUint32 = 3
	typeInt64  = 4
	typeUint64 = 5
	typeIPv4   = 6
	typeIPv6   = 7
	typeString = 8
	typeBinary = 9
)

// maxFrame bounds a frame, without its length: what HAProxy offers with its usual buffer of 16 KiB.
const maxFrame = 16<<10 - 4

var errFrame = errors.New("a frame that is no SPOP")

// appendVarint appends a number in HAProxy's encoding: one byte below 240, otherwise the low four bits first.
func appendVarint(b []byte, n uint64) []byte {
	if n < 240 {
		return append(b, byte(n))
	}
	b = append(b, byte(n)|240)
	for n = (n - 240) >> 4; n >= 128; n = (n - 128) >> 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

func appendString(b []byte, s string) []byte { return append(appendVarint(b, uint64(len(s))), s...) }

// cursor reads the payload of a frame. After an error it reads zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) varint() uint64 {
	n := uint64(c.byte())
	if n < 240 {
		return n
	}
	for shift := 4; shift < 64; shift += 7 {
		v := uint64(c.byte())
		n += v << shift
		if v < 128 {
			return n
		}
	}
	c.bad = true
	return 0
}

func (c *cursor) bytes() []byte { return c.take(c.varint()) }

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

// value reads a typed value: the bytes of a string, nothing of the others.
func (c *cursor) value() []byte {
	switch c.byte() & 15 {
	case typeInt32, typeUint32, typeInt64, typeUint64:
		c.varint()
	case typeIPv4:
		c.take(4)
	case typeIPv6:
		c.take(16)
	case typeString, typeBinary:
		return c.bytes()
	}
	return nil // null and bool have no bytes of their own
}

// begin appends room for the length, and the head of a frame. end fills in the length.
func begin(b []byte, kind byte, stream, frame uint64) []byte {
	b = append(b, 0, 0, 0, 0, kind, 0, 0, 0, fin)
	return appendVarint(appendVarint(b, stream), frame)
}

func end(b []byte, start int) { binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4)) }
