// Package spoe is an agent of HAProxy's stream processing offload engine (SPOP 2.0). One goroutine per connection answers every frame that one read
// brought with one write; HAProxy pipelines the requests of a thread over its connections.
package spoe

import (
	"encoding/binary"
	"fmt"
	"net"
)

// Serve answers until the listener is closed.
func Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = conn.Close() }()
			_ = serve(conn) // it ends when HAProxy hangs up
		}()
	}
}

func serve(conn net.Conn) error {
	in, out := make([]byte, 64<<10), make([]byte, 0, 64<<10)
	filled := 0
	for {
		n, err := conn.Read(in[filled:])
		if err != nil {
			return err
		}
		filled += n
		rest := in[:filled]
		out = out[:0]
		for len(rest) >= 4 {
			size := int(binary.BigEndian.Uint32(rest))
			if size > maxFrame {
				return fmt.Errorf("a frame of %d bytes: %w", size, errFrame)
			}
			if len(rest) < 4+size {
				break
			}
			if out, err = answer(out, rest[4:4+size]); err != nil {
				return err
			}
			rest = rest[4+size:]
		}
		filled = copy(in, rest)
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return err
			}
		}
	}
}

// answer appends the answer to a frame.
func answer(out, frame []byte) ([]byte, error) {
	c := cursor{b: frame}
	kind := c.byte()
	c.take(4) // flags
	stream, id := c.varint(), c.varint()
	if c.bad {
		return out, errFrame
	}
	start := len(out)
	switch kind {
	case haproxyHello:
		out = begin(out, agentHello, stream, id)
		out = append(appendString(out, "version"), typeString)
		out = append(appendString(appendString(out, "2.0"), "max-frame-size"), typeUint32)
		out = appendString(appendVarint(out, maxFrame), "capabilities")
		out = appendString(append(out, typeString), "pipelining")
	case notify:
		out = begin(out, ack, stream, id)
		var err error
		if out, err = hello(out, &c); err != nil {
			return out, err
		}
	case haproxyDisconnect:
		out = begin(out, agentDisconnect, stream, id)
		out = append(appendString(out, "status-code"), typeUint32, 0)
		out = appendString(append(appendString(out, "message"), typeString), "bye")
	default:
		return out, fmt.Errorf("type %d: %w", kind, errFrame)
	}
	end(out, start)
	return out, nil
}

const (
	setVar   = 1
	scopeTxn = 2
)

// hello reads the arguments name and ua of each message, and sets the variable greeting.
func hello(out []byte, c *cursor) ([]byte, error) {
	for len(c.b) > 0 && !c.bad {
		c.bytes() // the message's name
		var name, agent []byte
		for range c.byte() {
			switch key := c.bytes(); string(key) {
			case "name":
				name = c.value()
			case "ua":
				agent = c.value()
			default:
				c.value()
			}
		}
		if c.bad {
			break
		}
		if len(agent) == 0 {
			continue
		}
		out = append(out, setVar, 3, scopeTxn)
		out = append(appendString(out, "greeting"), typeString)
		out = appendVarint(out, uint64(len("good day, ")+len(name)))
		out = append(append(out, "good day, "...), name...)
	}
	if c.bad {
		return out, errFrame
	}
	return out, nil
}
