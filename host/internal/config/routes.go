package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/router"
	"github.com/outrigger-gateway/outrigger/proto/nearest"
)

// route reads a route with its plugins; parent is the service around it, nil at the top level.
func (d *document) route(n *node, at *path, parent *record[entity.Service]) {
	o := d.object(n, at, "a route")
	if o == nil {
		return
	}
	e := &entity.Route{Pos: d.pos(n)}
	r := &routeRecord{record: record[entity.Route]{e: e, at: at, n: n}}
	d.routes = append(d.routes, r)
	e.ID, e.Tags, e.CreatedAt, e.UpdatedAt = o.common()
	e.Name = o.text("name", entityName)
	r.service = d.reference(o, "service", "name", known(parent))
	if parent != nil {
		e.Service = parent.e
	}
	d.routeProtocols(o, e)
	before := len(d.errs)
	e.Methods = o.texts("methods", true, method)
	e.Hosts = o.texts("hosts", false, routeHost)
	d.routePaths(o, e)
	d.routeHeaders(o, e)
	e.SNIs = o.texts("snis", true, sni)
	d.stripPath(o, e)
	e.PathHandling = o.choice("path_handling", "v0", "v0", "v1")
	d.pathMatch(o, e)
	e.PreserveHost = o.boolean("preserve_host", false)
	e.HTTPSRedirectStatusCode = d.redirectCode(o)
	e.RegexPriority = o.integer("regex_priority", 0, 0, 1<<32-1)
	e.RequestBuffering = o.boolean("request_buffering", true)
	e.ResponseBuffering = o.boolean("response_buffering", true)
	d.routeExpression(o, e)
	o.unsupported("sources", "destinations")
	d.matchFields(o, e, len(d.errs) > before)
	o.list("plugins", func(n *node, at *path) { d.plugin(n, at, parents{route: r}) })
	o.done()
}

