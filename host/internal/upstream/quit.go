package upstream

import (
	"errors"
	"time"

	"github.com/valyala/fasthttp"
)

// Quit tells a try that nobody waits for its response any more.
type Quit interface {
	Enter(who interface{ GiveUp(id uint32) }, id uint32)
	Leave()
	Gone() bool
}

// ErrClientGone is why a request was given up, under an Error of KindBody: it is neither the target's fault nor tried again.
var ErrClientGone = errors.New("the client has gone")

// wanted is an exchange that ends when the client goes.
func (c *conn) wanted(req *Request, resp *fasthttp.Response, now time.Time) (sent bool, err error) {
	if req.Quit == nil {
		return c.exchange(req, resp, now)
	}
	req.Quit.Enter(c, 0)
	sent, err = c.exchange(req, resp, now)
	req.Quit.Leave()
	if err != nil && req.Quit.Gone() {
		err = &Error{Kind: KindBody, Err: ErrClientGone}
	}
	return sent, err
}

// GiveUp ends an exchange that waits.
func (c *conn) GiveUp(uint32) { c.close() }
