package config

import (
	"net"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
)

// upstream reads an upstream with its targets.
func (d *document) upstream(n *node, at *path) {
	o := d.object(n, at, "an upstream")
	if o == nil {
		return
	}
	u := &entity.Upstream{Pos: d.pos(n)}
	r := &record[entity.Upstream]{e: u, at: at, n: n}
	d.upstreams = append(d.upstreams, r)
	u.ID, u.Tags, u.CreatedAt, u.UpdatedAt = o.common()
	u.Name = o.text("name", upstreamName)
	if o.lacks("name") {
		o.missing("name", "the name of the upstream, which services have as host")
	}
	d.algorithm(o, u)
	u.Slots = o.integer("slots", 10000, 10, 65536)
	u.HostHeader = o.text("host_header", routeHost)
	u.UseSRVName = o.boolean("use_srv_name", false)
	u.Health = d.healthChecks(o)
	u.Breaker = d.circuitBreakers(o)
	u.Outliers = d.outlierDetection(o)
	u.Budget = d.retryBudget(o)
	u.RetryOn = o.statuses("retry_on", nil, 400, 599)
	u.SlowStart = d.slowStart(o)
	o.list("targets", func(n *node, at *path) { d.target(n, at, r) })
	o.unsupported("client_certificate")
	o.done()
}

// target reads a target; parent is the upstream around it, nil at the top level.
func (d *document) target(n *node, at *path, parent *record[entity.Upstream]) {
	o := d.object(n, at, "a target")
	if o == nil {
		return
	}
	t := &entity.Target{Pos: d.pos(n)}
	r := &targetRecord{record: record[entity.Target]{e: t, at: at, n: n}, parent: parent}
	d.targets = append(d.targets, r)
	t.ID, t.Tags, t.CreatedAt, t.UpdatedAt = o.common()
	r.upstream = d.reference(o, "upstream", "name", known(parent))
	if parent == nil && o.lacks("upstream") {
		o.missing("upstream", "the upstream that the target belongs to")
	}
	if text := o.text("target", targetAddress); text != "" {
		t.Target = withPort(text)
	} else if o.lacks("target") {
		o.missing("target", "the address of the target, host:port")
	}
	t.Weight = o.integer("weight", 100, 0, 65535)
	if v := o.has("failover"); v != nil && o.boolean("failover", false) { // files that come out of Kong say that it is not
		o.fail(at.key("failover"), v, Error{
			Code: CodeUnsupported, Found: "a target for failover alone, which is not supported yet", Expected: "failover: false, or a target without it",
		})
	}
	o.done()
}

// upstreamName is the rule of an upstream's name: that of a host, but no address, as a service could not mean both.
func upstreamName(s string) *problem {
	if hostname(s) && !isAddress(s) {
		return nil
	}
	return &problem{expected: "a name such as a host has, of letters, digits, '-', '_' and '.', and not an IP address"}
}

// targetAddress is the rule of a target: a name or an address with optional port.
func targetAddress(s string) *problem {
	host, port, hasPort := splitPort(s)
	switch {
	case !isAddress(host) && !hostname(host) || strings.Contains(s, "/"):
	case hasPort && (!validPort(port) || port == "0"):
		return &problem{expected: "a port from 1 to 65535 after the host"}
	default:
		return nil
	}
	return &problem{expected: "a host name or an IP address, with optional port, such as 10.0.0.1:8080 or [::1]:8080"}
}

// withPort adds Kong's default port where none is, and the brackets of IPv6.
func withPort(s string) string {
	host, port, ok := splitPort(s)
	if !ok {
		port = "8000"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// resolveUpstreams gives targets to their upstreams, and upstreams to the services that name them.
func (d *document) resolveUpstreams(ids *ids) {
	upstreams := newIndex[entity.Upstream](d, "upstream")
	unique := map[string]map[string]*record[entity.Upstream]{}
	for _, r := range d.upstreams {
		ids.upstream(r.e)
		upstreams.add(r, r.e.ID, unique, "name")
	}
	targets := newIndex[entity.Target](d, "target")
	type place struct {
		upstream *entity.Upstream
		target   string
	}
	first := map[place]*targetRecord{}
	for _, r := range d.targets {
		var u *entity.Upstream
		if r.parent != nil {
			u = r.parent.e
		} else {
			u = upstreams.find(r.upstream)
		}
		if u == nil || r.e.Target == "" {
			continue
		}
		p := place{u, r.e.Target}
		if f := first[p]; f != nil {
			d.notUnique(r.at.key("target"), r.n.get("target"), "the target "+quote(r.e.Target), "each target of an upstream once", f.n)
			continue
		}
		first[p] = r
		ids.target(r.e, u)
		targets.add(&r.record, r.e.ID, nil)
		u.Targets = append(u.Targets, r.e)
	}
	for _, r := range d.services {
		if u := upstreams.byName[r.e.Host]; u != nil {
			r.e.Upstream = u.e
		}
	}
}
