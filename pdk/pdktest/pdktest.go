// Package pdktest runs plugins against a request in memory, without a gateway. The PDK that the handlers get is the engine that the gateway and
// the plugin server use, so what holds here holds there.
//
//	x := pdktest.New(pdktest.Request{URL: "http://shop.test/orders?page=2", Header: http.Header{"X-Name": {"Ada"}}})
//	if err := x.Use(hello.Plugin, `{"greeting": "hi"}`); err != nil {
//		t.Fatal(err)
//	}
//	res := x.Run()
//	if got := res.Upstream.Header.Get("X-Hello"); got != "hi, Ada" {
//		t.Errorf("X-Hello is %q", got)
//	}
package pdktest

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-gateway/outrigger/pdk"
	"github.com/outrigger-gateway/outrigger/pdk/local"
	"github.com/outrigger-gateway/outrigger/pdk/schema"
	"github.com/outrigger-gateway/outrigger/proto/wire"
)

// Request is what the client sends. The zero Request is GET http://gw.test:8000/ from 10.0.0.9:40000.
type Request struct {
	Method string
	// URL gives scheme, host, port, path and query.
	URL    string
	Header http.Header
	Body   []byte
	// Peer is the address of the client, ip:port.
	Peer string
	// Trusted are the networks of trusted_ips. The headers X-Forwarded-* of a peer in them count.
	Trusted []netip.Prefix

	Route    *pdk.Route   // default: a route named "test"
	Service  *pdk.Service // default: a service named "test"
	Captures pdk.Captures // of a regex route
	// Consumer and Credential: the request is authenticated already.
	Consumer   *pdk.Consumer
	Credential *pdk.Credential
	// Groups are consumer groups that earlier plugins set.
	Groups []*pdk.ConsumerGroup
	// Shared fills ctx.shared.
	Shared map[string]any
	// TLS is the client's connection; nil for an https URL is TLSv1.3 without a client certificate.
	TLS *TLS
}

// TLS is the client's connection.
type TLS struct {
	Version      string // as nginx writes it: TLSv1.3
	Cipher       string
	ClientVerify string // SUCCESS, NONE, FAILED:reason
	// Certificates is the chain that the client showed, PEM, its own first; "" when it showed none.
	Certificates string
}

// Exchange is one request and what will become of it. It is for one goroutine, and runs once.
type Exchange struct {
	// Answer is the upstream; nil answers 200 without a body.
	Answer func(Upstream) Response
	// Consumers and Credentials are what client.load_consumer and client.load_credential find. Credentials are listed by collection and key.
	Consumers   []*pdk.Consumer
	Credentials map[string]map[string]*pdk.Credential
	// Groups are the consumer groups that consumers belong to, by the consumer's id.
	Groups map[string][]*pdk.ConsumerGroup
	// Upstreams are the names that service.set_upstream finds.
	Upstreams []string
	// Secrets are what references lead to, by the reference as it is written, braces included.
	Secrets map[string]string
	// Cache is the plugin cache: by plugin and key. Several exchanges may have the same one, one after the other.
	Cache Cache
	// Memory, Configuration and Statistics are what node.get_memory_stats, node.get_configuration and nginx.get_statistics answer.
	Memory, Configuration, Statistics map[string]any
	// Variables go before those that nginx.get_var finds in the request.
	Variables map[string]string
	// ClusterID is the id of the cluster; "": none. Version is that of the gateway; "": 0.2.0.
	ClusterID, Version string
	// NoTelemetry: the setting telemetry_logs is off.
	NoTelemetry bool
	// Piece is the size of the pieces of the body that body_filter gets; 0: 32 KiB.
	Piece int
	// LogLevel is the lowest level of lines that are made; 0: debug.
	LogLevel uint8
	// MaxBody and MaxShared are the limits of the gateway; 0: 8 MiB, and 64 KiB.
	MaxBody, MaxShared int
	// Node is what the gateway says of itself, in place of the three above; nil: made of them.
	Node *local.Node
	// Script answers a question of a handler, such as client.load_consumer (wire.AskClientLoadConsumer), in place of what is listed above.
	// Without an answer, nil, the question goes on to there.
	Script func(question *wire.Ask) *wire.Answer

	plugins []*used
	facts   wire.Facts
	node    local.Node
	body    []byte // of the request, as the upstream will get it

	path, scheme string
	to           Upstream // where the request goes, as it stands
	chain        string   // certificates of the client
	upstream     *Upstream
	original     []byte // body of the upstream's response
	answer       []byte // body of the response as it stands
	exited       bool
	replaced     bool // a plugin set the body of the response
	buffered     bool // body_filter gets the body in one piece
	serialized   []local.LogValue
	outcome      wire.Outcome // of the last handler
	result       Result
}

