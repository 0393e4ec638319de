// Package timedconn bounds the gap between two reads or writes of a connection, on both sides of the gateway.
package timedconn

import (
	"net"
	"sync/atomic"
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
	// readNow and writeNow are what At said; zero: nothing.
	readNow, writeNow time.Time

	interrupted atomic.Bool
}

// At says what time it is, for the next read and the next write: looking at the clock costs a twentieth of either. They must
// follow at once. The zero time takes back what was said.
func (c *Conn) At(now time.Time) { c.readNow, c.writeNow = now, now }

// take is the time that was said, once, or that of the clock.
func take(said *time.Time) time.Time {
	if said.IsZero() {
		return time.Now()
	}
	now := *said
	*said = time.Time{}
	return now
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

// Interrupt ends a Read that waits with a timeout, and all later ones. Any goroutine may call it.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	_ = c.SetReadDeadline(time.Now())
}

// RetimeRead changes the read timeout from the next read on. With 0 that has the deadline that was set last.
func (c *Conn) RetimeRead(timeout time.Duration) {
	if c.ReadTimeout != timeout {
		c.ReadTimeout, c.readAt = timeout, time.Time{}
	}
}

// ArmRead sets the read deadline when it is due, as Read does, for who reads from the connection below.
func (c *Conn) ArmRead() error {
	if now := take(&c.readNow); c.ReadTimeout > 0 && now.Sub(c.readAt) > c.ReadTimeout/8 {
		c.readAt = now
		if err := c.SetReadDeadline(now.Add(c.ReadTimeout)); err != nil {
			return err
		}
		if c.interrupted.Load() {
			_ = c.SetReadDeadline(now)
		}
	}
	return nil
}

func (c *Conn) Read(p []byte) (int, error) {
	if err := c.ArmRead(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		c.ReadErr = err
	}
	return n, err
}

func (c *Conn) Write(p []byte) (int, error) {
	if now := take(&c.writeNow); c.WriteTimeout > 0 && now.Sub(c.writeAt) > c.WriteTimeout/8 {
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
