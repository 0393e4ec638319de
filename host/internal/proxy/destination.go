package proxy

import (
	"cmp"
	"slices"
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
	balancer   *balancer.Balancer   // of the upstream; nil: none
	tried      []*balancer.Target   // of the balancer, each once
	hostHeader string               // what the upstream wants as Host; "": the name of the target
	said       exchange.Destination // by plugins
	retries    int
	log        bool // tries are wanted for the log entry
}

// destine finds the target of the first try; false when the upstream has none.
func (r *request) destine() bool {
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
	balanced := s.Upstream
	if said := r.ex.Upstream.Destination; said != nil {
		d.said = *said
		d.obey()
		if said.Upstream != nil {
			balanced = said.Upstream
		}
		if said.Target != nil {
			balanced = nil
		}
	}
	if balanced != nil {
		d.balancer = r.gen.Balancer(balanced)
	}
	if !d.choose(0) {
		return false
	}
	d.nameServer(r.ex.Upstream.Host)
	return true
}

// nameServer says whose certificate an https upstream is to show: as in Kong, that of the Host which a plugin or the upstream entity set.
func (d *destination) nameServer(byPlugin string) {
	if !d.to.TLS {
		return
	}
	d.to.ServerName = ""
	if host := cmp.Or(byPlugin, d.hostHeader); host != "" {
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

// choose sets the target of a try; false when there is none.
func (d *destination) choose(try int) bool {
	if n := len(d.said.Fallbacks); try > 0 && n > 0 {
		next := d.said.Fallbacks[(try-1)%n]
		d.to.Host, d.to.Port, d.hostHeader = next.Host, next.Port, ""
		return true
	}
	if d.balancer == nil {
		return true // the place of the first try
	}
	next := d.balancer.Next(d.tried)
	if next == nil {
		return false
	}
	if !slices.Contains(d.tried, next) {
		d.tried = append(d.tried, next)
	}
	d.to.Host, d.to.Port, d.hostHeader = next.Host, next.Port, d.balancer.HostHeader
	return true
}

// Try implements upstream.Targets. The first try has its target already; the Host of later ones follows theirs.
func (r *request) Try(n int) *upstream.Target {
	d := &r.dest
	if n > 0 {
		before, hostHeader := d.to, d.hostHeader
		if !d.choose(n) {
			return nil
		}
		d.nameServer(r.ex.Upstream.Host)
		if d.to != before || d.hostHeader != hostHeader {
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
func (r *request) Done(int, upstream.Outcome) {}

// appendHost appends the Host that suits the target.
func (d *destination) appendHost(b []byte) []byte {
	if d.hostHeader != "" {
		return append(b, d.hostHeader...)
	}
	if name := d.to.Host; strings.IndexByte(name, ':') >= 0 && name[0] != '[' {
		b = append(append(append(b, '['), name...), ']')
	} else {
		b = append(b, name...)
	}
	if d.to.TLS && d.to.Port == 443 || !d.to.TLS && d.to.Port == 80 {
		return b
	}
	return strconv.AppendInt(append(b, ':'), int64(d.to.Port), 10)
}
