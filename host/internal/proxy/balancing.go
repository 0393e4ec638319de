package proxy

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
)

// balance prepares what the balancer is asked at a time.
func (r *request) balance(now time.Time) {
	d := &r.dest
	d.balancer.Begin()
	d.choice = balancer.Choice{Now: now, Quit: &r.conn.quit}
	r.out.RetryOn = d.balancer.Upstream.RetryOn
	switch u := d.balancer.Upstream; u.Algorithm {
	case "consistent-hashing":
		d.choice.Hash = r.hash(u)
	case "sticky-sessions":
		d.choice.Sticky, _ = r.cookie(u.Sticky.Name)
	}
}

// fromBalancer sets the target to a place of the balancer. A further try takes its leave.
func (d *destination) fromBalancer(try int) error {
	c := &d.choice
	c.Patience = d.to.ConnectTimeout
	if d.place != nil {
		c.Patience = 0 // there is an answer that can be passed on
	}
	if try > 0 {
		if !d.balancer.MayRetry(d.retried) {
			return errNoBudget
		}
		d.retried = true
		c.Now = time.Now()
	}
	c.Tried = d.tried
	p, err := d.balancer.Choose(c)
	if err != nil {
		return noPlace(err)
	}
	d.release()
	d.place, d.tried = p, append(d.tried, p)
	d.to.Host, d.to.Port, d.name, d.hostHeader = p.Host, p.Port, p.Name, d.balancer.Upstream.HostHeader
	return nil
}

var errNoBudget = errors.New("the retry budget of the upstream is used up")

// noPlace is why the balancer has no place, as an error of the upstream.
func noPlace(err error) error {
	var dns *net.DNSError
	kind := upstream.KindNoTarget
	switch {
	case errors.As(err, &dns):
		kind = upstream.KindResolve
	case errors.Is(err, balancer.ErrGone):
		kind, err = upstream.KindBody, upstream.ErrClientGone
	case errors.Is(err, balancer.ErrFull):
		kind = upstream.KindOverflow
	}
	return &upstream.Error{Kind: kind, Err: err}
}

// tell tells the balancer how a try ended. A place that answered has the request until finish.
func (d *destination) tell(o *upstream.Outcome) {
	if o.Err == nil {
		d.balancer.Report(d.place, balancer.Outcome{Status: o.Status, Took: o.Head})
		return
	}
	said := balancer.Outcome{Took: o.Lost}
	var e *upstream.Error
	if errors.As(o.Err, &e) {
		said.Timeout = e.Kind == upstream.KindTimeout
		said.Failed = said.Timeout || e.Kind == upstream.KindConnect && !ours(e) || e.Kind == upstream.KindBadResponse
	}
	d.balancer.Report(d.place, said)
	d.release()
}

// release says that the place of the last try is done with the request: it failed, its answer was passed on, or that is given up.
func (d *destination) release() {
	if d.place != nil {
		d.balancer.Release(d.place)
		d.place = nil
	}
}

// ours reports whether a connection failed for want of something that this machine has too little of: descriptors, ports or memory. The target is not
// to blame.
func ours(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL:
		return true
	}
	return false
}

// reset gives back what the balancer counts, and empties the destination for the next request.
func (d *destination) reset() {
	if d.balancer != nil {
		d.release()
		d.balancer.End(d.retried)
	}
	clear(d.tried)
	*d = destination{tried: d.tried[:0]}
}

// giveCookie adds the cookie by which the balancer knows the client again, unless the client sent it.
func (r *request) giveCookie(h *fasthttp.ResponseHeader) {
	d := &r.dest
	u := d.balancer.Upstream
	name, path, value := u.Hash.Name, u.CookiePath, d.cookie
	if u.Hash.On != "cookie" {
		name = u.Fallback.Name
	}
	if u.Algorithm == "sticky-sessions" {
		if d.place == nil || d.place.Token == d.choice.Sticky {
			return
		}
		name, path, value = u.Sticky.Name, u.Sticky.Path, d.place.Token
	}
	if value == "" {
		return
	}
	r.scratch = append(append(append(r.scratch[:0], name...), '='), value...)
	r.scratch = append(append(append(r.scratch, "; Path="...), path...), "; HttpOnly; SameSite=Lax"...)
	h.AddBytesV("Set-Cookie", r.scratch)
}