// used is a configured plugin.
type used struct {
	plugin   pdk.Plugin
	handlers pdk.Handlers
	id       string
	failOpen bool
	values   []wire.SharedValue // ctx.plugin
}

// Option is something that a plugin record says beside its configuration.
type Option func(*used)

// ID sets the id of the plugin record.
func ID(id string) Option { return func(u *used) { u.id = id } }

// FailOpen has a request go on when a handler of the plugin fails. The default is a status 500.
func FailOpen() Option { return func(u *used) { u.failOpen = true } }

// New prepares a request. It panics when URL or Peer is not one: the test is wrong.
func New(req Request) *Exchange {
	x := &Exchange{body: req.Body}
	f := &x.facts
	f.RequestID, f.StartTime = "0123456789abcdef0123456789abcdef", time.Now().UnixMilli()
	if req.URL == "" {
		req.URL = "http://gw.test:8000/"
	}
	u, err := url.Parse(req.URL)
	if err != nil || u.Host == "" {
		panic(fmt.Sprintf("pdktest: URL %q: expected http://host/path (%v)", req.URL, err))
	}
	target := u.RequestURI()
	f.Request = wire.Request{
		Method: orDefault(req.Method, "GET"), Scheme: u.Scheme, Host: strings.ToLower(u.Hostname()), Port: portOf(u), HTTPVersion: 11,
		Target: target, Path: orDefault(u.Path, "/"), RawQuery: wire.QueryOfTarget(target),
		Headers: append([]wire.Header{{Name: "host", Value: u.Host}}, lines(req.Header)...),
	}
	host, port, err := net.SplitHostPort(orDefault(req.Peer, "10.0.0.9:40000"))
	if err != nil {
		panic(fmt.Sprintf("pdktest: Peer %q: expected ip:port (%v)", req.Peer, err))
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		panic(fmt.Sprintf("pdktest: Peer %q: expected ip:port (%v)", req.Peer, err))
	}
	f.Client = wire.Client{IP: host, Port: number, ForwardedIP: host, Trusted: local.IsTrusted(req.Trusted, host)}
	x.forwarded(req.Header)
	x.entities(&req)
	f.Captures.Unnamed = append(f.Captures.Unnamed, req.Captures.Unnamed...)
	for name, value := range req.Captures.Named {
		f.Captures.Named = append(f.Captures.Named, wire.Header{Name: name, Value: value})
	}
	for _, g := range req.Groups {
		f.Groups = append(f.Groups, wire.Group{ID: g.ID, Name: g.Name})
	}
	f.Trace = traceOf(f.Request.Headers)
	x.tls(&req)
	for key, value := range req.Shared {
		raw, err := wire.AppendValue(nil, value)
		if err != nil {
			panic(fmt.Sprintf("pdktest: Shared %q: %v", key, err))
		}
		f.Shared = append(f.Shared, wire.SharedValue{Key: key, Value: raw})
	}
	x.node = local.Node{ID: "11111111-2222-4333-8444-555555555555", Hostname: "pdktest", Trusted: req.Trusted}
	return x
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func portOf(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

// lines lays headers out in order of name.
// traceOf is the trace context that a request brings, as the one of the call.
func traceOf(hs []wire.Header) wire.Trace {
	var t wire.Trace
	for _, h := range hs {
		switch {
		case strings.EqualFold(h.Name, "traceparent"):
			t.Parent = h.Value
		case strings.EqualFold(h.Name, "tracestate"):
			t.State = h.Value
		}
	}
	return t
}

func lines(h http.Header) []wire.Header {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []wire.Header
	for _, name := range names {
		for _, value := range h[name] {
			out = append(out, wire.Header{Name: name, Value: value})
		}
	}
	return out
}

// httpHeader is the reverse of lines; names get their canonical form.
func httpHeader(hs []wire.Header) http.Header {
	h := http.Header{}
	for _, l := range hs {
		h.Add(l.Name, l.Value)
	}
	return h
}

// forwarded takes over what a trusted peer says.
func (x *Exchange) forwarded(h http.Header) {
	f, fw := &x.facts, &x.facts.Forwarded
	if !f.Client.Trusted {
		return
	}
	*fw = wire.Forwarded{Set: true, Scheme: f.Request.Scheme, Host: f.Request.Host, Port: f.Request.Port, Path: f.Request.Path}
	if v := h.Get("X-Forwarded-Proto"); v != "" {
		fw.Scheme = strings.ToLower(v)
	}
	if v := h.Get("X-Forwarded-Host"); v != "" {
		v = v[strings.LastIndexByte(v, '@')+1:]
		name, port, _ := strings.Cut(v, ":")
		fw.Host = strings.ToLower(name)
		if n, err := strconv.Atoi(port); err == nil && n > 0 && n < 1<<16 {
			fw.Port = n
		}
	}
	if n, err := strconv.Atoi(h.Get("X-Forwarded-Port")); err == nil && n > 0 && n < 1<<16 {
		fw.Port = n
	}
	if v := h.Get("X-Forwarded-Path"); v != "" {
		fw.Path = v
	}
	if v := h.Get("X-Forwarded-Prefix"); v != "" {
		fw.Prefix, fw.HasPrefix = v, true
	}
	if v := h.Get("X-Real-IP"); v != "" {
		f.Client.ForwardedIP = v
	}
}

func (x *Exchange) tls(req *Request) {
	t := req.TLS
	if t == nil {
		if x.facts.Request.Scheme != "https" {
			return
		}
		t = &TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ClientVerify: "NONE"}
	}
	x.chain = t.Certificates
	x.facts.TLS = wire.TLS{Set: true, Version: t.Version, Cipher: t.Cipher, ClientVerify: t.ClientVerify, HasCertificate: t.Certificates != ""}
}

func (x *Exchange) entities(req *Request) {
	f := &x.facts
	if req.Route == nil {
		req.Route = &pdk.Route{ID: "22222222-2222-4333-8444-555555555555", Name: "test", Protocols: []string{"http", "https"}, Paths: []string{"/"}}
	}
	if req.Service == nil {
		req.Service = &pdk.Service{ID: "33333333-2222-4333-8444-555555555555", Name: "test", Protocol: "http", Host: "upstream.test", Port: 80, Enabled: true}
	}
	f.Route = &wire.Entity{ID: req.Route.ID, Value: req.Route}
	f.Service = &wire.Entity{ID: req.Service.ID, Value: req.Service}
	if req.Consumer != nil {
		f.Consumer = &wire.Entity{ID: req.Consumer.ID, Value: req.Consumer}
	}
	if req.Credential != nil {
		f.Credential = &wire.Entity{ID: req.Credential.ID, Value: req.Credential}
	}
}

// Use adds a plugin with a configuration, a JSON object; "" is an empty one. References in fields that may hold one become what Secrets, which must be set
// before, says of them. Plugins run in order of their priority, higher first. The error says
// what is wrong with the configuration.
func (x *Exchange) Use(p pdk.Plugin, config string, options ...Option) error {
	instance := p.New()
	resolved, err := schema.Resolve(instance, []byte(config), x.secret)
	if err != nil {
		return fmt.Errorf("plugin %q: %w", p.Name, err)
	}
	if err := schema.Decode(instance, resolved); err != nil {
		return fmt.Errorf("plugin %q: %w", p.Name, err)
	}
	h, err := pdk.HandlersOf(instance)
	if err != nil {
		return fmt.Errorf("plugin %q: %w", p.Name, err)
	}
	if h.Configure != nil {
		if err := h.Configure(); err != nil {
			return fmt.Errorf("plugin %q: Configure: %w", p.Name, err)
		}
	}
	u := &used{plugin: p, handlers: h, id: fmt.Sprintf("7a1f0000-0000-4000-8000-%012d", len(x.plugins)+1)}
	for _, option := range options {
		option(u)
	}
	if u.failOpen && p.Authenticates {
		return fmt.Errorf("plugin %q authenticates: the gateway refuses fail_mode open for it", p.Name)
	}
	x.plugins = append(x.plugins, u)
	slices.SortStableFunc(x.plugins, func(a, b *used) int { return b.plugin.Priority - a.plugin.Priority })
	return nil
}