func (d *document) routeProtocols(o *object, e *entity.Route) {
	v := o.has("protocols")
	e.Protocols = []string{"http", "https"}
	if v == nil {
		return
	}
	before := len(d.errs)
	list := o.texts("protocols", true, routeProtocol)
	if len(list) > 0 {
		e.Protocols = list
	} else if len(d.errs) == before {
		d.fail(o.at.key("protocols"), v, Error{Code: CodeWrongValue, Found: "an empty list", Expected: "at least one of http, https, grpc, grpcs"})
	}
	var groups []string
	for _, item := range v.items {
		group := ""
		switch item.text {
		case "http", "https":
			group = "http and https"
		case "grpc", "grpcs":
			group = "grpc and grpcs"
		case "tcp", "tls", "udp":
			group = "tcp, tls and udp"
		case "tls_passthrough":
			group = "tls_passthrough"
		}
		if group != "" && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	if len(groups) > 1 {
		d.fail(o.at.key("protocols"), v, Error{
			Code: CodeConflict, Found: "protocols of several groups (" + strings.Join(groups, "; ") + ")", Expected: "protocols of one group",
			Fix: "make one route for each group",
		})
	}
}

// routeProtocol is the rule of the protocols of routes. Routes for gRPC are matched; the gateway tells their clients what it wants until it speaks HTTP/2.
func routeProtocol(s string) *problem {
	known := []string{"http", "https", "grpc", "grpcs"}
	if slices.Contains(known, s) {
		return nil
	}
	p := &problem{expected: "http, https, grpc or grpcs", nearest: nearest.Name(s, known)}
	if slices.Contains(kongProtocols, s) || s == "ws" || s == "wss" {
		p.expected += ": this protocol is not supported yet"
		p.code, p.nearest = CodeUnsupported, ""
	}
	return p
}

// stripPath reads strip_path. The paths of gRPC are names of methods: nothing is taken away from them.
func (d *document) stripPath(o *object, e *entity.Route) {
	const key = "strip_path"
	e.StripPath = o.boolean(key, !e.ForGRPC())
	if e.ForGRPC() && e.StripPath {
		d.fail(o.at.key(key), o.n.get(key), Error{
			Code: CodeConflict, Found: "true on a route of protocols " + strings.Join(e.Protocols, ", "), Expected: "false, the default of such routes", Fix: "remove it",
		})
		e.StripPath = false
	}
}

// pathMatch reads path_match, which is about literal paths.
func (d *document) pathMatch(o *object, e *entity.Route) {
	const key = "path_match"
	match := o.choice(key, entity.PathPrefix, entity.PathPrefix, entity.PathSegment, entity.PathExact)
	if match == entity.PathPrefix {
		return
	}
	e.PathMatch = match
	if o.lacks("paths") || len(e.Paths) > 0 && !slices.ContainsFunc(e.Paths, func(p string) bool { return p[0] != '~' }) {
		d.fail(o.at.key(key), o.n.get(key), Error{
			Code: CodeConflict, Found: quote(match) + " on a route without a literal path", Expected: "a path without ~ among its paths", Fix: "remove it",
		})
	}
}

// routeExpression reads priority, and expression, which stands in the place of the fields to match.
func (d *document) routeExpression(o *object, e *entity.Route) {
	e.Expression = o.text("expression", routeCondition)
	e.Priority = o.integer("priority", 0, 0, 1<<46-1)
	if o.lacks("expression") {
		return
	}
	for _, f := range []struct {
		key string
		set bool
	}{
		{"methods", len(e.Methods) > 0}, {"hosts", len(e.Hosts) > 0}, {"paths", len(e.Paths) > 0}, {"headers", len(e.Headers) > 0},
		{"snis", len(e.SNIs) > 0}, {"regex_priority", e.RegexPriority != 0},
	} {
		if f.set {
			d.fail(o.at.key(f.key), o.n.get(f.key), Error{
				Code: CodeConflict, Found: quote(f.key) + " beside an expression", Expected: "one of the two", Fix: "put it into the expression, or make two routes",
			})
		}
	}
}

// routeCondition is the rule of expressions of routes.
func routeCondition(s string) *problem {
	err := router.CheckExpression(s)
	if err == nil {
		return nil
	}
	e := err.(*router.ExpressionError)
	return &problem{expected: e.Expected + " in place of " + e.Found + " at " + strconv.Itoa(e.Line) + ":" + strconv.Itoa(e.Col) + " of the expression", fix: e.Fix}
}

// routePaths reads paths. Files of an older format have regular expressions without "~": they are recognised by their characters,
// as Kong does it.
func (d *document) routePaths(o *object, e *entity.Route) {
	check := routePath
	if d.oldPaths {
		check = func(s string) *problem { return routePath(newPath(s)) }
	}
	e.Paths = o.texts("paths", false, check)
	if d.oldPaths {
		for i, p := range e.Paths {
			e.Paths[i] = newPath(p)
		}
	}
}

func newPath(s string) string {
	if s[0] != '/' {
		return s
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && strings.IndexByte("._~/%-", c) < 0 {
			return "~" + s
		}
	}
	return s
}

func (d *document) routeHeaders(o *object, e *entity.Route) {
	v := o.has("headers")
	if v == nil {
		return
	}
	at := o.at.key("headers")
	if v.kind != kindMapping {
		if v.kind == kindList && len(v.items) == 0 {
			return
		}
		d.wrongType(at, v, "a mapping of header names to lists of values")
		return
	}
	seen := map[string]bool{}
	for i := range v.pairs {
		p := &v.pairs[i]
		name := at.key(p.key)
		lower := strings.ToLower(p.key)
		switch {
		case lower == "host":
			d.fail(name, p.at, Error{Code: CodeConflict, Found: `the header "host"`, Expected: "other headers here", Fix: "use hosts"})
			continue
		case !headerName(p.key):
			d.fail(name, p.at, Error{Code: CodeWrongValue, Found: quote(p.key), Expected: "a header name of letters, digits, '-' and '_'"})
			continue
		case seen[lower]:
			d.fail(name, p.at, Error{Code: CodeDuplicateKey, Found: "the header " + quote(p.key) + " again", Expected: "each header once, in whatever case"})
			continue
		}
		seen[lower] = true
		before := len(d.errs)
		values := d.textsOf(p.value, name, false, headerPattern)
		if len(values) == 0 && len(d.errs) == before {
			d.fail(name, p.value, Error{Code: CodeWrongValue, Found: "no value", Expected: "at least one value"})
		}
		if e.Headers == nil {
			e.Headers = make(map[string][]string, len(v.pairs))
		}
		e.Headers[p.key] = values
	}
}

// headerPattern checks a header value: "~*…" is a regular expression.
func headerPattern(s string) *problem {
	if pattern, ok := strings.CutPrefix(s, "~*"); ok {
		return regex(pattern)
	}
	return nil
}

func (d *document) redirectCode(o *object) int {
	const key = "https_redirect_status_code"
	before := len(d.errs)
	code := o.integer(key, 426, 0, 599)
	if v := o.n.get(key); len(d.errs) == before && !slices.Contains([]int{426, 301, 302, 307, 308}, code) {
		d.fail(o.at.key(key), v, Error{Code: CodeWrongValue, Found: v.describe(), Expected: "one of 426, 301, 302, 307, 308"})
	}
	return code
}

// matchFields checks that the route can match something. When a field was refused the route is not blamed for lacking it.
func (d *document) matchFields(o *object, e *entity.Route, refused bool) {
	secure := slices.Contains(e.Protocols, "https") || slices.Contains(e.Protocols, "grpcs")
	if len(e.SNIs) > 0 && !secure {
		d.fail(o.at.key("snis"), o.n.get("snis"), Error{
			Code: CodeConflict, Found: "snis on a route of protocols " + strings.Join(e.Protocols, ", "), Expected: "https or grpcs among the protocols",
		})
	}
	fields := len(e.Hosts) + len(e.Headers) + len(e.Paths)
	if !e.ForGRPC() {
		fields += len(e.Methods) // all of gRPC is POST
	}
	if refused || e.Expression != "" || fields > 0 || secure && len(e.SNIs) > 0 {
		return
	}
	expected := "at least one of methods, hosts, headers, paths"
	if e.ForGRPC() {
		expected = "at least one of hosts, headers, paths"
	}
	if secure {
		expected += ", snis"
	}
	expected += ", or an expression"
	d.fail(o.at, o.n, Error{Code: CodeMissing, Found: "a route without a field to match", Expected: expected})
}
