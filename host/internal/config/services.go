package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

var kongProtocols = []string{"grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"}

// protocol is the rule of protocols that the gateway speaks.
func protocol(s string) *problem {
	if s == "http" || s == "https" {
		return nil
	}
	if slices.Contains(kongProtocols, s) || s == "ws" || s == "wss" {
		return &problem{expected: "http or https: this protocol is not supported yet", code: CodeUnsupported}
	}
	return &problem{expected: "http or https", nearest: nearest.Name(s, []string{"http", "https"})}
}

const maxTimeout = 2147483646 // milliseconds

// service reads a service with its routes and plugins.
func (d *document) service(n *node, at *path) {
	o := d.object(n, at, "a service")
	if o == nil {
		return
	}
	s := &entity.Service{Pos: d.pos(n)}
	r := &record[entity.Service]{e: s, at: at, n: n}
	d.services = append(d.services, r)
	s.ID, s.Tags, s.CreatedAt, s.UpdatedAt = o.common()
	s.Name = o.text("name", entityName)
	s.Protocol = o.text("protocol", protocol)
	if s.Protocol == "" {
		s.Protocol = "http"
	}
	s.Host = strings.TrimSuffix(strings.TrimPrefix(o.text("host", serviceHost), "["), "]")
	s.Port = o.integer("port", 80, 0, 65535)
	s.Path = o.text("path", servicePath)
	d.serviceURL(o, s)
	s.Retries = o.integer("retries", 5, 0, 32767)
	s.ConnectTimeout = o.integer("connect_timeout", 60000, 1, maxTimeout)
	s.WriteTimeout = o.integer("write_timeout", 60000, 1, maxTimeout)
	s.ReadTimeout = o.integer("read_timeout", 60000, 1, maxTimeout)
	s.Enabled = o.boolean("enabled", true)
	if v := o.has("tls_verify"); v != nil {
		verify := o.boolean("tls_verify", false)
		s.TLSVerify = &verify
		if s.Protocol != "https" {
			d.fail(at.key("tls_verify"), v, Error{
				Code: CodeConflict, Found: "tls_verify on a service of protocol " + s.Protocol, Expected: "protocol https",
			})
		}
	}
	o.unsupported("client_certificate", "tls_verify_depth", "ca_certificates", "tls_sans")
	o.list("routes", func(n *node, at *path) { d.route(n, at, r) })
	o.list("plugins", func(n *node, at *path) { d.plugin(n, at, parents{service: r}) })
	o.done()
}

// serviceURL reads the shorthand url, or checks that there is a host.
func (d *document) serviceURL(o *object, s *entity.Service) {
	v := o.has("url")
	if v == nil {
		if s.Host == "" && o.lacks("host") {
			o.missing("host", "the host of the service, or its url")
		}
		return
	}
	for _, key := range []string{"protocol", "host", "port", "path"} {
		if other := o.n.get(key); other != nil && other.kind != kindNull {
			d.fail(o.at.key(key), other, Error{
				Code: CodeConflict, Found: quote(key) + " beside url", Expected: "either url, or protocol, host, port and path",
			})
		}
	}
	text := o.text("url")
	if text == "" {
		return
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	wrong := func(expected, fix string) {
		d.problem(o.at.key("url"), v, &problem{expected: expected, fix: fix})
	}
	u, err := url.Parse(text)
	if err != nil {
		wrong("a URL such as http://example.com:8080/path", "")
		return
	}
	if p := protocol(u.Scheme); p != nil {
		p.expected = "a URL of scheme " + p.expected
		d.problem(o.at.key("url"), v, p)
		return
	}
	s.Protocol, s.Host, s.Port = u.Scheme, u.Hostname(), 80
	if s.Protocol == "https" {
		s.Port = 443
	}
	if p := u.Port(); p != "" {
		if !validPort(p) {
			wrong("a port from 0 to 65535", "")
			return
		}
		s.Port, _ = strconv.Atoi(p)
	}
	s.Path = u.EscapedPath()
	switch {
	case s.Host == "":
		wrong("a URL with a host", "")
	case u.User != nil:
		d.fail(o.at.key("url"), v, Error{
			Code: CodeWrongValue, Found: "a URL with a user name", Expected: "a URL without one", Fix: "write " + quote(u.Scheme+"://"+u.Host+s.Path),
		})
	case serviceHost(s.Host) != nil:
		wrong("a host name or an IP address in the URL", "")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		wrong("a URL without query and fragment", "write "+quote(u.Scheme+"://"+u.Host+s.Path))
	case s.Path != "":
		if p := servicePath(s.Path); p != nil {
			if fixed := strings.TrimSuffix(strings.TrimPrefix(p.fix, `write "`), `"`); fixed != p.fix {
				p.fix = "write " + quote(u.Scheme+"://"+u.Host+fixed)
			}
			d.problem(o.at.key("url"), v, p)
		}
	}
}
