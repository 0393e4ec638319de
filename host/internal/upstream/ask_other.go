//go:build !unix

package upstream

import (
	"net"
	"time"
)

// asking does not work on this system: requests are sent and answers read one after the other.
type asking struct{ req *Request }

func (*asking) on(*conn, net.Conn) {}

func (*asking) can() bool { return false }

func (c *conn) ask(*Request, time.Time) (failed, err error) { return errUnasked, nil }

func (*asking) read(*conn, []byte) (int, error) { return 0, errUnasked }
