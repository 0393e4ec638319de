// Package timedconn bounds the gap between two reads or writes of a connection, on both sides of the gateway.
package timedconn

import (
	"net"
	"time"
)

// Conn renews its deadlines only when an eighth of one has passed, so that they cost no timer change per operation. It is for one reader and
// one writer. A timeout of 0 is none.
type Conn struct {
	net.Conn
	ReadTimeout, WriteTimeout time.Duration

	// Written is the number of bytes that the kernel took; ReadErr and WriteErr are the last errors. Codecs on top may lose them.
	Written           int64
	ReadErr, WriteErr error

	readAt, writeAt time.Time
}

// Rearm takes the read deadline away, which may have passed while nobody read. The next read sets a new one.
func (c *Conn) Rearm() error {
	c.readAt = time.Time{}
	return c.SetReadDeadline(time.Time{})
}

// Retime changes the timeouts. Deadlines that were set with the old ones are taken away.
func (c *Conn) Retime(read, write time.Duration) error {
	if c.ReadTimeout == read && c.WriteTimeout == write {
		return nil
	}
	c.ReadTimeout, c.WriteTimeout = read, write
	c.readAt, c.writeAt = time.Time{}, time.Time{}
	return c.SetDeadline(time.Time{})
}

func (c *Conn) Read(p []byte) (int, error) {
	if now := time.Now(); c.ReadTimeout > 0 && now.Sub(c.readAt) > c.ReadTimeout/8 {
		c.readAt = now
		if err := c.SetReadDeadline(now.Add(c.ReadTimeout)); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		c.ReadErr = err
	}
	return n, err
}

func (c *Conn) Write(p []byte) (int, error) {
	if now := time.Now(); c.WriteTimeout > 0 && now.Sub(c.writeAt) > c.WriteTimeout/8 {
		c.writeAt = now
		if err := c.SetWriteDeadline(now.Add(c.WriteTimeout)); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Write(p)
	c.Written += int64(n)
	if err != nil {
		c.WriteErr = err
	}
	return n, err
}
