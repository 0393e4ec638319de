package proxy

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/balancer"
	"github.com/outrigger-gateway/outrigger/host/internal/exchange"
	"github.com/outrigger-gateway/outrigger/host/internal/upstream"
	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
)

// destination is where the tries of a request go. The service says so, and plugins may say otherwise.
type destination struct {
	to         upstream.Target
	name       string               // what the target is called when that is not to.Host
	balancer   *balancer.Balancer   // of the upstream, or of a service whose host is a name; nil: none
	place      *balancer.Place      // chosen by the balancer, which counts it; nil: none
	tried      []*balancer.Place    // by this request
	choice     balancer.Choice      // what the balancer is asked
	cookie     string               // value of a cookie that the client gets; "": none
	retried    bool                 // with the leave of the balancer
	hostHeader string               // what the upstream wants as Host; "": the name of the target
	said       exchange.Destination // by plugins
	retries    int
	log        bool // tries are wanted for the log entry
}

// destine finds the target of the first try, and says when that was: a request may wait for it.
func (r *request) destine() (time.Time, error) {
	now := time.Now()
	s := r.ex.Service
	scheme := s.Protocol
	if r.ex.Upstream.Scheme != "" {
		scheme = r.ex.Upstream.Scheme
	}
	d := &r.dest
	d.retries = s.Retries
	d.log = r.ex.Handles(pdk.PhaseLog)
	d.to = upstream.Target{
		TLS: scheme == "https", TLSVerify: s.TLSVerify != nil && *s.TLSVerify,
		Host: s.Host, Port: s.Port,
		ConnectTimeout: time.Duration(s.ConnectTimeout) * time.Millisecond,
		WriteTimeout:   time.Duration(s.WriteTimeout) * time.Millisecond,
		ReadTimeout:    time.Duration(s.ReadTimeout) * time.Millisecond,
	}
	balanced, direct := s.Upstream, false
	if said := r.ex.Upstream.Destination; said != nil {
		d.said = *said
		d.obey()
		if said.Upstream != nil {
			balanced = said.Upstream
		}
		if direct = said.Target != nil; direct {
			balanced = nil
		}
	}
	switch {
	case balanced != nil:
		d.balancer = r.gen.Balancer(balanced)
	case !direct:
		d.balancer = r.gen.Named(s)
	}
	if d.balancer != nil {
		r.balance(now)
	}
	if err := d.choose(0); err != nil {
		return now, err
	}
	if d.balancer != nil {
		now = d.choice.Now
	}
	d.nameServer(r.ex.Upstream.Host)
	return now, nil
}

// nameServer says whose certificate an https upstream is to show: as in Kong, that of the Host which a plugin or the upstream entity set.
func (d *destination) nameServer(byPlugin string) {
	if !d.to.TLS {
		return
	}
	d.to.ServerName = ""
	if host := cmp.Or(byPlugin, d.hostHeader, d.name); host != "" {
		name, _ := splitHost(host)
		d.to.ServerName = strings.Trim(name, "[]")
	}
}

// obey takes over what plugins said of the manner of the connection.
func (d *destination) obey() {
	said := &d.said
	if said.HasRetries {
		d.retries = said.Retries
	}
	if said.HasTimeouts {
		d.to.ConnectTimeout, d.to.WriteTimeout, d.to.ReadTimeout = said.Timeouts.Connect, said.Timeouts.Write, said.Timeouts.Read
	}
	if said.HasVerify {
		d.to.TLSVerify = said.Verify
	}
	if said.HasDepth {
		d.to.TLSChain = said.Depth + 2 // the upstream's own certificate and the trusted one do not count
	}
	d.to.Certificate, d.to.Roots = said.Certificate, said.Roots
	if t := said.Target; t != nil {
		d.to.Host, d.to.Port = t.Host, t.Port
	}
}

// choose sets the target of a try.
func (d *destination) choose(try int) error {
	if n := len(d.said.Fallbacks); try > 0 && n > 0 {
		d.release()
		next := d.said.Fallbacks[(try-1)%n]
		d.to.Host, d.to.Port, d.hostHeader, d.name = next.Host, next.Port, "", ""
		return nil
	}
	if d.balancer == nil {
		return nil // the place of the first try
	}
	return d.fromBalancer(try)
}

// Try implements upstream.Targets. The first try has its target already; the Host of later ones follows theirs.
func (r *request) Try(n int) *upstream.Target {
	d := &r.dest
	if n > 0 {
		before, name, hostHeader := d.to, d.name, d.hostHeader
		if d.choose(n) != nil {
			return nil
		}
		d.nameServer(r.ex.Upstream.Host)
		if d.to != before || d.name != name || d.hostHeader != hostHeader {
			if r.ex.Upstream.Host == "" && !r.ex.Route.PreserveHost {
				r.out.Host = d.appendHost(r.out.Host[:0])
			}
		}
	}
	if d.log {
		r.ex.Tries = append(r.ex.Tries, local.Try{Host: d.to.Host, Port: d.to.Port, Start: time.Now().UnixMilli()})
	}
	return &d.to
}

// Done implements upstream.Targets.
func (r *request) Done(_ int, o upstream.Outcome) {
	if r.dest.place != nil {
		if r.out.Stream != nil {
			o.Head = 0 // the client's body may have taken most of it
		}
		r.dest.tell(&o)
	}
}

// appendHost appends the Host that suits the target.
func (d *destination) appendHost(b []byte) []byte {
	if d.hostHeader != "" {
		return append(b, d.hostHeader...)
	}
	if name := cmp.Or(d.name, d.to.Host); strings.IndexByte(name, ':') >= 0 && name[0] != '[' {
		b = append(append(append(b, '['), name...), ']')
	} else {
		b = append(b, name...)
	}
	if d.to.TLS && d.to.Port == 443 || !d.to.TLS && d.to.Port == 80 {
		return b
	}
	return strconv.AppendInt(append(b, ':'), int64(d.to.Port), 10)
}
