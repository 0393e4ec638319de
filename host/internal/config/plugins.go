package config

import (
	"slices"
	"strconv"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// parents is the entity around a nested plugin; at most one is set.
type parents struct {
	service  *record[entity.Service]
	route    *routeRecord
	consumer *record[entity.Consumer]
	group    *record[entity.ConsumerGroup]
}

// plugin reads a plugin record. Its configuration is checked later, by ResolvePlugins.
func (d *document) plugin(n *node, at *path, in parents) {
	o := d.object(n, at, "a plugin")
	if o == nil {
		return
	}
	p := &entity.Plugin{Pos: d.pos(n), Path: at.String(), Enabled: true}
	r := &pluginRecord{record: record[entity.Plugin]{e: p, at: at, n: n}}
	d.plugins = append(d.plugins, r)
	p.ID, p.Tags, _, _ = o.common()
	p.Name = o.text("name", printable)
	if o.lacks("name") {
		o.missing("name", "the name of a plugin")
	}
	p.InstanceName = o.text("instance_name", entityName)
	p.Enabled = o.boolean("enabled", true)
	p.Protocols = o.texts("protocols", true, pluginProtocol)
	if p.Protocols == nil {
		p.Protocols = []string{"grpc", "grpcs", "http", "https"}
	}
	r.service = d.reference(o, "service", "name", known(in.service))
	r.route = d.reference(o, "route", "name", in.route != nil)
	r.consumer = d.reference(o, "consumer", "username", known(in.consumer))
	r.group = d.reference(o, "consumer_group", "name", known(in.group))
	if in.service != nil {
		p.Service = in.service.e
	}
	if in.route != nil {
		p.Route = in.route.e
	}
	if in.consumer != nil {
		p.Consumer = in.consumer.e
	}
	if in.group != nil {
		p.ConsumerGroup = in.group.e
	}
	d.pluginConfig(o, r)
	p.CallPolicy = o.callPolicy()
	p.AllowFailOpen = o.boolean("allow_fail_open", false)
	d.placement(o, r)
	o.done()
}

// pluginProtocol is the rule of the protocols of a plugin record.
func pluginProtocol(s string) *problem {
	allowed := []string{"grpc", "grpcs", "http", "https"}
	if slices.Contains(allowed, s) {
		return nil
	}
	p := &problem{expected: "one of grpc, grpcs, http, https", nearest: nearest.Name(s, allowed)}
	if slices.Contains(kongProtocols, s) {
		p.expected += ": plugins on streams are not supported yet"
		p.code, p.nearest = CodeUnsupported, ""
	}
	return p
}

// pluginConfig takes config as it is.
func (d *document) pluginConfig(o *object, r *pluginRecord) {
	file, record, p := d.file, o.n, r.e
	p.FieldAt = func(name string) entity.Pos { return placeOf(file, record, []string{name}, false) }
	v := d.ownConfig(o)
	r.config = v
	if v != nil && v.kind != kindMapping && !(v.kind == kindList && len(v.items) == 0) {
		d.fail(o.at.key("config"), v, Error{Code: CodeWrongType, Found: v.kind.String(), Expected: "a mapping, the configuration of the plugin"})
	}
	d.setConfig(p, v)
}

// setConfig takes the configuration of a record with its places; nil is none.
func (d *document) setConfig(p *entity.Plugin, v *node) {
	p.Config = map[string]any{}
	if v == nil {
		p.At = func([]string) entity.Pos { return p.Pos }
		p.KeyAt = p.At
		return
	}
	if v.kind == kindMapping {
		p.Config = v.value().(map[string]any)
	}
	p.Hidden = v.fromEnvironment(nil)
	file := d.file
	p.At = func(at []string) entity.Pos { return placeOf(file, v, at, false) }
	p.KeyAt = func(at []string) entity.Pos { return placeOf(file, v, at, true) }
}

// placeOf walks down from n as far as the path leads.
func placeOf(file string, n *node, at []string, key bool) entity.Pos {
	place := n
	for i, step := range at {
		var next *node
		switch n.kind {
		case kindList:
			if k, err := strconv.Atoi(step); err == nil && k >= 0 && k < len(n.items) {
				next = n.items[k]
				place = next
			}
		case kindMapping:
			for j := range n.pairs {
				if p := &n.pairs[j]; p.key == step {
					next, place = p.value, p.value
					if key && i == len(at)-1 {
						place = p.at
					}
				}
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return entity.Pos{File: file, Line: int(place.line), Col: int(place.col)}
}

// parseDuration reads a number in the given unit, or text such as 250ms or 1m30s.
func parseDuration(v *node, unit time.Duration) (time.Duration, *problem) {
	p := &problem{expected: "a time such as 250ms or 10s"}
	if name := map[time.Duration]string{time.Millisecond: "milliseconds", time.Second: "seconds"}[unit]; name != "" {
		p.expected += ", or a number of " + name
	}
	const longest = 1 << 53
	if v.kind == kindInt || v.kind == kindText && isDigits(v.text) && len(v.text) < 16 {
		i, err := strconv.ParseInt(v.text, 10, 64)
		if err != nil || i < 0 || i > longest/int64(unit) {
			return 0, p
		}
		return time.Duration(i) * unit, nil
	}
	if v.kind != kindText {
		return 0, p
	}
	t, err := time.ParseDuration(v.text)
	if err != nil || t < 0 {
		return 0, p
	}
	return t, nil
}
